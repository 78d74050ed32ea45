"""How text meets an image: layers map (text, image) to (text, image), a scheme lists layers.

The cross-modal skip-connected network of the mPLUG paper (section 3.2): cheap asymmetric layers,
in which only the text is updated and the image skips through, and now and then a connected layer
in which both read both. What it is compared with has one kind of layer throughout.
"""

from collections.abc import Callable, Collection
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.nn.block import CrossAttentionSublayer, FeedForwardSublayer, SelfAttentionSublayer
from mplug.nn.co_attention import co_attention_layer
from mplug.nn.masks import as_keys, join, rows_of

Text = Float[Tensor, "batch words dim"]
AskedText = Float[Tensor, "batch asked dim"]  # all words, or the first of them
Image = Float[Tensor, "images patches dim"]  # one for each text, unless there are `Places`
FusedImage = Float[Tensor, "fused patches dim"]
TextMask = Bool[Tensor, "batch words"]  # True at a token, False at padding
ImageMask = Bool[Tensor, "images patches"] | None  # None: no padding
Places = Int[Tensor, "batch"] | None  # which image each text meets; None: the one beside it


class FusionLayer(Protocol):
    """What every way of fusing offers.

    Where `places` are given, texts share images: text i meets image `places[i]`, and what is done
    to an image alone is done once. The image returned is the one given, still to be shared, where
    the layer `keeps_image`; else there is one for each text.
    """

    keeps_image: bool

    def __call__(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
    ) -> tuple[Text, FusedImage]:
        """Text and image after the layer."""
        ...

    def text_only(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
        *,
        first: int | None = None,
    ) -> AskedText:
        """The text that a call returns, without the work that only the image would need.

        With `first`, only so many of each text's first states, without what the others need.
        """
        ...


class AsymmetricLayer(nn.Module):
    """Text reads itself, then the image; the image passes through unchanged."""

    keeps_image = True

    def __init__(
        self, dim: int, *, num_heads: int, hidden_dim: int, eps: float, dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = SelfAttentionSublayer(
            dim, num_heads=num_heads, eps=eps, dropout=dropout
        )
        self.cross_attention = CrossAttentionSublayer(
            dim, num_heads=num_heads, eps=eps, dropout=dropout
        )
        self.feed_forward = FeedForwardSublayer(
            dim, hidden_dim=hidden_dim, eps=eps, dropout=dropout
        )

    def forward(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
    ) -> tuple[Text, FusedImage]:
        """The text after reading itself and the image; the image as it came."""
        return self.text_only(text, image, text_mask, image_mask, places), image

    def text_only(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
        *,
        first: int | None = None,
    ) -> AskedText:
        """What `forward` makes of the text."""
        text = self.self_attention(text, as_keys(text_mask), first=first)
        if places is None:
            text = self.cross_attention(text, image, as_keys(image_mask))
        else:
            attention = self.cross_attention.attention
            seen = attention.project(image)
            # All rows that meet a single image read it where it is.
            if len(image) > 1:
                seen, image_mask = seen.reorder(places), rows_of(image_mask, places)
            read = attention.read(text, seen, as_keys(image_mask))
            text = self.cross_attention.add(text, read)
        return self.feed_forward(text)


class ConnectedLayer(nn.Module):
    """One self-attention over [image; text], so each reads both."""

    keeps_image = False

    def __init__(
        self, dim: int, *, num_heads: int, hidden_dim: int, eps: float, dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = SelfAttentionSublayer(
            dim, num_heads=num_heads, eps=eps, dropout=dropout
        )
        self.feed_forward = FeedForwardSublayer(
            dim, hidden_dim=hidden_dim, eps=eps, dropout=dropout
        )

    def forward(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
    ) -> tuple[Text, FusedImage]:
        """Both sequences after reading both."""
        lengths = [image.shape[1], text.shape[1]]
        if places is None:
            both, mask = self._join(text, image, text_mask, image_mask)
            both = self.self_attention(both, as_keys(mask))
        else:
            attention = self.self_attention.attention
            seen, seen_keys = attention.itself(image)
            asked, text_keys = attention.itself(text)
            queries = torch.cat([seen.index_select(0, places), asked], dim=2)
            keys = seen_keys.reorder(places).append(text_keys)
            both, mask = self._join(text, image[places], text_mask, rows_of(image_mask, places))
            both = self.self_attention.add(both, attention.answer(queries, keys, as_keys(mask)))
        image, text = self.feed_forward(both).split(lengths, dim=1)
        return text, image

    def text_only(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
        *,
        first: int | None = None,
    ) -> AskedText:
        """What `forward` makes of the text, at the price of the text's queries alone."""
        attention, asked = self.self_attention.attention, text[:, :first]
        if places is None:
            both, mask = self._join(text, image, text_mask, image_mask)
            read = attention(asked, both, as_keys(mask))
        else:
            lengths = (image.shape[1], text.shape[1])
            seen = rows_of(image_mask, places)
            mask = join(seen, text_mask, lengths=lengths, batch=len(text), device=text.device)
            keys = attention.project(image).reorder(places).append(attention.project(text))
            read = attention.read(asked, keys, as_keys(mask))
        return self.feed_forward(self.self_attention.add(asked, read))

    @staticmethod
    def _join(
        text: Text, image: Image, text_mask: TextMask, image_mask: ImageMask
    ) -> tuple[Float[Tensor, "batch both dim"], Bool[Tensor, "batch both"] | None]:
        lengths = (image.shape[1], text.shape[1])
        mask = join(image_mask, text_mask, lengths=lengths, batch=text.shape[0], device=text.device)
        return torch.cat([image, text], dim=1), mask


class ImageSkip(nn.Module):
    """Adds what `layer` makes of the image onto the image it was given, as the released code."""

    keeps_image = False

    def __init__(self, layer: ConnectedLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
    ) -> tuple[Text, FusedImage]:
        """The layer's text, and the old image plus the layer's."""
        text, update = self.layer(text, image, text_mask, image_mask, places)
        return text, (image if places is None else image[places]) + update

    def text_only(
        self,
        text: Text,
        image: Image,
        text_mask: TextMask,
        image_mask: ImageMask,
        places: Places = None,
        *,
        first: int | None = None,
    ) -> AskedText:
        """The layer's text; what becomes of the image is left out."""
        return self.layer.text_only(text, image, text_mask, image_mask, places, first=first)


def skip_connected(
    num_layers: int,
    *,
    connected_at: Collection[int],
    add_image: bool,
    dim: int,
    num_heads: int,
    hidden_dim: int,
    eps: float,
    dropout: float,
) -> nn.ModuleList:
    """Asymmetric layers, and connected ones at the given places, counted from 0.

    `add_image` keeps the image's old states under a connected layer's new ones (the released
    rule); otherwise the new states replace them (the paper's).
    """

    def layer(place: int) -> nn.Module:
        if place not in connected_at:
            return AsymmetricLayer(
                dim, num_heads=num_heads, hidden_dim=hidden_dim, eps=eps, dropout=dropout
            )
        connected = ConnectedLayer(
            dim, num_heads=num_heads, hidden_dim=hidden_dim, eps=eps, dropout=dropout
        )
        return ImageSkip(connected) if add_image else connected

    return nn.ModuleList(layer(place) for place in range(num_layers))


UNIFORM: dict[str, Callable[..., nn.Module]] = {
    "connected": ConnectedLayer,
    "co_attention": co_attention_layer,
    "asymmetric": AsymmetricLayer,
}
"""The schemes that are one kind of layer, over and over."""


def uniform(
    num_layers: int,
    *,
    scheme: str,
    dim: int,
    num_heads: int,
    hidden_dim: int,
    eps: float,
    dropout: float,
) -> nn.ModuleList:
    """Layers of one of the `UNIFORM` schemes."""
    layer = UNIFORM[scheme]
    return nn.ModuleList(
        layer(dim, num_heads=num_heads, hidden_dim=hidden_dim, eps=eps, dropout=dropout)
        for _ in range(num_layers)
    )
