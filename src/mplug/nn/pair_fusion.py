"""How a text meets two images: a fusion network's own layers, each image read by an attention.

mPLUG paper, section 5 (NLVR2): an asymmetric layer has two cross-attention sublayers, one for each
image, whose outputs are merged before the feed-forward. A connected layer reads both images and the
text at once. Only the second image's sublayers are new; all others are the network's.
"""

import copy
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.nn.block import CrossAttentionSublayer
from mplug.nn.fusion import AsymmetricLayer, FusionLayer
from mplug.nn.masks import as_keys

Text = Float[Tensor, "batch words dim"]


class SecondImage(nn.Module):
    """A second image's cross-attention for every asymmetric layer, at first copies of the first's.

    So a model that has read single images understands two alike from the start.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.cross_attentions = nn.ModuleDict(
            {
                str(place): copy.deepcopy(layer.cross_attention)
                for place, layer in enumerate(layers)
                if isinstance(layer, AsymmetricLayer)
            }
        )

    def forward(
        self,
        layers: nn.ModuleList,
        text: Text,
        first: Float[Tensor, "batch patches dim"],
        second: Float[Tensor, "batch second_patches dim"],
        text_mask: Bool[Tensor, "batch words"],
    ) -> Text:
        """The text after all `layers` (those this was made from) have read both images."""
        both, patches = torch.cat([first, second], dim=1), first.shape[1]
        for place, layer in enumerate(layers):
            if str(place) in self.cross_attentions:
                reader = cast(CrossAttentionSublayer, self.cross_attentions[str(place)])
                text = _read_pair(
                    cast(AsymmetricLayer, layer), reader, text, both, patches, text_mask
                )
            elif place < len(layers) - 1:
                text, both = layer(text, both, text_mask, None)
            else:
                text = cast(FusionLayer, layer).text_only(text, both, text_mask, None)
        return text


def _read_pair(
    layer: AsymmetricLayer,
    second_attention: CrossAttentionSublayer,
    text: Text,
    both: Float[Tensor, "batch both dim"],
    patches: int,
    text_mask: Bool[Tensor, "batch words"],
) -> Text:
    """An asymmetric layer with the mean of what its text reads from either image."""
    text = layer.self_attention(text, as_keys(text_mask))
    first = layer.cross_attention(text, both[:, :patches], None)
    second = second_attention(text, both[:, patches:], None)
    return layer.feed_forward((first + second) / 2)
