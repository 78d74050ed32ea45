"""How words and pictures enter a model: each makes a segment of its sequence."""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.models.initial import NEW_WEIGHT_STD
from mplug.models.single_stream import Segment
from mplug.models.zoo.regions import GeometryRegions, with_whole
from mplug.models.zoo.view import Text, View
from mplug.nn.embeddings import WordEmbeddings, resize_positions
from mplug.nn.modified_resnet import ModifiedResNet

Hidden = Bool[Tensor, "batch regions"] | None
Places = Float[Tensor, "batch places dim"]


@runtime_checkable
class ImageInput(Protocol):
    """Pictures as a segment; `before` of its places stand in front of the first region."""

    before: int

    def __call__(self, view: View, hidden: Hidden = None) -> Segment:
        """The segment of a view; where `hidden`, what a region shows is not seen."""
        ...


class RegionInput(nn.Module):
    """Regions as they are."""

    before = 0

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, view: View, hidden: Hidden = None) -> Segment:
        """The regions of a view."""
        assert view.regions is not None
        return Segment(self.embed(view.regions, hidden), view.regions.mask)


class WholeRegionInput(nn.Module):
    """Regions behind the whole picture."""

    before = 1

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, view: View, hidden: Hidden = None) -> Segment:
        """The whole picture, then its regions."""
        assert view.regions is not None
        whole = with_whole(view.regions, hidden)
        return Segment(self.embed(*whole), whole.regions.mask)


class GridInput(nn.Module):
    """Pixel-BERT's: places of a feature map, projected, with a vector that says "image".

    Only `view.cells` of them where given: so drawn, they are quick to read and hard to overfit.
    """

    before = 0

    def __init__(self, dim: int, *, trunk: ModifiedResNet, eps: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.linear = nn.Linear(trunk.channels, dim)
        self.segment = nn.Parameter(torch.zeros(dim))
        self.norm = nn.LayerNorm(dim, eps=eps)
        nn.init.normal_(self.segment, std=NEW_WEIGHT_STD)

    def forward(self, view: View, hidden: Hidden = None) -> Segment:
        """The places of each picture's feature map in reading order, or those drawn."""
        assert view.pixels is not None
        places = self.linear(chosen(self.trunk.grid(view.pixels), view.cells))
        return Segment(self.norm(places + self.segment))


class PlacedGridInput(nn.Module):
    """SimVLM's: places of a shallow feature map as patches, with positions."""

    before = 0

    def __init__(self, dim: int, *, trunk: ModifiedResNet, places: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.linear = nn.Linear(trunk.channels, dim)
        self.positions = nn.Parameter(torch.zeros(places, dim))
        nn.init.normal_(self.positions, std=NEW_WEIGHT_STD)

    def forward(self, view: View, hidden: Hidden = None) -> Segment:
        """The places of each picture's feature map in reading order; one size only.

        Raises:
            ValueError: the picture is of another size than the positions.
        """
        assert view.pixels is not None
        places = self.trunk.grid(view.pixels)
        if places.shape[1] != len(self.positions):
            raise ValueError(f"{places.shape[1]} places, the model has {len(self.positions)}")
        return Segment(self.linear(places) + self.positions)


class PatchInput(nn.Module):
    """ViLT's: patches projected, a class token in front, positions, and a vector for "image"."""

    before = 1

    def __init__(self, dim: int, *, patch_size: int, patches: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = nn.Conv2d(3, dim, patch_size, stride=patch_size)
        self.class_embedding = nn.Parameter(torch.zeros(dim))
        self.positions = nn.Parameter(torch.zeros(1 + patches, dim))
        self.segment = nn.Parameter(torch.zeros(dim))
        for vector in (self.class_embedding, self.positions, self.segment):
            nn.init.normal_(vector, std=NEW_WEIGHT_STD)

    def forward(self, view: View, hidden: Hidden = None) -> Segment:
        """The class token, then the patches in reading order, or those drawn."""
        assert view.pixels is not None
        maps = self.projection(view.pixels)
        positions = resize_positions(self.positions, grid=(maps.shape[2], maps.shape[3]))
        patches = chosen(maps.flatten(2).transpose(1, 2) + positions[1:], view.cells)
        first = (self.class_embedding + positions[0]).expand(len(patches), 1, -1)
        return Segment(torch.cat([first, patches], dim=1) + self.segment)


def chosen(
    places: Places, cells: Int[Tensor, "batch cells"] | None
) -> Float[Tensor, "batch read dim"]:
    """The places at `cells`, row by row; all of them for None."""
    if cells is None:
        return places
    return places.gather(1, cells[..., None].expand(-1, -1, places.shape[2]))


class PlainWords(nn.Module):
    """Words as BERT embeds them, and a picture's parts as they come."""

    def __init__(self, words: WordEmbeddings, image: ImageInput) -> None:
        super().__init__()
        self.words = words
        self.image = image

    def text(
        self, text: Text, view: View | None = None, hidden: Hidden = None, *, start: int = 0
    ) -> Segment:
        """Words, of which the first stands at position `start`."""
        return Segment(self.words(text.ids, start=start), text.mask)

    def picture(self, view: View, hidden: Hidden = None) -> Segment:
        """A picture's parts."""
        return self.image(view, hidden)


class TypedWords(nn.Module):
    """ViLT's: words as BERT embeds them, and onto each a vector that says "text"."""

    def __init__(self, words: WordEmbeddings, image: ImageInput) -> None:
        super().__init__()
        self.words = words
        self.image = image
        self.kind = nn.Parameter(torch.zeros_like(words.segment))
        nn.init.normal_(self.kind, std=NEW_WEIGHT_STD)

    def text(
        self, text: Text, view: View | None = None, hidden: Hidden = None, *, start: int = 0
    ) -> Segment:
        """Words, of which the first stands at position `start`."""
        return Segment(self.words(text.ids, start=start) + self.kind, text.mask)

    def picture(self, view: View, hidden: Hidden = None) -> Segment:
        """A picture's parts."""
        return self.image(view, hidden)


class TaggedWords(nn.Module):
    """OSCAR's: beside the words, the names of what a picture shows, as a second text."""

    def __init__(self, words: WordEmbeddings, image: ImageInput) -> None:
        super().__init__()
        self.words = words
        self.image = image
        self.tag_segment = nn.Parameter(torch.zeros_like(words.segment))
        nn.init.normal_(self.tag_segment, std=NEW_WEIGHT_STD)

    def text(
        self, text: Text, view: View | None = None, hidden: Hidden = None, *, start: int = 0
    ) -> Segment:
        """Words, of which the first stands at position `start`."""
        return Segment(self.words(text.ids, start=start), text.mask)

    def tags(self, tags: Text, *, start: int) -> Segment:
        """Names, behind `start` words."""
        return Segment(_embed(self.words, tags, self.tag_segment, start=start), tags.mask)

    def picture(self, view: View, hidden: Hidden = None) -> Segment:
        """A picture's parts."""
        return self.image(view, hidden)


class VisualWords(nn.Module):
    """VL-BERT's: a word comes with the look of the whole picture, a region with that of itself.

    Regions stand at one position, behind any text; a text without a picture has no look.
    """

    before = 1

    def __init__(self, words: WordEmbeddings, look: GeometryRegions) -> None:
        super().__init__()
        self.words = words
        self.look = look
        self.region_word = nn.Parameter(torch.zeros_like(words.segment))
        self.region_segment = nn.Parameter(torch.zeros_like(words.segment))
        for vector in (self.region_word, self.region_segment):
            nn.init.normal_(vector, std=NEW_WEIGHT_STD)

    @property
    def image(self) -> "VisualWords":
        """What says how many places stand before the first region."""
        return self

    def text(
        self, text: Text, view: View | None = None, hidden: Hidden = None, *, start: int = 0
    ) -> Segment:
        """Words with the look of the picture that they are about, as far as it is not hidden."""
        more = self.words.segment
        if view is not None:
            assert view.regions is not None
            whole = with_whole(view.regions, hidden).regions
            first = whole._replace(features=whole.features[:, :1], boxes=whole.boxes[:, :1])
            more = more + self.look(first, None)
        return Segment(_embed(self.words, text, more, start=start), text.mask)

    def picture(self, view: View, hidden: Hidden = None) -> Segment:
        """The whole picture, then its regions."""
        assert view.regions is not None
        whole = with_whole(view.regions, hidden)
        last = self.words.positions.weight[-1]
        summed = self.look(*whole) + self.region_word + self.region_segment + last
        return Segment(self.words.dropout(self.words.norm(summed)), whole.regions.mask)


def _embed(words: WordEmbeddings, text: Text, more: Tensor, *, start: int) -> Tensor:
    """Words and positions with `more` in place of the segment, normalised."""
    end = start + text.ids.shape[1]
    if end > words.positions.num_embeddings:
        raise ValueError(f"{end} tokens, but the model has {words.positions.num_embeddings}")
    summed = words.words(text.ids) + words.positions.weight[start:end] + more
    return F.dropout(words.norm(summed), words.dropout.p, words.training)
