"""How a text meets two images: a fusion network's own layers, each image read by an attention.

mPLUG paper, section 5 (NLVR2): an asymmetric layer has two cross-attention sublayers, one for each
image, whose outputs are merged before the feed-forward. A connected layer reads both images and the
text at once. Of a co-attention layer the text's stream does as an asymmetric layer, and the image's
takes each image by itself. Only the second image's sublayers are new; all others are the network's.
"""

import copy
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.nn.block import CrossAttentionSublayer
from mplug.nn.co_attention import CoAttentionLayer, Stream
from mplug.nn.fusion import AsymmetricLayer, FusionLayer
from mplug.nn.masks import as_keys

Text = Float[Tensor, "batch words dim"]
Image = Float[Tensor, "batch patches dim"]
SecondStates = Float[Tensor, "batch second_patches dim"]
Both = Float[Tensor, "batch both dim"]
TextMask = Bool[Tensor, "batch words"]


class SecondImage(nn.Module):
    """A second image's cross-attention for every layer with one, at first copies of the first's.

    So a model that has read single images understands two alike from the start.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.cross_attentions = nn.ModuleDict(
            {
                str(place): copy.deepcopy(side.cross_attention)
                for place, layer in enumerate(layers)
                if (side := _text_side(layer)) is not None
            }
        )

    def forward(
        self,
        layers: nn.ModuleList,
        text: Text,
        first: Image,
        second: SecondStates,
        text_mask: TextMask,
    ) -> Text:
        """The text after all `layers` (those this was made from) have read both images."""
        both, patches = torch.cat([first, second], dim=1), first.shape[1]
        for place, layer in enumerate(layers):
            last, side = place == len(layers) - 1, _text_side(layer)
            if side is None:
                text, both = _read_together(layer, text, both, text_mask, last=last)
                continue
            reader = cast(CrossAttentionSublayer, self.cross_attentions[str(place)])
            read = _read_pair(side, reader, text, both, patches, text_mask)
            if isinstance(layer, CoAttentionLayer) and not last:
                both = _each_image(layer, text, both, patches, text_mask)
            text = read
        return text


class MarkedImage(nn.Module):
    """For layers that read both images and the text at once: the second image's places are marked.

    The mark is a learned vector that begins as nothing, so both images are first read alike.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mark = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        layers: nn.ModuleList,
        text: Text,
        first: Image,
        second: SecondStates,
        text_mask: TextMask,
    ) -> Text:
        """The text after all `layers` have read both images."""
        both = torch.cat([first, second + self.mark], dim=1)
        for place, layer in enumerate(layers):
            last = place == len(layers) - 1
            text, both = _read_together(layer, text, both, text_mask, last=last)
        return text


def _text_side(layer: nn.Module) -> AsymmetricLayer | Stream | None:
    """What reads an image by an attention of its own in this layer, if anything does."""
    if isinstance(layer, AsymmetricLayer):
        return layer
    if isinstance(layer, CoAttentionLayer):
        return cast(Stream, layer.text)
    return None


def _read_together(
    layer: nn.Module, text: Text, both: Both, text_mask: TextMask, *, last: bool
) -> tuple[Text, Both]:
    """A layer that takes both images for one; after the last, what became of them is not asked."""
    if last:
        return cast(FusionLayer, layer).text_only(text, both, text_mask, None), both
    text, both = layer(text, both, text_mask, None)
    return text, both


def _read_pair(
    side: AsymmetricLayer | Stream,
    second_attention: CrossAttentionSublayer,
    text: Text,
    both: Both,
    patches: int,
    text_mask: TextMask,
) -> Text:
    """The text's part of a layer with the mean of what it reads from either image."""
    text = side.self_attention(text, as_keys(text_mask))
    first = side.cross_attention(text, both[:, :patches], None)
    second = second_attention(text, both[:, patches:], None)
    read: Tensor = side.feed_forward((first + second) / 2)
    return read


def _each_image(
    layer: CoAttentionLayer, text: Text, both: Both, patches: int, text_mask: TextMask
) -> Both:
    """Either image after it has read itself and the text."""
    parts = both[:, :patches], both[:, patches:]
    return torch.cat([layer.image(part, text, None, text_mask) for part in parts], dim=1)
