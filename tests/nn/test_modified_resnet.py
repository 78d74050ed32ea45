import pytest
import torch
from torch.testing import assert_close

from mplug.nn.modified_resnet import AttentionPool, Bottleneck, ModifiedResNet
from tests.models.small import enliven


@pytest.fixture
def trunk() -> ModifiedResNet:
    torch.manual_seed(0)
    made = ModifiedResNet(width=2, stages=(1, 2, 1, 3)).eval()
    enliven(made)
    return made


def test_the_map_has_a_place_for_every_32_pixels(trunk: ModifiedResNet) -> None:
    pixels = torch.randn(3, 3, 64, 160)
    assert trunk(pixels).shape == (3, 64, 2, 5)
    assert_close(trunk.grid(pixels)[:, 7], trunk(pixels)[:, :, 1, 2])


def test_other_sides_are_refused(trunk: ModifiedResNet) -> None:
    with pytest.raises(ValueError, match="64 x 65 pixels do not divide into 32 px"):
        trunk(torch.randn(1, 3, 64, 65))


def test_a_stage_has_as_many_blocks_as_asked_and_only_its_first_pools(
    trunk: ModifiedResNet,
) -> None:
    stages = [list(stage.children()) for stage in trunk.stages]
    counts = [len(stage) for stage in stages]
    pools = [isinstance(block.pool, torch.nn.AvgPool2d) for stage in stages for block in stage]
    assert counts == [1, 2, 1, 3]
    assert pools == [False, True, False, True, True, False, False]


def test_a_block_whose_last_norm_is_zero_changes_nothing_that_is_positive() -> None:
    block = Bottleneck(12, 3, stride=1).eval()
    torch.nn.init.zeros_(block.widen.norm.weight)
    maps = torch.rand(2, 12, 4, 5)
    assert_close(block(maps), maps)


def test_a_trained_trunk_looks_at_one_picture_at_a_time(trunk: ModifiedResNet) -> None:
    pixels = torch.randn(3, 3, 64, 64)
    trunk.train()
    trunk(pixels)  # in training its statistics are the batch's; afterwards they are kept
    trunk.eval()
    assert_close(trunk(pixels)[1:2], trunk(pixels[1:2]), atol=1e-4, rtol=1e-4)


def test_pooling_reads_every_place_by_the_mean() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(6, num_heads=1, side=2, output_dim=5)
    enliven(pool)
    maps = torch.randn(3, 6, 2, 2)
    tokens = torch.cat([maps.mean((2, 3))[:, None], maps.flatten(2).mT], dim=1) + pool.positions
    scores = pool.key(tokens) @ pool.query(tokens[:, 0])[..., None] / 6**0.5
    expected = pool.output((scores.softmax(dim=1) * pool.value(tokens)).sum(dim=1))
    assert_close(pool(maps), expected)


def test_pooling_follows_a_map_of_another_size() -> None:
    pool = AttentionPool(6, num_heads=2, side=2, output_dim=5)
    assert pool(torch.randn(3, 6, 4, 3)).shape == (3, 5)
