"""A CUDA graph's stand-in on a CPU: it does the same operations again, to the same tensors.

As there, what Python decided and every number that it passed stay what they were; results go where
they went the first time; and nothing may wait for the device.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

WAITING = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket not in WAITING, f"{func} waits for the device"
        made = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, _tensors(made)))
        return made


class Recorder:
    """Captures; `captured` counts how often."""

    def __init__(self) -> None:
        self.captured = 0

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        self.captured += 1
        run()  # as on a GPU, what is captured must bear to be run before
        with _Recording() as recording:
            run()

        def replay() -> None:
            for func, args, kwargs, places in recording.calls:
                for place, made in zip(places, _tensors(func(*args, **kwargs)), strict=True):
                    if made.data_ptr() != place.data_ptr():
                        place.copy_(made)

        return replay


def _tensors(made: Any) -> list[Tensor]:
    return [each for each in tree_flatten(made)[0] if isinstance(each, Tensor)]
