"""Pictures, as regions or as pixels, with all the texts that objectives of the family need.

Beside the caption: a second one of the same picture, the names of what it shows, a question with
its answer's place in a list; and a text and a picture that have nothing to do with each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.data.batch import Skipped
from mplug.data.host import sent
from mplug.data.regions.batch import PaddedRegions, pad_regions
from mplug.data.regions.stored import Regions

NO_ANSWER = -100  # for a picture of which nothing is asked


@dataclass(frozen=True)
class Seen:
    """One picture, in the way that a model sees it."""

    regions: Regions | None = None
    pixels: npt.NDArray[np.float32] | None = None  # [3, height, width]


@dataclass(frozen=True)
class JointExample:
    """One picture and its texts, each as ids; those of sentences begin with [CLS], end with [SEP].

    `tags` end with [SEP] only: they stand behind a caption.
    """

    picture: Seen
    caption: list[int]
    second_caption: list[int]
    tags: list[int]
    question: list[int]
    answer: int
    other_picture: Seen
    other_text: list[int]
    image_id: int  # the same number means the same picture
    caption_id: int  # the same number means the same caption


@dataclass(frozen=True)
class PaddedText:
    """Texts as ids; the mask is False at padding."""

    ids: Int[Tensor, "batch words"]
    mask: Bool[Tensor, "batch words"]

    def rows(self, rows: Int[Tensor, "chosen"]) -> Self:
        """The texts in these rows."""
        return replace(self, ids=self.ids[rows], mask=self.mask[rows])

    def to(self, device: torch.device | str) -> Self:
        """The same texts on another device."""
        return replace(self, **sent(self, device))


@dataclass(frozen=True)
class PaddedPictures:
    """Pictures, in the way that a model sees them."""

    regions: PaddedRegions | None
    pixels: Float[Tensor, "batch 3 height width"] | None

    def rows(self, rows: Int[Tensor, "chosen"]) -> Self:
        """The pictures in these rows."""
        return replace(
            self,
            regions=None if self.regions is None else self.regions.rows(rows),
            pixels=None if self.pixels is None else self.pixels[rows],
        )

    def to(self, device: torch.device | str) -> Self:
        """The same pictures on another device."""
        regions = None if self.regions is None else self.regions.to(device)
        return replace(self, regions=regions, **sent(self, device))


@dataclass(frozen=True)
class JointBatch:
    """Pictures with all their texts, and as many texts and pictures without each other."""

    pictures: PaddedPictures
    captions: PaddedText
    second_captions: PaddedText
    tags: PaddedText
    questions: PaddedText
    answers: Int[Tensor, "batch"]
    other_pictures: PaddedPictures
    other_texts: PaddedText
    image_ids: Int[Tensor, "batch"]
    caption_ids: Int[Tensor, "batch"]
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        """How many pictures with texts there are."""
        return len(self.image_ids)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        parts = {name: value for name, value in vars(self).items() if name != "skipped"}
        return replace(self, **{name: value.to(device) for name, value in parts.items()})


def pad_texts(texts: Sequence[Sequence[int]], *, pad_id: int) -> PaddedText:
    """Texts padded to the longest."""
    longest = max(len(text) for text in texts)
    ids = torch.full((len(texts), longest), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(texts), longest), dtype=torch.bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = True
    return PaddedText(ids, mask)


def pad_pictures(pictures: Sequence[Seen]) -> PaddedPictures:
    """Pictures of one kind: regions are padded to the most, pixels are of one size."""
    regions = [each.regions for each in pictures if each.regions is not None]
    pixels = [torch.from_numpy(each.pixels) for each in pictures if each.pixels is not None]
    return PaddedPictures(
        pad_regions(regions) if regions else None, torch.stack(pixels) if pixels else None
    )


def collate_joint(examples: Sequence[JointExample], *, pad_id: int = 0) -> JointBatch:
    """Pad the pictures' regions to the most, and each kind of text to its longest."""

    def texts(name: str) -> PaddedText:
        return pad_texts([getattr(example, name) for example in examples], pad_id=pad_id)

    def numbers(name: str) -> Tensor:
        return torch.tensor([getattr(example, name) for example in examples], dtype=torch.int64)

    return JointBatch(
        pictures=pad_pictures([example.picture for example in examples]),
        captions=texts("caption"),
        second_captions=texts("second_caption"),
        tags=texts("tags"),
        questions=texts("question"),
        answers=numbers("answer"),
        other_pictures=pad_pictures([example.other_picture for example in examples]),
        other_texts=texts("other_text"),
        image_ids=numbers("image_id"),
        caption_ids=numbers("caption_id"),
    )
