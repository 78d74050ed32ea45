"""Feed-forward layers and the two ways of wrapping a sub-layer: norm before it, or after it."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.nn.attention import Attention
from mplug.nn.dropout import Dropout
from mplug.nn.remade import remade

States = Float[Tensor, "batch words dim"]


STEEPNESS = 1.702  # of CLIP's activation


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's activation, x * sigmoid(1.702 x), as a SiLU: half as much is kept for gradients."""
    scaled = STEEPNESS * x
    if scaled.requires_grad:
        return F.silu(scaled) / STEEPNESS
    return F.silu(scaled, inplace=True).div_(STEEPNESS)


class FeedForward(nn.Module):
    """Two linear layers with an activation between, each position by itself."""

    def __init__(
        self, dim: int, *, hidden_dim: int, activation: Callable[[Tensor], Tensor] = F.gelu
    ) -> None:
        super().__init__()
        self.widen = nn.Linear(dim, hidden_dim)
        self.narrow = nn.Linear(hidden_dim, dim)
        self.activation = activation

    def forward(self, x: States) -> States:
        """Applied to every position alike."""
        with remade(self.activation, self.widen(x)) as active:
            narrowed: Tensor = self.narrow(active)
        return narrowed


class PostNorm(nn.Module):
    """BERT's wrapping: LayerNorm(x + dropout(update)); the caller computes the update."""

    def __init__(self, dim: int, *, eps: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(self, x: States, update: States) -> States:
        """The residual sum of `x` and `update`, normalised."""
        dropped = self.dropout(update) if self.training else update
        normalised: Tensor = self.norm(x + dropped)
        return normalised


class SelfAttentionSublayer(nn.Module):
    """Post-norm self-attention."""

    def __init__(self, dim: int, *, num_heads: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.add = PostNorm(dim, eps=eps, dropout=dropout)

    def forward(
        self,
        x: States,
        mask: Bool[Tensor, "batch #words words"] | None,
        *,
        first: int | None = None,
    ) -> Float[Tensor, "batch asked dim"]:
        """`x` after reading itself; only its first states where `first` says how many are wanted.

        The mask is then one row for all queries.
        """
        asked = x if first is None else x[:, :first]
        return self.add(asked, self.attention(asked, x, mask))


class CrossAttentionSublayer(nn.Module):
    """Post-norm attention to another sequence, which may be of another width (`memory_dim`)."""

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        eps: float,
        dropout: float,
        memory_dim: int | None = None,
        heads_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.attention = Attention(
            dim, num_heads=num_heads, dropout=dropout, memory_dim=memory_dim, heads_dim=heads_dim
        )
        self.add = PostNorm(dim, eps=eps, dropout=dropout)

    def forward(
        self,
        x: States,
        memory: Float[Tensor, "batch keys memory_dim"],
        mask: Bool[Tensor, "batch #words keys"] | None,
    ) -> States:
        """`x` after reading `memory`."""
        return self.add(x, self.attention(x, memory, mask))


class FeedForwardSublayer(nn.Module):
    """Post-norm feed-forward."""

    def __init__(self, dim: int, *, hidden_dim: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.feed_forward = FeedForward(dim, hidden_dim=hidden_dim)
        self.add = PostNorm(dim, eps=eps, dropout=dropout)

    def forward(self, x: States) -> States:
        """`x` after its feed-forward."""
        return self.add(x, self.feed_forward(x))


class PreNormBlock(nn.Module):
    """CLIP's transformer block: each sub-layer reads a normalised copy and adds onto the stream."""

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        hidden_dim: int,
        eps: float,
        dropout: float,
        activation: Callable[[Tensor], Tensor] = quick_gelu,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim, eps=eps)
        self.attention = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.feed_forward_norm = nn.LayerNorm(dim, eps=eps)
        self.feed_forward = FeedForward(dim, hidden_dim=hidden_dim, activation=activation)

    def forward(self, x: States, mask: Bool[Tensor, "batch #words words"] | None = None) -> States:
        """`x` after self-attention and feed-forward."""
        normalised = self.attention_norm(x)
        x = x + self.attention(normalised, normalised, mask)
        return x + self.feed_forward(self.feed_forward_norm(x))
