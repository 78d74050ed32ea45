"""Symmetric co-attention: text and image are streams of their own, and each reads the other.

A stream says what one side does in a layer; any two streams, of any widths, make a layer. In every
layer both streams read the other as it came in, so neither is ahead.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.nn.block import CrossAttentionSublayer, FeedForwardSublayer, SelfAttentionSublayer
from mplug.nn.masks import as_keys, rows_of

Own = Float[Tensor, "batch places dim"]
Asked = Float[Tensor, "batch asked dim"]  # all places, or the first of them
Other = Float[Tensor, "batch keys memory_dim"]
OwnMask = Bool[Tensor, "batch places"] | None  # True at a token; None: no padding
OtherMask = Bool[Tensor, "batch keys"] | None


class Stream(nn.Module):
    """One side: it reads itself, then the other side, each followed by its norm."""

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        hidden_dim: int,
        eps: float,
        dropout: float,
        memory_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.self_attention = SelfAttentionSublayer(
            dim, num_heads=num_heads, eps=eps, dropout=dropout
        )
        self.cross_attention = CrossAttentionSublayer(
            dim, num_heads=num_heads, eps=eps, dropout=dropout, memory_dim=memory_dim
        )
        self.feed_forward = FeedForwardSublayer(
            dim, hidden_dim=hidden_dim, eps=eps, dropout=dropout
        )

    def forward(
        self,
        own: Own,
        other: Other,
        own_mask: OwnMask,
        other_mask: OtherMask,
        *,
        first: int | None = None,
    ) -> Asked:
        """This side after the layer, or so many of its `first` states."""
        own = self.self_attention(own, as_keys(own_mask), first=first)
        return self.read(own, other, other_mask)

    def read(self, own: Own, other: Other, other_mask: OtherMask) -> Own:
        """What follows the self-attention."""
        own = self.cross_attention(own, other, as_keys(other_mask))
        updated: Tensor = self.feed_forward(own)
        return updated


class CrossStream(nn.Module):
    """One side that only reads the other: its self-attention is in layers of its own (ViLBERT).

    `heads_dim` is the width of all heads together, where it differs from `dim`.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        hidden_dim: int,
        eps: float,
        dropout: float,
        memory_dim: int | None = None,
        heads_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.cross_attention = CrossAttentionSublayer(
            dim,
            num_heads=num_heads,
            eps=eps,
            dropout=dropout,
            memory_dim=memory_dim,
            heads_dim=heads_dim,
        )
        self.feed_forward = FeedForwardSublayer(
            dim, hidden_dim=hidden_dim, eps=eps, dropout=dropout
        )

    def forward(
        self,
        own: Own,
        other: Other,
        own_mask: OwnMask,
        other_mask: OtherMask,
        *,
        first: int | None = None,
    ) -> Asked:
        """This side after the layer, or so many of its `first` states."""
        own = self.cross_attention(own[:, :first], other, as_keys(other_mask))
        updated: Tensor = self.feed_forward(own)
        return updated


class CrossFirstStream(nn.Module):
    """One side that reads the other before itself (LXMERT).

    Give both sides of a layer the same `cross_attention`, and they share its weights.
    """

    def __init__(
        self,
        dim: int,
        *,
        cross_attention: CrossAttentionSublayer,
        num_heads: int,
        hidden_dim: int,
        eps: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.cross_attention = cross_attention
        self.self_attention = SelfAttentionSublayer(
            dim, num_heads=num_heads, eps=eps, dropout=dropout
        )
        self.feed_forward = FeedForwardSublayer(
            dim, hidden_dim=hidden_dim, eps=eps, dropout=dropout
        )

    def forward(
        self,
        own: Own,
        other: Other,
        own_mask: OwnMask,
        other_mask: OtherMask,
        *,
        first: int | None = None,
    ) -> Asked:
        """This side after the layer, or so many of its `first` states."""
        own = self.cross_attention(own, other, as_keys(other_mask))
        updated: Tensor = self.feed_forward(
            self.self_attention(own, as_keys(own_mask), first=first)
        )
        return updated


class CoAttentionLayer(nn.Module):
    """Two streams, side by side; the same module for both shares all their weights.

    With `places`, text i meets image `places[i]`, and there is an image for each text afterwards.
    """

    keeps_image = False

    def __init__(self, text: nn.Module, image: nn.Module) -> None:
        super().__init__()
        self.text = text
        self.image = image

    def forward(
        self,
        text: Float[Tensor, "batch words dim"],
        image: Float[Tensor, "images patches image_dim"],
        text_mask: Bool[Tensor, "batch words"] | None,
        image_mask: Bool[Tensor, "images patches"] | None,
        places: Int[Tensor, "batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch words dim"], Float[Tensor, "fused patches image_dim"]]:
        """Both after the layer."""
        if places is not None:
            image, image_mask = image[places], rows_of(image_mask, places)
        read = self.text_only(text, image, text_mask, image_mask)
        return read, self.image(image, text, image_mask, text_mask)

    def text_only(
        self,
        text: Float[Tensor, "batch words dim"],
        image: Float[Tensor, "images patches image_dim"],
        text_mask: Bool[Tensor, "batch words"] | None,
        image_mask: Bool[Tensor, "images patches"] | None,
        places: Int[Tensor, "batch"] | None = None,
        *,
        first: int | None = None,
    ) -> Float[Tensor, "batch asked dim"]:
        """What `forward` makes of the text, or of its `first` states: no image's stream."""
        if places is not None:
            image, image_mask = image[places], rows_of(image_mask, places)
        read: Tensor = self.text(text, image, text_mask, image_mask, first=first)
        return read


def co_attention_layer(
    dim: int, *, num_heads: int, hidden_dim: int, eps: float, dropout: float
) -> CoAttentionLayer:
    """Two like streams of one width, each with weights of its own (mPLUG paper, figure 1b)."""

    def stream() -> Stream:
        return Stream(dim, num_heads=num_heads, hidden_dim=hidden_dim, eps=eps, dropout=dropout)

    return CoAttentionLayer(stream(), stream())
