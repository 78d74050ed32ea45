"""What UNITER is fine-tuned with: answers, two pictures, references; and the pooled pair.

UNITER (arXiv 1909.11740), section 4 and its appendix on downstream tasks.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.config.schema_uniter import UniterConfig
from mplug.models.single_stream import Segment, joint_mask
from mplug.nn.attention import Attention
from mplug.nn.dropout import Dropout
from mplug.nn.masks import as_keys

Pooled = Float[Tensor, "batch dim"]
States = Float[Tensor, "batch places dim"]
Mask = Bool[Tensor, "batch places"] | None
Read = Callable[..., tuple[Tensor, ...]]  # segments in, the states of each after reading all
Truth = Float[Tensor, "batch 2"]  # logits of false (0) and true (1)


class Pooler(nn.Module):
    """A pair as one vector, made of its first token (BERT's: linear, then tanh)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, states: States) -> Pooled:
        """The pooled pair."""
        return torch.tanh(self.linear(states[:, 0]))


class PooledClassHead(nn.Module):
    """Chooses among answers, or among relations, by a pooled pair."""

    def __init__(self, dim: int, *, classes: int, eps: float) -> None:
        super().__init__()
        self.widen = nn.Linear(dim, 2 * dim)
        self.norm = nn.LayerNorm(2 * dim, eps=eps)
        self.output = nn.Linear(2 * dim, classes)

    def forward(self, pooled: Pooled) -> Float[Tensor, "batch num_classes"]:
        """Logits of every class."""
        logits: Tensor = self.output(self.norm(F.gelu(self.widen(pooled))))
        return logits


class ReferenceHead(nn.Module):
    """Says which region a phrase means."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(dim, 1)

    def forward(
        self,
        regions: Float[Tensor, "batch regions dim"],
        mask: Bool[Tensor, "batch regions"] | None = None,
    ) -> Float[Tensor, "batch regions"]:
        """A logit for each region; minus infinity where there is none."""
        logits: Tensor = self.output(regions)[..., 0]
        return logits if mask is None else logits.masked_fill(~mask, -torch.inf)


class TripletHead(nn.Module):
    """A statement and both pictures, read as one sequence."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(dim, 2)

    def forward(
        self, read: Read, pool: Pooler, text: Segment, first: Segment, second: Segment
    ) -> Truth:
        """Whether the statement holds."""
        states = read(text, first, second)[0]
        logits: Tensor = self.output(pool(states))
        return logits


class PairHead(nn.Module):
    """The statement read with either picture, and the two pooled pairs side by side."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(2 * dim, 2)

    def forward(
        self, read: Read, pool: Pooler, text: Segment, first: Segment, second: Segment
    ) -> Truth:
        """Whether the statement holds."""
        pooled = [pool(read(text, picture)[0]) for picture in (first, second)]
        logits: Tensor = self.output(torch.cat(pooled, dim=-1))
        return logits


class AttentionPooling(nn.Module):
    """A sequence as the mean of its places, each of a learned weight."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(dim, 1)

    def forward(self, states: States, mask: Mask) -> Pooled:
        """The weighted mean of what is there."""
        scores = self.weigh(states)[..., 0]
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return (scores.softmax(dim=-1)[:, None] @ states)[:, 0]


class PairAttentionHead(nn.Module):
    """As a pair, but each reads the other once more, and every place of both has its say."""

    def __init__(self, dim: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.first_reads = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.second_reads = Attention(dim, num_heads=num_heads, dropout=dropout)
        self.merge = nn.Linear(2 * dim, dim)
        self.dropout = Dropout(dropout)
        self.attention_pool = AttentionPooling(dim)
        self.output = nn.Linear(2 * dim, 2)

    def forward(
        self, read: Read, pool: Pooler, text: Segment, first: Segment, second: Segment
    ) -> Truth:
        """Whether the statement holds; `pool` is not asked."""
        one, two = (torch.cat(read(text, picture), dim=1) for picture in (first, second))
        one_mask, two_mask = joint_mask(text, first), joint_mask(text, second)
        pooled = [
            self._pool(one, self.first_reads(one, two, as_keys(two_mask)), one_mask),
            self._pool(two, self.second_reads(two, one, as_keys(one_mask)), two_mask),
        ]
        logits: Tensor = self.output(torch.cat(pooled, dim=-1))
        return logits

    def _pool(self, own: States, other: States, mask: Mask) -> Pooled:
        """One picture's side: what it is, and what it read of the other."""
        merged = F.relu(self.merge(torch.cat([other, own], dim=-1)))
        pooled: Tensor = self.attention_pool(self.dropout(merged), mask)
        return pooled


def comparison_head(config: UniterConfig) -> nn.Module:
    """The head that `config.comparison` names; all of them are called alike."""
    dim = config.text.hidden_size
    if config.comparison == "triplet":
        return TripletHead(dim)
    if config.comparison == "pair":
        return PairHead(dim)
    return PairAttentionHead(dim, num_heads=config.text.num_heads, dropout=config.text.dropout)
