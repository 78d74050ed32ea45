"""What a computation costs, counted and not timed: multiply-adds, and memory for tensors."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(work: Callable[[], object]) -> int:
    """Multiply-adds of the matrix products and convolutions in `work`, attention's among them.

    Masked places count too, for they are computed. Works on the meta device, where nothing is.
    """
    # Plain attention is two products that are counted; fused kernels are counted on some devices.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops()) // 2


def count_parameters(module: nn.Module) -> int:
    """Each shared one once."""
    return sum(parameter.numel() for parameter in module.parameters())


def peak_bytes(work: Callable[[], object], *, device: torch.device) -> int:
    """The most memory that tensors made in `work` take at one time.

    On CUDA the allocator says it; elsewhere storages are counted as they come and go, which leaves
    out what kernels use inside.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _Storages() as storages:
        work()
    return storages.peak


class _Storages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches every result of every operation until its memory is given back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = {_key(tensor) for tensor in _dense((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _dense(result):
            if _key(tensor) not in given:
                self._watch(tensor)
        return result

    def _watch(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._alive:
            return
        size = storage.nbytes()
        self._alive[key] = weakref.ref(storage, partial(self._forget, key, size))
        self._now += size
        self.peak = max(self.peak, self._now)

    def _forget(self, key: int, size: int, _: object) -> None:
        self._now -= size
        del self._alive[key]


def _dense(tree: Any) -> list[Tensor]:
    """The tensors in it; of sparse ones (a table's gradient) what they are made of."""
    found = []
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            found += [leaf._indices(), leaf._values()] if leaf.is_sparse else [leaf]
    return found


def _key(tensor: Tensor) -> int:
    """The same for tensors that share memory."""
    return tensor.untyped_storage()._cdata
