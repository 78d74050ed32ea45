"""How text meets an image: layers map (text, image) to (text, image), a scheme lists layers.

The cross-modal skip-connected network of the mPLUG paper (section 3.2): cheap asymmetric layers,
in which only the text is updated and the image skips through, and now and then a connected layer
in which both read both.
"""

from collections.abc import Collection

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.nn.block import CrossAttentionSublayer, FeedForwardSublayer, SelfAttentionSublayer
from mplug.nn.masks import as_keys, join

Text = Float[Tensor, "batch words dim"]
Image = Float[Tensor, "batch patches dim"]
TextMask = Bool[Tensor, "batch words"]  # True at a token, False at padding
ImageMask = Bool[Tensor, "batch patches"] | None  # None: no padding


class AsymmetricLayer(nn.Module):
    """Text reads itself, then the image; the image passes through unchanged."""

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
        self, text: Text, image: Image, text_mask: TextMask, image_mask: ImageMask
    ) -> tuple[Text, Image]:
        """The text after reading itself and the image; the image as it came."""
        text = self.self_attention(text, as_keys(text_mask))
        text = self.cross_attention(text, image, as_keys(image_mask))
        return self.feed_forward(text), image


class ConnectedLayer(nn.Module):
    """One self-attention over [image; text], so each reads both."""

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
        self, text: Text, image: Image, text_mask: TextMask, image_mask: ImageMask
    ) -> tuple[Text, Image]:
        """Both sequences after reading both."""
        lengths = (image.shape[1], text.shape[1])
        mask = join(image_mask, text_mask, lengths=lengths, batch=text.shape[0], device=text.device)
        both = torch.cat([image, text], dim=1)
        both = self.feed_forward(self.self_attention(both, as_keys(mask)))
        image, text = both.split(lengths, dim=1)
        return text, image


class ImageSkip(nn.Module):
    """Adds what `layer` makes of the image onto the image it was given, as the released code."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, text: Text, image: Image, text_mask: TextMask, image_mask: ImageMask
    ) -> tuple[Text, Image]:
        """The layer's text, and the old image plus the layer's."""
        text, update = self.layer(text, image, text_mask, image_mask)
        return text, image + update


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
        kind = ConnectedLayer if place in connected_at else AsymmetricLayer
        made = kind(dim, num_heads=num_heads, hidden_dim=hidden_dim, eps=eps, dropout=dropout)
        return ImageSkip(made) if add_image and place in connected_at else made

    return nn.ModuleList(layer(place) for place in range(num_layers))
