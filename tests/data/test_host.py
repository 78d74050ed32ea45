"""What leaves for a GPU leaves from memory that the host need not wait over."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from mplug.data.host import send, sent

ON_GPU = torch.device("cuda")


@dataclass
class Small:
    ids: Tensor
    name: str = "a batch"


def test_for_a_gpu_it_is_pinned_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def pin_memory(tensor: Tensor) -> Tensor:
        told.append("pinned")
        return tensor

    def to(tensor: Tensor, device: object, *, non_blocking: bool) -> Tensor:
        told.append((device, non_blocking))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(Tensor, "to", to)
    send(torch.ones(2), ON_GPU)
    send(torch.ones(2), "cuda:1")
    send(torch.ones(2), torch.device("cpu"))
    cpu = torch.device("cpu")
    assert told == ["pinned", (ON_GPU, True), "pinned", ("cuda:1", True), (cpu, True)]


def test_of_a_batch_its_tensors_are_sent() -> None:
    (name, ids), *others = sent(Small(torch.ones(2)), "meta").items()
    assert name == "ids"
    assert ids.is_meta
    assert not others
