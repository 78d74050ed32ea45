"""Matching many pairs of a picture and a text: what pairs share is computed once.

Pairs of one picture go through the network together, so that the picture is projected once for all
its texts, and texts of like lengths together, so that little padding is computed.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.inference.texts import buckets


@runtime_checkable
class Matcher(Protocol):
    """What matching needs to know of a model."""

    def fuse_text(
        self,
        text: Tensor,
        image: Tensor,
        text_mask: Tensor,
        image_mask: Tensor | None = None,
        /,
        *,
        places: Tensor | None = None,
        first: int | None = None,
    ) -> Tensor:
        """Text states after reading the images at `places`; None: those beside them.

        Only the `first` ones of each text, where it says how many.
        """
        ...

    def match(self, text: Tensor, /) -> Tensor:
        """Logits of no (0) and yes (1) [pairs, 2], from each fused text's first state."""
        ...


def match_pairs(
    model: Matcher,
    texts: Float[Tensor, "texts words dim"],
    images: Float[Tensor, "images patches dim"],
    text_mask: Bool[Tensor, "texts words"],
    image_mask: Bool[Tensor, "images patches"] | None = None,
    *,
    text_rows: Int[Tensor, "pairs"],
    image_rows: Int[Tensor, "pairs"],
    at_once: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float[Tensor, "pairs 2"]:
    """Logits of no (0) and yes (1) for each pair of encoded texts and images, in the order given.

    At most `at_once` pairs go through the network together; put the model in eval mode first.
    """
    lengths = text_mask.sum(dim=1)[text_rows]
    logits = texts.new_zeros(len(text_rows), 2)
    with torch.no_grad():
        by_image = image_rows.argsort(stable=True)
        for start in range(0, len(by_image), at_once):
            part = by_image[start : start + at_once]
            part = part[lengths[part].argsort(stable=True)]
            sizes = lengths[part].tolist()
            for bucket in buckets(sizes):
                pairs, longest = part[bucket], sizes[bucket.stop - 1]
                own, seen, places = text_rows[pairs], *each_once(image_rows[pairs])
                fused = model.fuse_text(
                    texts[own, :longest],
                    images[seen],
                    text_mask[own, :longest],
                    None if image_mask is None else image_mask[seen],
                    places=places,
                    first=1,
                )
                logits[pairs] = model.match(fused).to(logits.dtype)
            progress(min(start + at_once, len(by_image)), len(by_image))
    return logits


def each_once(
    image_rows: Int[Tensor, "pairs *frames"],
) -> tuple[Int[Tensor, "images *frames"], Int[Tensor, "pairs"] | None]:
    """Each image once, and where each pair's is; None where none comes twice: then nothing moves.

    To share what is not shared would be a sixth slower.
    """
    seen, places = torch.unique(image_rows, return_inverse=True, dim=0)
    return (image_rows, None) if len(seen) == len(image_rows) else (seen, places)
