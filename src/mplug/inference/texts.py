"""Reading many texts: those of like lengths together, so that little padding is computed."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

LEAST = 16  # texts of a bucket, however much their lengths differ: smaller calls cost more
SLACK = 4  # words by which the texts of a bucket may differ in length before it is split


def encode_texts(
    encode: Callable[[Tensor, Tensor], Tensor],
    ids: Int[Tensor, "texts words"],
    mask: Bool[Tensor, "texts words"],
    *,
    at_once: int,
) -> Float[Tensor, "texts words dim"]:
    """The states that `encode(ids, mask)` makes of texts, at most `at_once` of them together.

    Behind a text's last word its states are zeros, or what its neighbours' padding left there.
    """
    lengths = mask.sum(dim=1)
    order = lengths.argsort(stable=True)
    sizes = lengths[order].tolist()
    longest, parts = ids.shape[1], []
    for start in range(0, len(sizes), at_once):
        for bucket in buckets(sizes[start : start + at_once]):
            own = order[start + bucket.start : start + bucket.stop]
            width = sizes[start + bucket.stop - 1]
            read = encode(ids[own, :width], mask[own, :width])
            parts.append(F.pad(read, (0, 0, 0, longest - width)))
    return torch.cat(parts)[order.argsort()]


def buckets(lengths: Sequence[int]) -> Iterator[slice]:
    """Slices of texts whose rising `lengths` differ little, none of them needlessly small."""
    first = 0
    for place, length in enumerate(lengths):
        full = place - first >= LEAST and len(lengths) - place >= LEAST
        if full and length - lengths[first] > SLACK:
            yield slice(first, place)
            first = place
    if lengths:
        yield slice(first, len(lengths))
