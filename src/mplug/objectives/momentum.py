"""A slowly moving average of the model, and a queue of the features it gave.

He et al. 2019 (MoCo); Li et al. 2021 (ALBEF).
"""

import copy
from collections.abc import Collection
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

NO_ID = -100  # identity of a place in the queue that was never filled


def averaged_copy(module: Module, *, without: Collection[str] = ()) -> Module:
    """A frozen copy in evaluation mode, without the named parts its targets do not need."""
    teacher = copy.deepcopy(module)
    for name in without:
        delattr(teacher, name)
    return teacher.requires_grad_(False).eval()


@torch.no_grad()
def update_average(teacher: nn.Module, student: nn.Module, *, momentum: float) -> None:
    """Move everything the teacher holds towards what the student calls by the same name, in place.

    That is its parameters, and running statistics among its buffers.
    """
    source = {**dict(student.named_parameters()), **dict(student.named_buffers())}
    held = [*teacher.named_parameters(), *teacher.named_buffers()]
    averages = [average for _, average in held]
    torch._foreach_lerp_(averages, [source[name] for name, _ in held], 1 - momentum)


def warmed_up(momentum: float, *, step: int) -> float:
    """A momentum that starts low, so that a teacher soon forgets a student that knew nothing."""
    return min(momentum, (1 + step) / (10 + step))


class FeatureQueue(nn.Module):
    """The last features the teacher gave, of any length, with the identities of their pairs."""

    images: Float[Tensor, "places embed"]
    texts: Float[Tensor, "places embed"]
    image_ids: Int[Tensor, "places"]
    caption_ids: Int[Tensor, "places"]
    pointer: Int[Tensor, ""]

    def __init__(self, size: int, *, embed_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        for name in ("images", "texts"):
            random = torch.randn(size, embed_dim, generator=generator)
            self.register_buffer(name, F.normalize(random, dim=1))
        for name in ("image_ids", "caption_ids"):
            self.register_buffer(name, torch.full((size,), NO_ID))
        self.register_buffer("pointer", torch.tensor(0))

    @torch.no_grad()
    def push(
        self,
        images: Float[Tensor, "batch embed"],
        texts: Float[Tensor, "batch embed"],
        *,
        image_ids: Int[Tensor, "batch"],
        caption_ids: Int[Tensor, "batch"],
    ) -> None:
        """Overwrite the oldest places; of a batch longer than the queue the last rows stay."""
        size, batch = len(self.image_ids), len(image_ids)
        if size == 0:
            return
        kept = slice(max(0, batch - size), batch)
        places = (self.pointer + torch.arange(kept.start, batch, device=images.device)) % size
        self.images[places] = images[kept].to(self.images.dtype)
        self.texts[places] = texts[kept].to(self.texts.dtype)
        self.image_ids[places] = image_ids[kept]
        self.caption_ids[places] = caption_ids[kept]
        self.pointer.add_(batch).remainder_(size)
