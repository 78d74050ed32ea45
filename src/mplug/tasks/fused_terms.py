"""Losses that are read off fused texts: all texts of a step meet their images in one call."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.models.mplug import MPlug, Text


class FusedTerm(NamedTuple):
    """Texts to be fused, and what their fused states cost."""

    text: Float[Tensor, "texts words dim"]
    mask: Bool[Tensor, "texts words"]
    places: Int[Tensor, "texts"] | None  # which image each text meets; None: the one beside it
    loss: Callable[[Text], Float[Tensor, ""]]


def fused_losses(
    model: MPlug, images: Float[Tensor, "images patches dim"], terms: Mapping[str, FusedTerm]
) -> dict[str, Float[Tensor, ""]]:
    """The loss of each term. What is done to an image alone is done once for all of them."""
    if not terms:
        return {}
    each = terms.values()
    longest = max(term.text.shape[1] for term in each)
    padding = [longest - term.text.shape[1] for term in each]
    fused = model.fuse_text(
        torch.cat([F.pad(term.text, (0, 0, 0, n)) for term, n in zip(each, padding, strict=True)]),
        images,
        torch.cat([F.pad(term.mask, (0, n)) for term, n in zip(each, padding, strict=True)]),
        places=_joined_places([*each], device=images.device),
    )
    parts = torch.split(fused, [len(term.text) for term in each])
    return {
        name: term.loss(part[:, : term.text.shape[1]])
        for (name, term), part in zip(terms.items(), parts, strict=True)
    }


def _joined_places(
    terms: list[FusedTerm], *, device: torch.device
) -> Int[Tensor, "all_texts"] | None:
    if len(terms) == 1:  # nothing to share if its texts have images of their own
        return terms[0].places
    return torch.cat(
        [
            torch.arange(len(term.text), device=device) if term.places is None else term.places
            for term in terms
        ]
    )
