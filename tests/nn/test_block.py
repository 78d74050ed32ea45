import torch
from torch import nn
from torch.testing import assert_close

from mplug.nn.block import FeedForward, PostNorm, PreNormBlock, quick_gelu


def test_quick_gelu_is_a_gated_identity() -> None:
    assert_close(quick_gelu(torch.tensor([-50.0, 0.0, 50.0])), torch.tensor([0.0, 0.0, 50.0]))


def test_quick_gelu_is_the_same_with_and_without_a_gradient_and_leaves_what_it_is_given() -> None:
    x = torch.randn(3, 5)
    given = x.clone()
    learning = quick_gelu(x.clone().requires_grad_())
    assert torch.equal(quick_gelu(x), learning)
    assert torch.equal(x, given)
    assert_close(learning, x * torch.sigmoid(1.702 * x))


def test_words_are_fed_forward_one_by_one() -> None:
    layer = FeedForward(6, hidden_dim=9)
    x = torch.randn(2, 5, 6)
    assert_close(layer(x)[:, 3:4], layer(x[:, 3:4]))


def test_post_norm_normalises_the_sum() -> None:
    x, update = torch.randn(2, 5, 6), torch.randn(2, 5, 6)
    expected = nn.functional.layer_norm(x + update, (6,), eps=1e-12)
    assert_close(PostNorm(6, eps=1e-12, dropout=0.0)(x, update), expected)


def test_pre_norm_adds_onto_an_untouched_stream() -> None:
    block = PreNormBlock(6, num_heads=2, hidden_dim=9, eps=1e-5, dropout=0.0)
    for layer in (block.attention.output, block.feed_forward.narrow):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = 100 * torch.randn(2, 5, 6)
    assert_close(block(x), x)


def test_pre_norm_hides_what_the_mask_hides() -> None:
    block = PreNormBlock(6, num_heads=2, hidden_dim=9, eps=1e-5, dropout=0.0)
    x = torch.randn(1, 5, 6)
    mask = (torch.arange(5) < 3)[None, None]
    changed = x.clone()
    changed[:, 3:] = 7.0
    assert_close(block(x, mask)[:, :3], block(changed, mask)[:, :3])
