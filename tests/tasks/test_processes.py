"""However many processes share a batch, losses and gradients are those of one with all of it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mplug.config.schema import ObjectivesConfig, Term
from tests.tasks import little, shared
from tests.training.workers import codes, start

SETTINGS = {
    "all at once": little.objectives(),
    "in turns": little.objectives(itm=Term(every=2), mlm=Term(every=2, offset=1)),
    "without a queue": little.objectives(queue_size=0, distillation=0.0),
    "continuing alone": little.only("prefix_lm"),
}


@contextmanager
def two(folder: Path, *options: Any) -> Iterator[list[ForkServerProcess]]:
    """Two processes that train together; none outlives the test."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    running = [start(shared.train_as, rank, 2, port, folder, *options) for rank in range(2)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_two_processes_equal_one(settings: ObjectivesConfig, tmp_path: Path) -> None:
    with two(tmp_path, settings) as running:
        shared.train(little.ALONE, tmp_path, settings)
        assert codes(running) == [0, 0]
    expected, found = (load_file(shared.file_of(tmp_path, world=world)) for world in (1, 2))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-5, rtol=1e-4), name


def test_two_processes_share_a_batch_in_bfloat16(tmp_path: Path) -> None:
    with two(tmp_path, little.objectives(), "bfloat16") as running:
        assert codes(running) == [0, 0]
    found = load_file(shared.file_of(tmp_path, world=2))
    assert all(torch.isfinite(value).all() for value in found.values())
