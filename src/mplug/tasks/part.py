"""What a task of a fine-tuning run must offer: its loss for items whose pictures are encoded."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mplug.data.items import ItemBatch
from mplug.models.mplug import MPlug

Pictures = Float[Tensor, "items frames patches dim"]


class Terms(NamedTuple):
    """Losses whose mean is the task's loss, and the same before smoothing or weighting."""

    loss: Float[Tensor, "terms"]
    plain: Float[Tensor, "terms"]


@runtime_checkable
class Part(Protocol):
    """One task. It holds nothing that learns: all that does is in the model."""

    @property
    def used(self) -> tuple[str, ...]:
        """The children of the model that this task trains."""
        ...

    def terms(self, model: MPlug, pictures: Pictures, items: ItemBatch) -> Terms:
        """The losses of these items, from each item's encoded pictures."""
        ...


def joined(pictures: Pictures) -> Float[Tensor, "items tokens dim"]:
    """The tokens of all of an item's pictures in a row, as a clip's frames are read."""
    return pictures.flatten(1, 2)
