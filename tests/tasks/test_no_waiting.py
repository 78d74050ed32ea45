"""No step waits for the device: nothing is read off it, and nothing is sent that it must wait for.

The device here is `meta`, whose tensors have no values: whatever reads one, or has to know how many
there are (a boolean index, say), fails. Tags are left out: which words they ask for is known on the
device alone. They are no part of the paper, and off unless a recipe names them.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mplug.tasks.pretrain import Pretraining
from mplug.training.distributed import Processes
from tests.tasks import little

NOWHERE = torch.device("meta")
FOUR = ("itc", "itm", "mlm", "prefix_lm")


class Waiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes where tensors of the host meet the device's, or go there, and the host must wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given, made = (
            [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
            for tree in ((args, kwargs), result)
        )
        copied = "copy" in str(func)
        # Numbers go along with the call of a kernel; a copied one waits like any other copy.
        here = [each for each in given if not each.is_meta and (each.ndim > 0 or copied)]
        there = any(each.is_meta for each in (*given, *made))
        if here and there and not (copied and kwargs.get("non_blocking", False)):
            self.found.append(str(func))
        return result


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """Notes what happens on a device that has no autocast."""
    waiting, new_tensor = Waiting(), torch.tensor

    def noted(*given: Any, **named: Any) -> Tensor:  # no operation, so that no mode sees it
        made = new_tensor(*given, **named)
        waiting.found += ["tensor"] * made.is_meta
        return made

    monkeypatch.setattr(torch, "tensor", noted)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    return waiting


def far_away(*names: str) -> Pretraining:
    processes = Processes(device=NOWHERE)
    return little.pretraining(little.only(*names), processes=processes).to(NOWHERE)


@pytest.mark.parametrize("names", [FOUR, *((name,) for name in FOUR)])
def test_a_step_waits_for_nothing(names: tuple[str, ...], waiting: Waiting) -> None:
    task, batch = far_away(*names), little.batch()
    with waiting:
        for number in range(2):
            task.before_step(number)
            result = task(batch.to(NOWHERE), number)
            torch.autograd.backward(result.loss)
            task.after_step()
    assert waiting.found == []
    assert all(value.is_meta for value in result.logs.values())
    assert little.gradients(task)


def test_a_batch_that_was_moved_still_tells_its_words() -> None:
    batch = little.batch()
    moved = batch.to(NOWHERE)
    assert moved.ids.is_meta
    assert all(torch.equal(a, b) for a, b in zip(moved.text(), batch.text(), strict=True))


WAITS: dict[str, Callable[[Tensor], object]] = {
    "a number read": lambda x: x.sum().item(),
    "a choice": lambda x: bool(x.any()),
    "a boolean index": lambda x: x[x > 0],
    "places": lambda x: (x > 0).nonzero(),
    "a copy to the host": lambda x: x.cpu(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_what_reads_off_the_device_fails(wait: Callable[[Tensor], object]) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        wait(torch.empty(3, device=NOWHERE))


SENDS: dict[str, Callable[[Tensor], object]] = {
    "a new number": lambda x: torch.tensor(1.0, device=NOWHERE),
    "a tensor": lambda x: torch.ones(3).to(NOWHERE),
    "an index": lambda x: x[torch.tensor([0, 2])],
    "into a tensor": lambda x: x.copy_(torch.ones(3)),
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
def test_what_is_sent_and_waited_for_is_noticed(
    send: Callable[[Tensor], object], waiting: Waiting
) -> None:
    with waiting:
        send(torch.empty(3, device=NOWHERE))
    assert len(waiting.found) == 1
