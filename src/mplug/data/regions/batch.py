"""Pictures as regions in batches, padded: with a caption each, or with all that is asked of them.

What is asked are the items of `data.items`; their `images` are rows of the batch's pictures, as
there. An answer among a fixed list is a target whose only id is its place in the list; a region
that is to be found is the item's label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.data.batch import Skipped
from mplug.data.host import sent
from mplug.data.items import Item, ItemBatch, collate_items
from mplug.data.regions.stored import Regions


@dataclass(frozen=True)
class PaddedRegions:
    """The regions of several pictures; where `mask` is False there is none, and zeros."""

    features: Float[Tensor, "pictures regions features"]
    boxes: Float[Tensor, "pictures regions 4"]  # x0, y0, x1, y1 in shares of the sides
    mask: Bool[Tensor, "pictures regions"]
    soft_labels: Float[Tensor, "pictures regions classes"] | None = None  # class 0: background

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.mask)

    def rows(self, rows: Int[Tensor, "chosen"]) -> Self:
        """The pictures in these rows, of which one may be several times there."""
        labels = None if self.soft_labels is None else self.soft_labels[rows]
        return replace(
            self,
            features=self.features[rows],
            boxes=self.boxes[rows],
            mask=self.mask[rows],
            soft_labels=labels,
        )

    def to(self, device: torch.device | str) -> Self:
        """The same regions on another device."""
        return replace(self, **sent(self, device))


@dataclass(frozen=True)
class RegionExample:
    """One picture's regions with one caption."""

    regions: Regions
    ids: list[int]  # [CLS] pieces [SEP]
    image_id: int  # the same number means the same picture
    caption_id: int  # the same number means the same caption
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class RegionBatch:
    """Pictures as regions, each with a caption."""

    regions: PaddedRegions
    ids: Int[Tensor, "batch words"]
    mask: Bool[Tensor, "batch words"]  # True from [CLS] to [SEP], False at padding
    image_ids: Int[Tensor, "batch"]
    caption_ids: Int[Tensor, "batch"]
    skipped: tuple[Skipped, ...] = ()

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return replace(self, regions=self.regions.to(device), **sent(self, device))


@dataclass(frozen=True)
class RegionTaskExample:
    """Pictures as regions, and what is asked of them by task."""

    pictures: tuple[Regions, ...]
    items: Mapping[str, tuple[Item, ...]]
    pair: RegionExample | None = None  # a caption of the first picture, for retrieval
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class RegionTaskBatch:
    """Pictures once each, and what every task asks of them."""

    regions: PaddedRegions
    items: Mapping[str, ItemBatch]
    pairs: RegionBatch | None = None
    skipped: tuple[Skipped, ...] = ()

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return replace(
            self,
            regions=self.regions.to(device),
            items={name: items.to(device) for name, items in self.items.items()},
            pairs=None if self.pairs is None else self.pairs.to(device),
        )


def pad_regions(pictures: Sequence[Regions]) -> PaddedRegions:
    """Stack the regions of pictures, padded with zeros to the most of any."""
    most = max(len(regions) for regions in pictures)
    labelled = all(regions.soft_labels is not None for regions in pictures)

    def padded(arrays: Sequence[Any]) -> Tensor:
        whole = np.zeros((len(arrays), most, arrays[0].shape[1]), dtype=np.float32)
        for row, array in zip(whole, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(whole)

    counts = torch.tensor([len(regions) for regions in pictures])
    return PaddedRegions(
        features=padded([regions.features for regions in pictures]),
        boxes=padded([regions.boxes for regions in pictures]),
        mask=torch.arange(most) < counts[:, None],
        soft_labels=padded([regions.soft_labels for regions in pictures]) if labelled else None,
    )


def collate_regions(examples: Sequence[RegionExample], *, pad_id: int = 0) -> RegionBatch:
    """Pad the regions to the most, and the captions to the longest."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(examples), longest), dtype=torch.bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        mask[row, : len(example.ids)] = True
    return RegionBatch(
        regions=pad_regions([example.regions for example in examples]),
        ids=ids,
        mask=mask,
        image_ids=torch.tensor([example.image_id for example in examples], dtype=torch.int64),
        caption_ids=torch.tensor([example.caption_id for example in examples], dtype=torch.int64),
        skipped=tuple(skip for example in examples for skip in example.skipped),
    )


def collate_region_tasks(
    examples: Sequence[RegionTaskExample], *, pad_id: int = 0
) -> RegionTaskBatch:
    """Number all pictures in order, and pad each task's texts."""
    pairs = [example.pair for example in examples if example.pair is not None]
    return RegionTaskBatch(
        regions=pad_regions([one for example in examples for one in example.pictures]),
        items=collate_items(
            [(len(example.pictures), example.items) for example in examples], pad_id=pad_id
        ),
        pairs=collate_regions(pairs, pad_id=pad_id) if pairs else None,
        skipped=tuple(skip for example in examples for skip in example.skipped),
    )
