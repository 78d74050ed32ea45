import multiprocessing
import socket
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.testing import assert_close

from mplug.nn.batch_norm import BatchNorm

PICTURES, CHANNELS = 6, 5


def test_one_process_computes_what_pytorch_does() -> None:
    torch.manual_seed(0)
    maps = torch.randn(PICTURES, CHANNELS, 4, 3)
    ours, theirs = BatchNorm(CHANNELS), nn.BatchNorm2d(CHANNELS)
    assert_close(ours(maps), theirs(maps))
    assert_close(ours.running_mean, theirs.running_mean)
    assert_close(ours.running_variance, theirs.running_var)
    assert_close(ours.eval()(maps), theirs.eval()(maps))


def test_two_processes_compute_what_one_does() -> None:
    alone, together = _in_processes(1), _in_processes(2)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("train", [True, False])
def test_neighbours_matter_in_training_only(train: bool) -> None:
    torch.manual_seed(0)
    maps = torch.randn(PICTURES, CHANNELS, 4, 3)
    norm = BatchNorm(CHANNELS).train(train)
    alone, among_others = norm(maps[:1]), norm(maps)[:1]
    assert torch.allclose(alone, among_others) is not train


def _in_processes(world: int) -> dict[str, np.ndarray]:
    """Outputs, gradients and statistics, the pictures shared out among `world` processes."""
    context = multiprocessing.get_context("spawn")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    queue = context.Queue()
    workers = [
        context.Process(target=_work, args=(rank, world, address, queue)) for rank in range(world)
    ]
    for worker in workers:
        worker.start()
    parts = [part for _, part in sorted((queue.get(timeout=60) for _ in workers), key=_rank)]
    for worker in workers:
        worker.join()
    joined = {name: np.concatenate([part[name] for part in parts]) for name in ("maps", "gradient")}
    summed = {name: sum(part[name] for part in parts) for name in ("weight", "bias")}
    return joined | summed | {name: parts[0][name] for name in ("mean", "variance")}


def _rank(answer: tuple[int, dict[str, np.ndarray]]) -> int:
    return answer[0]


def _work(rank: int, world: int, address: str, queue: Any) -> None:
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world)
    torch.manual_seed(0)
    maps, weights = torch.randn(2, PICTURES, CHANNELS, 4, 3, dtype=torch.float64)
    norm = BatchNorm(CHANNELS).double()
    nn.init.normal_(norm.weight)
    own = slice(rank * PICTURES // world, (rank + 1) * PICTURES // world)
    mine = maps[own].clone().requires_grad_()
    normalised = norm(mine)
    (normalised * weights[own]).sum().backward()
    assert mine.grad is not None
    assert norm.weight.grad is not None
    assert norm.bias.grad is not None
    answer = {
        "maps": normalised.detach().numpy(),
        "gradient": mine.grad.numpy(),
        "weight": norm.weight.grad.numpy(),
        "bias": norm.bias.grad.numpy(),
        "mean": norm.running_mean.numpy(),
        "variance": norm.running_variance.numpy(),
    }
    queue.put((rank, answer))
    dist.barrier()
    dist.destroy_process_group()
