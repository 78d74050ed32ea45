from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.nn.block import CrossAttentionSublayer
from mplug.nn.co_attention import CoAttentionLayer, CrossFirstStream, CrossStream, Stream
from tests.models.small import enliven

WORDS, PATCHES, TEXT, IMAGE = 5, 7, 12, 10
SIZES: dict[str, Any] = {"eps": 1e-12, "dropout": 0.0}
KINDS = ("own", "cross", "shared")


def layer(kind: str) -> CoAttentionLayer:
    """Unequal widths, unless both sides share weights."""
    torch.manual_seed(0)
    made = {"own": own, "cross": cross, "shared": shared}[kind]()
    enliven(made)
    return made


def own() -> CoAttentionLayer:
    return CoAttentionLayer(
        Stream(TEXT, num_heads=3, hidden_dim=17, memory_dim=IMAGE, **SIZES),
        Stream(IMAGE, num_heads=2, hidden_dim=19, memory_dim=TEXT, **SIZES),
    )


def cross() -> CoAttentionLayer:
    return CoAttentionLayer(
        CrossStream(TEXT, num_heads=4, hidden_dim=17, memory_dim=IMAGE, heads_dim=8, **SIZES),
        CrossStream(IMAGE, num_heads=4, hidden_dim=19, memory_dim=TEXT, heads_dim=8, **SIZES),
    )


def shared() -> CoAttentionLayer:
    reader = CrossAttentionSublayer(TEXT, num_heads=3, **SIZES)
    sides = [
        CrossFirstStream(TEXT, cross_attention=reader, num_heads=3, hidden_dim=17, **SIZES)
        for _ in range(2)
    ]
    return CoAttentionLayer(*sides)


def inputs(kind: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    text = torch.randn(3, WORDS, TEXT, generator=generator)
    image = torch.randn(3, PATCHES, TEXT if kind == "shared" else IMAGE, generator=generator)
    text_mask = torch.arange(WORDS) < torch.tensor([5, 3, 1])[:, None]
    image_mask = torch.arange(PATCHES) < torch.tensor([7, 4, 2])[:, None]
    return text, image, text_mask, image_mask


@pytest.mark.parametrize("kind", KINDS)
def test_padding_of_either_side_reaches_no_real_place(kind: str) -> None:
    made, (text, image, text_mask, image_mask) = layer(kind), inputs(kind)
    noisy_text = text.masked_fill(~text_mask[..., None], 99.0)
    noisy_image = image.masked_fill(~image_mask[..., None], 99.0)
    words, patches = made(text, image, text_mask, image_mask)
    other_words, other_patches = made(noisy_text, noisy_image, text_mask, image_mask)
    assert_close(words[text_mask], other_words[text_mask])
    assert_close(patches[image_mask], other_patches[image_mask])


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_by_itself_is_the_example_in_a_batch(kind: str) -> None:
    made, (text, image, _, _) = layer(kind), inputs(kind)
    words, patches = made(text, image, None, None)
    for row in range(3):
        alone = made(text[row : row + 1, :4], image[row : row + 1, :6], None, None)
        within = made(text[:, :4], image[:, :6], None, None)
        assert_close(alone, (within[0][row : row + 1], within[1][row : row + 1]))
    assert (words.shape, patches.shape) == (text.shape, image.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_read_the_other_as_it_came_in(kind: str) -> None:
    made, (text, image, text_mask, image_mask) = layer(kind), inputs(kind)
    words, patches = made(text, image, text_mask, image_mask)
    assert_close(words, made.text(text, image, text_mask, image_mask))
    assert_close(patches, made.image(image, text, image_mask, text_mask))
    _, changed_patches = made(-text, image, text_mask, image_mask)
    assert not torch.allclose(changed_patches, patches)
    changed_words, _ = made(text, -image, text_mask, image_mask)
    assert not torch.allclose(changed_words, words)


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_alone_is_the_text_of_the_whole_layer(kind: str) -> None:
    made, given = layer(kind), inputs(kind)
    whole = made(*given)[0]
    assert_close(made.text_only(*given), whole)
    for first in (1, 2):
        assert_close(made.text_only(*given, first=first), whole[:, :first])


def test_the_same_stream_on_both_sides_makes_twins_of_twins() -> None:
    stream = Stream(TEXT, num_heads=3, hidden_dim=17, **SIZES)
    enliven(stream)
    states = torch.randn(2, WORDS, TEXT)
    words, patches = CoAttentionLayer(stream, stream)(states, states, None, None)
    assert_close(words, patches)


def test_a_shared_cross_attention_is_counted_once() -> None:
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    made = layer("shared")
    sides = count(made.text) + count(made.image)
    assert count(made) == sides - count(made.text.cross_attention)  # type: ignore[arg-type]
