"""Hiding what belongs together: all pieces of a word, neighbouring words, overlapping regions.

Whole words as in ViLT (arXiv 2102.03334), spans and overlapping regions as in InterBERT (arXiv
2003.13198): what is left of a group would give away what is hidden of it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

OVERLAP = 0.4  # of the union of two boxes: more, and they show much the same
SPAN = 3  # words side by side


def as_words(
    uniforms: Float[Tensor, "batch words draws"], *, continues: Bool[Tensor, "batch words"]
) -> Float[Tensor, "batch words draws"]:
    """The draw of a word's first piece for all its pieces: they are hidden together, or not.

    `continues` is True at pieces that go on with the word before them.
    """
    places = torch.arange(uniforms.shape[1], device=uniforms.device)
    first = torch.where(continues, 0, places).cummax(dim=1).values
    return uniforms.gather(1, first[..., None].expand_as(uniforms))


def as_spans(
    uniforms: Float[Tensor, "batch words draws"], *, length: int = SPAN
) -> Float[Tensor, "batch words draws"]:
    """The draw of the first of `length` words for them all."""
    places = torch.arange(uniforms.shape[1], device=uniforms.device)
    return uniforms[:, places - places % length]


def with_overlapping(
    hidden: Bool[Tensor, "batch regions"],
    boxes: Float[Tensor, "batch regions 4"],
    *,
    mask: Bool[Tensor, "batch regions"],
) -> Bool[Tensor, "batch regions"]:
    """Hidden regions, and those that overlap one of them by more than 0.4 of their union."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    union = area[:, :, None] + area[:, None] - shared
    near = (shared > OVERLAP * union) & hidden[:, :, None]
    return mask & (hidden | near.any(dim=1))
