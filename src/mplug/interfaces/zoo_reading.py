"""Pictures and texts as the models of docs/zoo.md take them."""

from collections.abc import Sequence

import torch

from mplug.config.schema_zoo import RegionsPart, ZooConfig
from mplug.data.fields import Box
from mplug.data.joint_batch import pad_texts
from mplug.data.regions.batch import pad_regions
from mplug.data.regions.stored import Regions as StoredRegions
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError
from mplug.interfaces.pictures import Picture, read_picture
from mplug.interfaces.region_reading import (
    CELLS,
    Named,
    PictureRegions,
    RegionImage,
    RegionReader,
)
from mplug.models.zoo.view import Text, View
from mplug.nn.regions import Regions

Seen = Picture | PictureRegions


class ZooReader:
    """Makes pictures into what a model looks at: regions, or pixels of its size."""

    def __init__(self, config: ZooConfig, *, encoder: str, device: torch.device) -> None:
        self.image, self.device = config.image, device
        self.regions: RegionReader | None = None
        if isinstance(self.image, RegionsPart):
            size = self.image.feature_size
            self.regions = RegionReader(encoder, feature_size=size, device=device)

    def read(
        self,
        image: RegionImage,
        *,
        name: str | None = None,
        boxes: Sequence[Box] | None = None,
        cells: tuple[int, int] = CELLS,
    ) -> Seen:
        """One picture; see `ZooModel.read`."""
        if self.regions is not None:
            return self.regions.read(image, name=name, boxes=boxes, cells=cells)
        if boxes is not None:
            raise DataError(f"{name or 'boxes'}: this model looks at pixels, not at boxes")
        return self._pixels(image, name)

    def view(self, images: Sequence[Named]) -> View:
        """A batch of pictures."""
        if self.regions is not None:
            read = self.regions.read_all(images)
            padded = pad_regions([each.regions for each in read]).to(self.device)
            return View(Regions(padded.features, padded.boxes, padded.mask))
        pixels = [torch.from_numpy(self._pixels(image, name).pixels) for image, name in images]
        return View(pixels=torch.cat(pixels).to(self.device))

    def _pixels(self, image: RegionImage, name: str | None) -> Picture:
        assert not isinstance(self.image, RegionsPart)
        if isinstance(image, PictureRegions | StoredRegions):
            raise DataError(f"{name or 'the picture'}: this model looks at pixels, not at regions")
        read = read_picture(image, size=self.image.image_size, name=name)
        if read.is_clip:
            raise DataError(f"{name or 'a clip'}: this model looks at still pictures")
        if read.pixels.shape[-1] != self.image.image_size:
            raise DataError(f"{name or 'the picture'}: pixels of another model; give the picture")
        return read


class TextReader:
    """Makes ids of texts, and says which are too long for a model."""

    def __init__(self, tokenizer: Tokenizer, *, longest: int, device: torch.device) -> None:
        self.tokenizer, self.longest, self.device = tokenizer, longest, device

    def padded(self, texts: Sequence[Sequence[int]], *, more: int = 0) -> Text:
        """Texts of one batch, behind or before which `more` positions are taken.

        Raises:
            DataError: one is too long.
        """
        for ids in texts:
            if len(ids) + more > self.longest:
                raise DataError(
                    f"the text {self.tokenizer.decode(ids)[:60]!r}... has {len(ids) + more} tokens "
                    f"with what goes with it, and this model reads at most {self.longest}: "
                    "shorten it"
                )
        found = pad_texts(texts, pad_id=self.tokenizer.pad_id).to(self.device)
        return Text(found.ids, found.mask)
