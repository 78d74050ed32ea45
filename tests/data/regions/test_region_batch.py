import numpy as np
import torch

from mplug.data.items import Item
from mplug.data.regions.batch import (
    RegionExample,
    RegionTaskExample,
    collate_region_tasks,
    collate_regions,
    pad_regions,
)
from mplug.data.regions.stored import Regions


def regions(count: int, *, labels: bool = True) -> Regions:
    values = np.full((count, 5), float(count), dtype=np.float32)
    boxes = np.tile(np.array([0.0, 0.25, 0.5, 1.0], dtype=np.float32), (count, 1))
    soft = np.full((count, 4), 0.25, dtype=np.float32) if labels else None
    return Regions(values, boxes, np.ones(count, dtype=np.float32), soft)


def test_pictures_are_padded_with_zeros_to_the_most_regions() -> None:
    batch = pad_regions([regions(2), regions(3), regions(1)])
    assert batch.features.shape == (3, 3, 5)
    assert batch.boxes.shape == (3, 3, 4)
    assert batch.mask.tolist() == [[True, True, False], [True] * 3, [True, False, False]]
    assert not batch.features[~batch.mask].any()
    assert not batch.boxes[~batch.mask].any()
    assert torch.equal(batch.features[2, 0], torch.ones(5))
    assert batch.soft_labels is not None
    assert batch.soft_labels.shape == (3, 3, 4)


def test_one_picture_without_labels_leaves_none_to_learn_from() -> None:
    assert pad_regions([regions(2), regions(1, labels=False)]).soft_labels is None


def test_rows_may_be_taken_twice() -> None:
    batch = pad_regions([regions(2), regions(3), regions(1)]).rows(torch.tensor([2, 0, 2, 2]))
    assert batch.features[:, 0, 0].tolist() == [1, 2, 1, 1]
    assert len(batch) == 4


def test_captions_stand_beside_their_pictures() -> None:
    batch = collate_regions(
        [RegionExample(regions(2), [2, 9, 3], 11, 5), RegionExample(regions(1), [2, 3], 12, 6)],
        pad_id=7,
    )
    assert batch.ids.tolist() == [[2, 9, 3], [2, 3, 7]]
    assert batch.mask.tolist() == [[True] * 3, [True, True, False]]
    assert batch.image_ids.tolist() == [11, 12]
    assert batch.to("cpu").regions.features.shape == (2, 2, 5)


def test_items_name_the_rows_of_their_pictures() -> None:
    pair = RegionExample(regions(2), [2, 3], 1, 1)
    batch = collate_region_tasks(
        [
            RegionTaskExample((regions(2),), {"ground": (Item((0,), [2, 8], label=1),)}, pair),
            RegionTaskExample((regions(1), regions(4)), {"compare": (Item((0, 1), [2], label=0),)}),
        ]
    )
    assert len(batch.regions) == 3
    assert batch.items["compare"].images.tolist() == [[1, 2]]
    assert batch.items["ground"].labels.tolist() == [1]
    assert batch.pairs is not None
    assert len(batch.pairs.regions) == 1
    assert set(batch.to("cpu").items) == {"ground", "compare"}
