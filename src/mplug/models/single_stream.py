"""The single stream: segments of any kind side by side, and one stack in which all read all.

A model of this kind is a list of embeddings (words, regions, tags, patches, cells of a grid), each
of which makes a segment, and a stack of layers.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.config.schema import TextConfig
from mplug.models.text import TextLayer
from mplug.nn.masks import as_keys

States = Float[Tensor, "batch places dim"]
Looks = Bool[Tensor, "batch #places places"]
# Layers over one sequence: states, and who may look at whom, in; states out.
Stack = Callable[[Tensor, Tensor | None], Tensor]


class Segment(NamedTuple):
    """A sequence that enters the stream; without a mask it has no padding."""

    states: States
    mask: Bool[Tensor, "batch places"] | None = None  # True at what is there


class PostNormStack(nn.Module):
    """BERT's layers."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.num_layers))

    def forward(self, states: States, mask: Looks | None) -> States:
        """Every place after reading those that the mask lets it see."""
        for layer in self.layers:
            states = layer(states, mask)
        return states


def read_together(
    stack: Stack, *segments: Segment, may_look: Looks | None = None
) -> tuple[Float[Tensor, "batch _ dim"], ...]:
    """The states of every segment after the stack has read them as one sequence.

    `may_look` narrows who reads whom, over all places of all segments in their order; padding is
    never read whatever it says. States at padding mean nothing.
    """
    states = torch.cat([segment.states for segment in segments], dim=1)
    mask = as_keys(joint_mask(*segments))
    if may_look is not None:
        mask = may_look if mask is None else may_look & mask
    lengths = [segment.states.shape[1] for segment in segments]
    read: States = stack(states, mask)
    return torch.split(read, lengths, dim=1)


def joint_mask(*segments: Segment) -> Bool[Tensor, "batch places"] | None:
    """The padding mask of the segments as one sequence; None where none of them has padding."""
    if all(segment.mask is None for segment in segments):
        return None
    return torch.cat(
        [
            torch.ones(segment.states.shape[:2], dtype=torch.bool, device=segment.states.device)
            if segment.mask is None
            else segment.mask
            for segment in segments
        ],
        dim=1,
    )
