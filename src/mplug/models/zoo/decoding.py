"""One stack that writes: nothing of what it has read is kept, so each word reads all anew.

The classes drive `inference` searches, whose decoders they are by their methods.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.view import Text, View
from mplug.nn.regions import Regions


@dataclass(frozen=True)
class Reread:
    """Pictures and prefixes, a row for each image, and the words of each hypothesis so far.

    The hypotheses of an image are consecutive.
    """

    view: View
    prefix: Text | None = None
    words: Int[Tensor, "rows words"] | None = None

    def reorder(self, indices: Int[Tensor, "rows"]) -> Self:
        """The hypotheses at `indices`; each must stay with its image."""
        return replace(self, words=None if self.words is None else self.words[indices])

    def select(self, images: Int[Tensor, "kept"], *, rows: Int[Tensor, "rows"]) -> Self:
        """Only some images, and the hypotheses `rows` that belong to them."""
        prefix = None if self.prefix is None else Text(*(each[images] for each in self.prefix))
        return replace(self.reorder(rows), view=view_rows(self.view, images), prefix=prefix)

    def longer(self, ids: Int[Tensor, "rows new"]) -> Self:
        """With more words."""
        return replace(self, words=ids if self.words is None else torch.cat([self.words, ids], 1))

    @property
    def text(self) -> Text:
        """The words; none is padding."""
        assert self.words is not None
        return Text(self.words, torch.ones_like(self.words, dtype=torch.bool))

    def spread(self) -> tuple[View, Text | None]:
        """The picture and the prefix of every hypothesis."""
        assert self.words is not None
        shown = self.view.pixels if self.view.regions is None else self.view.regions.features
        assert shown is not None
        images = len(shown)
        rows = torch.arange(images, device=self.words.device)
        rows = rows.repeat_interleave(len(self.words) // images)
        prefix = None if self.prefix is None else Text(*(each[rows] for each in self.prefix))
        return view_rows(self.view, rows), prefix


class NextWords:
    """Writes as captioning and prefix language modelling taught: a word's state says the next."""

    def __init__(self, model: PairModel) -> None:
        self.model = model

    def start(self, view: Any, prefix: Any = None, /) -> Reread:
        """A cache that has read nothing but pictures and, where there are some, prefixes."""
        return Reread(view, prefix)

    def step(
        self, ids: Int[Tensor, "rows new"], cache: Reread
    ) -> tuple[Float[Tensor, "rows vocab"], Reread]:
        """Logits after the last of the new words, and the cache that holds them."""
        cache = cache.longer(ids)
        view, prefix = cache.spread()
        states = self.model.write(cache.text, view, prefix=prefix)
        return self.model.word_logits(states[:, -1]), cache


class NextMasks:
    """Writes as masked words that see what stands before taught: a mask behind the last word."""

    def __init__(self, model: PairModel, *, mask_id: int) -> None:
        self.model, self.mask_id = model, mask_id

    def start(self, view: Any, prefix: Any = None, /) -> Reread:
        """A cache that has read nothing but pictures and, where there are some, prefixes."""
        return Reread(view, prefix)

    def step(
        self, ids: Int[Tensor, "rows new"], cache: Reread
    ) -> tuple[Float[Tensor, "rows vocab"], Reread]:
        """Logits after the last of the new words, and the cache that holds them."""
        cache = cache.longer(ids)
        view, _ = cache.spread()
        text = cache.longer(torch.full_like(ids[:, :1], self.mask_id)).text
        states = self.model.encode(text, view, written=text.mask).text
        return self.model.word_logits(states[:, -1]), cache


def view_rows(view: View, rows: Int[Tensor, "chosen"]) -> View:
    """The pictures in these rows."""
    regions = view.regions
    if regions is not None:
        mask = None if regions.mask is None else regions.mask[rows]
        regions = Regions(regions.features[rows], regions.boxes[rows], mask)
    pixels = None if view.pixels is None else view.pixels[rows]
    return View(regions, pixels, None if view.cells is None else view.cells[rows])
