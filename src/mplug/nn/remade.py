"""Values that are made again in the backward pass, rather than kept for it.

Worth it where they are large and cost little: element by element, from values that are kept anyway.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def remade(function: Callable[[Tensor], Tensor], x: Tensor) -> Iterator[Tensor]:
    """`function(x)`, which operations inside the context do not keep: they call `function` again.

    `function` must give the same result each time, and `x` must stay as it is until then.
    """
    made = function(x)
    if not made.requires_grad:  # nothing is kept
        yield made
        return
    place, count = made.data_ptr(), made.numel()

    def pack(kept: Tensor) -> Tensor | torch.Size:
        whole = kept.data_ptr() == place and kept.numel() == count and kept.is_contiguous()
        return kept.shape if whole and place else kept

    def unpack(kept: Tensor | torch.Size) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        with torch.no_grad():
            return function(x.detach()).reshape(kept)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield made
