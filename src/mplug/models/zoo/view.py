"""What a model is shown, and what it makes of it."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.nn.regions import Regions


class Text(NamedTuple):
    """Texts as ids, padded."""

    ids: Int[Tensor, "batch words"]
    mask: Bool[Tensor, "batch words"]  # True at a token, False at padding


class View(NamedTuple):
    """Pictures, as regions or as pixels or as both: a model takes what it reads.

    `cells` are the places of a grid that are read; None reads all.
    """

    regions: Regions | None = None
    pixels: Float[Tensor, "batch 3 height width"] | None = None
    cells: Int[Tensor, "batch cells"] | None = None


class Joint(NamedTuple):
    """States of words and of a picture's parts that have read each other.

    `regions` are the image's without what stands in front of them. States at padding mean nothing.
    """

    text: Float[Tensor, "batch words dim"]
    image: Float[Tensor, "batch places image_dim"]
    regions: Float[Tensor, "batch regions image_dim"]
