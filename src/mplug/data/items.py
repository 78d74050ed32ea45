"""Pictures and what is asked of them, by task: single examples, and batches that share pictures.

Every downstream task is one of two questions about one or several pictures: what to write (a
caption, an answer, a box's tokens) or which class it is (a statement true or false, a hypothesis
entailed or not). A batch holds each picture once, however many tasks ask about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.data.batch import Batch, Example, Skipped, collate
from mplug.data.host import sent

NO_LABEL = -1
NO_BOX = (0.0, 0.0, 0.0, 0.0)
TRUTH = ("false", "true")  # labels of a statement about two pictures, by class
ENTAILMENT = ("contradiction", "neutral", "entailment")  # labels of a hypothesis, by class


@dataclass(frozen=True)
class Target:
    """What the decoder is to write, and how much it counts."""

    ids: list[int]  # [CLS] words [SEP], or the start of a box and its four coordinates
    weight: float = 1.0


@dataclass(frozen=True)
class Item:
    """One thing asked of some pictures."""

    images: tuple[int, ...]  # places among the example's pictures: one, a pair, or a clip's frames
    text: list[int]  # [CLS] words, which the text encoder reads
    targets: tuple[Target, ...] = ()
    label: int = NO_LABEL
    box: tuple[float, float, float, float] = NO_BOX  # x0, y0, x1, y1 in shares of the sides
    references: tuple[str, ...] = ()  # what people wrote: captions are scored against these


@dataclass(frozen=True)
class TaskExample:
    """Pictures, everything asked of them by task, and captions of the first of them."""

    images: tuple[np.ndarray, ...]  # each float32 [3, size, size], normalised
    items: Mapping[str, tuple[Item, ...]]
    pairs: tuple[Example, ...] = ()  # of images[0], images[1], ... in this order, for retrieval
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class ItemBatch:
    """The items of one task; a target belongs to the item whose row it names."""

    images: Int[Tensor, "items frames"]  # rows of the batch's pictures
    text: Int[Tensor, "items words"]
    text_mask: Bool[Tensor, "items words"]
    target_ids: Int[Tensor, "targets longest"]
    target_mask: Bool[Tensor, "targets longest"]
    target_item: Int[Tensor, "targets"]
    target_weight: Float[Tensor, "targets"]
    labels: Int[Tensor, "items"]
    boxes: Float[Tensor, "items 4"]
    references: tuple[tuple[str, ...], ...] = ()

    def to(self, device: torch.device | str) -> Self:
        """The same items on another device."""
        return replace(self, **sent(self, device))

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.labels)


@dataclass(frozen=True)
class TaskBatch:
    """Pictures once each, and what every task asks of them."""

    pixels: Float[Tensor, "pictures 3 height width"]
    items: Mapping[str, ItemBatch]
    pairs: Batch | None
    pair_rows: Int[Tensor, "pairs"]  # each pair's picture
    skipped: tuple[Skipped, ...] = ()

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return replace(
            self,
            pixels=self.pixels.to(device, non_blocking=True),
            items={name: items.to(device) for name, items in self.items.items()},
            pairs=None if self.pairs is None else self.pairs.to(device),
            pair_rows=self.pair_rows.to(device, non_blocking=True),
        )


def collate_tasks(examples: Sequence[TaskExample], *, pad_id: int = 0) -> TaskBatch:
    """Number all pictures in order, and pad each task's texts."""
    starts = np.cumsum([0, *(len(example.images) for example in examples)])
    pairs = [pair for example in examples for pair in example.pairs]
    pair_rows = [
        int(start) + place
        for example, start in zip(examples, starts, strict=False)
        for place in range(len(example.pairs))
    ]
    return TaskBatch(
        pixels=torch.from_numpy(np.stack([one for each in examples for one in each.images])),
        items=collate_items(
            [(len(example.images), example.items) for example in examples], pad_id=pad_id
        ),
        pairs=collate(pairs, pad_id=pad_id) if pairs else None,
        pair_rows=torch.tensor(pair_rows, dtype=torch.int64),
        skipped=tuple(skip for example in examples for skip in example.skipped),
    )


def collate_items(
    examples: Sequence[tuple[int, Mapping[str, tuple[Item, ...]]]], *, pad_id: int = 0
) -> dict[str, ItemBatch]:
    """The items by task, of examples that each have a number of pictures, numbered in order."""
    names = dict.fromkeys(name for _, items in examples for name in items)
    starts = np.cumsum([0, *(pictures for pictures, _ in examples)])
    return {
        name: _stack(
            [
                (item, int(start))
                for (_, items), start in zip(examples, starts, strict=False)
                for item in items.get(name, ())
            ],
            pad_id=pad_id,
        )
        for name in names
    }


def _stack(items: Sequence[tuple[Item, int]], *, pad_id: int) -> ItemBatch:
    """One task's items, each with the row of its example's first picture."""
    frames = max(len(item.images) for item, _ in items)
    # A clip of fewer frames than its neighbours shows its last one again.
    rows = [
        [start + item.images[min(place, len(item.images) - 1)] for place in range(frames)]
        for item, start in items
    ]
    targets = [(target, row) for row, (item, _) in enumerate(items) for target in item.targets]
    text, text_mask = _padded([item.text for item, _ in items], pad_id=pad_id)
    target_ids, target_mask = _padded([target.ids for target, _ in targets], pad_id=pad_id)
    return ItemBatch(
        images=torch.tensor(rows),
        text=text,
        text_mask=text_mask,
        target_ids=target_ids,
        target_mask=target_mask,
        target_item=torch.tensor([row for _, row in targets], dtype=torch.int64),
        target_weight=torch.tensor([one.weight for one, _ in targets], dtype=torch.float32),
        labels=torch.tensor([item.label for item, _ in items]),
        boxes=torch.tensor([item.box for item, _ in items], dtype=torch.float32),
        references=tuple(item.references for item, _ in items),
    )


def _padded(
    texts: Sequence[Sequence[int]], *, pad_id: int
) -> tuple[Int[Tensor, "texts longest"], Bool[Tensor, "texts longest"]]:
    longest = max((len(text) for text in texts), default=0)
    ids = np.full((len(texts), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(texts), longest), dtype=np.bool_)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = True
    return torch.from_numpy(ids), torch.from_numpy(mask)
