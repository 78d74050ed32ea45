"""Pictures as regions for models that look at regions: read from files, or described here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mplug.data.fields import Box
from mplug.data.media import load_image
from mplug.data.regions.pictures import GRID_SURE, Looked, grid, of_boxes
from mplug.data.regions.record_examples import SUFFIX
from mplug.data.regions.stored import Floats, Regions, load_regions
from mplug.data.transforms import to_array
from mplug.errors import CheckpointError, DataError
from mplug.interfaces.pictures import ImageSource, Picture, as_list, named
from mplug.models.region_encoder import RegionEncoder
from mplug.tasks.uniter_sources import region_encoder

CELLS = (4, 4)  # rows and columns of a grid, where nobody says where to look


@dataclass(frozen=True, eq=False)
class PictureRegions:
    """A picture as regions, made once to be used any number of times."""

    regions: Regions
    size: tuple[int, int] | None  # width and height of the picture in pixels; None: not known
    name: str = ""  # for error messages


RegionImage = ImageSource | Regions | PictureRegions
RegionImages = RegionImage | Sequence[RegionImage]
Named = tuple[RegionImage, str | None]


class _Described(NamedTuple):
    """A picture that is still to be described, and where it is looked at."""

    pixels: Floats  # [3, size, size], normalised
    boxes: Floats  # [regions, 4] in shares of its sides
    sure: float
    size: tuple[int, int]
    name: str


class RegionReader:
    """Makes regions of whatever stands for a picture, as wide as a model reads them."""

    def __init__(self, encoder: str, *, feature_size: int, device: torch.device) -> None:
        self.feature_size, self.device = feature_size, device
        self._name = encoder
        self._encoder: RegionEncoder | None = None  # loaded when a raw picture comes

    def use(self, encoder: str) -> None:
        """Describe pictures with another model's image encoder from now on.

        Raises:
            CheckpointError: there is no such model, or it describes regions by more or fewer
                numbers than are read.
        """
        self._encoder, self._name = self._load(encoder), encoder

    def read(
        self,
        image: RegionImage,
        *,
        name: str | None = None,
        boxes: Sequence[Box] | None = None,
        cells: tuple[int, int] = CELLS,
        size: tuple[int, int] | None = None,
    ) -> PictureRegions:
        """One picture; see `UniterModel.read`."""
        made = self._made(image, name, boxes=boxes, cells=cells, size=size)
        return self._describe([made])[0] if isinstance(made, _Described) else made

    def read_all(self, images: Sequence[Named]) -> list[PictureRegions]:
        """A batch; raw pictures are described together, and one that comes again is read once."""
        made = {id(image): self._made(image, name) for image, name in images}
        raw = {place: each for place, each in made.items() if isinstance(each, _Described)}
        described = dict(zip(raw, self._describe(list(raw.values())), strict=True))
        whole = {
            place: each for place, each in made.items() if isinstance(each, PictureRegions)
        } | described
        return [whole[id(image)] for image, _ in images]

    def _made(
        self,
        image: RegionImage,
        name: str | None,
        *,
        boxes: Sequence[Box] | None = None,
        cells: tuple[int, int] = CELLS,
        size: tuple[int, int] | None = None,
    ) -> PictureRegions | _Described:
        called = name or (str(image) if isinstance(image, str | Path) else "the picture")
        if isinstance(image, str | Path) and Path(image).suffix.lower() == SUFFIX:
            image = load_regions(Path(image)).kept()
        if isinstance(image, Regions):
            image = PictureRegions(image, size, called)
        if not isinstance(image, PictureRegions):
            return self._looked(
                image, called, of_boxes(boxes) if boxes is not None else grid(*cells)
            )
        if boxes is not None:
            raise DataError(f"{called}: is regions already, so boxes cannot be chosen any more")
        width = image.regions.features.shape[1]
        if width != self.feature_size:
            raise DataError(
                f"{called}: {width} numbers describe a region, this model reads "
                f"{self.feature_size}: describe pictures as those were that it learned from"
            )
        return image

    def _looked(self, image: ImageSource, name: str, looked: Looked) -> _Described:
        encoder = self._ready()
        if isinstance(image, Picture):
            raise DataError(f"{name}: pixels of another model; give the picture itself")
        opened = load_image(image, name=None if isinstance(image, str | Path) else name)
        boxes = looked.shares(width=opened.width, height=opened.height)
        if not len(boxes) or (boxes[:, :2] >= boxes[:, 2:]).any():
            raise DataError(f"{name}: there are no boxes, or one is empty or outside of it")
        sure = 1.0 if looked.in_pixels else GRID_SURE
        pixels = to_array(opened, size=encoder.image_size)
        return _Described(pixels, boxes, sure, opened.size, name)

    def _describe(self, pictures: Sequence[_Described]) -> list[PictureRegions]:
        if not pictures:
            return []
        pixels = np.stack([each.pixels for each in pictures])
        found = self._ready().describe(pixels, [each.boxes for each in pictures])
        return [
            PictureRegions(
                Regions(features, each.boxes, np.full(len(features), each.sure, dtype=np.float32)),
                each.size,
                each.name,
            )
            for each, features in zip(pictures, found, strict=True)
        ]

    def _ready(self) -> RegionEncoder:
        if self._encoder is None:
            if not self._name:
                raise CheckpointError(
                    "this model does not know what described the regions that it learned from: "
                    "give .npz files, or name an image encoder, model.describe_with('mplug-tiny')"
                )
            self._encoder = self._load(self._name)
        return self._encoder

    def _load(self, name: str) -> RegionEncoder:
        encoder = region_encoder(name)
        encoder.vision.to(self.device)
        if encoder.feature_size != self.feature_size:
            raise CheckpointError(
                f"{name}: describes a region by {encoder.feature_size} numbers, and this model "
                f"reads {self.feature_size}: it learned from another's"
            )
        return encoder


def as_sources(images: RegionImages) -> tuple[list[Named], bool]:
    """The pictures with their names for errors, and whether it was a single one."""
    if isinstance(images, Regions | PictureRegions):
        return [(images, None)], True
    sources, single = as_list(images)  # type: ignore[arg-type]
    return list(_named(sources)), single


def _named(sources: Sequence[RegionImage]) -> Iterator[Named]:
    yield from named(sources)  # type: ignore[arg-type]
