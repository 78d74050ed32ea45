import torch
from torch.testing import assert_close

from mplug.nn.region_pooling import pool_boxes

PATCHES = torch.arange(6.0).reshape(1, 6, 1)  # a grid of 2 rows and 3 columns


def pooled(*box: float) -> float:
    boxes = torch.tensor([[box]], dtype=torch.float32)
    return float(pool_boxes(PATCHES, boxes, grid=(2, 3))[0, 0, 0])


def test_a_box_of_one_patch_is_that_patch() -> None:
    for place in range(6):
        row, column = divmod(place, 3)
        found = pooled(column / 3, row / 2, (column + 1) / 3, (row + 1) / 2)
        assert abs(found - place) < 1e-4


def test_the_whole_picture_is_the_mean_of_all() -> None:
    assert_close(pooled(0, 0, 1, 1), 2.5)


def test_half_a_patch_counts_half() -> None:
    # All of patch 0, and half of patch 1.
    assert abs(pooled(0, 0, 0.5, 0.5) - 1 / 3) < 1e-5


def test_a_point_is_the_patch_it_lies_in() -> None:
    assert abs(pooled(0.9, 0.9, 0.9, 0.9) - 5) < 1e-4
    assert abs(pooled(1, 1, 1, 1) - 5) < 1e-4


def test_pictures_and_boxes_stay_apart() -> None:
    torch.manual_seed(0)
    patches, boxes = torch.randn(4, 6, 5), torch.rand(4, 7, 4).sort(dim=2).values[..., [0, 1, 2, 3]]
    together = pool_boxes(patches, boxes, grid=(2, 3))
    for picture in range(4):
        for box in range(7):
            alone = pool_boxes(
                patches[picture : picture + 1],
                boxes[picture : picture + 1, box : box + 1],
                grid=(2, 3),
            )
            assert_close(together[picture, box], alone[0, 0])
