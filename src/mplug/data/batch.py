"""What a dataset yields, and what a model is given: single examples and padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.data.host import sent


@dataclass(frozen=True)
class Skipped:
    """A training item whose picture could not be used, so that another one took its place."""

    item: int  # place in the dataset, from 0
    name: str  # the file, or the record it came from
    reason: str


@dataclass(frozen=True)
class Example:
    """One picture with one caption."""

    pixels: np.ndarray  # float32 [3, size, size], normalised
    ids: list[int]  # [CLS] pieces [SEP]
    image_id: int  # the same number means the same picture
    caption_id: int  # the same number means the same caption
    skipped: tuple[Skipped, ...] = ()


ExampleType = TypeVar("ExampleType", covariant=True)


@runtime_checkable
class Examples(Protocol[ExampleType]):
    """A dataset: an example is a function of the seed and the position, and of nothing else.

    Positions count training examples from 0 without end, so that resuming at any step and
    sharing a batch among any number of processes need no stored state.
    """

    def __len__(self) -> int:
        """How many examples one epoch has."""
        ...

    def example(self, position: int, *, seed: int) -> ExampleType:
        """The example at `position`, counted over all epochs."""
        ...


@dataclass(frozen=True)
class Batch:
    """Padded examples as tensors."""

    pixels: Float[Tensor, "batch 3 height width"]
    ids: Int[Tensor, "batch words"]
    mask: Bool[Tensor, "batch words"]  # True from [CLS] to [SEP], False at padding
    image_ids: Int[Tensor, "batch"]
    caption_ids: Int[Tensor, "batch"]
    skipped: tuple[Skipped, ...] = ()
    host_text: tuple[Tensor, Tensor] | None = None  # `ids` and `mask`, where they are elsewhere

    def text(self) -> tuple[Int[Tensor, "batch words"], Bool[Tensor, "batch words"]]:
        """`ids` and `mask` on the host, which of a batch that was moved waits for no device."""
        ids, mask = self.host_text or (self.ids, self.mask)
        return ids.cpu(), mask.cpu()

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return replace(
            self,
            **sent(self, device),
            host_text=None if torch.device(device).type == "cpu" else self.text(),
        )


def identity(text: str) -> int:
    """A signed 64-bit number for a picture's name or a caption; equal texts, equal numbers."""
    encoded = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "little", signed=True)


def collate(examples: Sequence[Example], *, pad_id: int = 0) -> Batch:
    """Stack the pictures and pad the captions to the longest one."""
    longest = max(len(example.ids) for example in examples)
    ids = np.full((len(examples), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(examples), longest), dtype=np.bool_)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        mask[row, : len(example.ids)] = True
    return Batch(
        pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
        ids=torch.from_numpy(ids),
        mask=torch.from_numpy(mask),
        image_ids=torch.tensor([example.image_id for example in examples], dtype=torch.int64),
        caption_ids=torch.tensor([example.caption_id for example in examples], dtype=torch.int64),
        skipped=tuple(skip for example in examples for skip in example.skipped),
    )
