"""The same training steps in one process or several: losses and gradients, to be compared."""

import os
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mplug.config.schema import ObjectivesConfig
from mplug.data.batch import Batch
from mplug.training.distributed import Processes
from mplug.training.distributed import processes as joined_processes
from tests.tasks import little

# One process has only captions of one word, which have no prefix and few words to mask.
LENGTHS = [(3, 9, 4, 1, 1, 1), (5, 2, 1, 7, 3, 3), (1, 1, 1, 2, 9, 8), (6, 4, 2, 1, 3, 1)]


def global_batch(number: int) -> Batch:
    """Two rows show one picture and two others say one caption, across the middle of the batch."""
    batch = little.batch(LENGTHS[number], seed=number)
    image_ids, caption_ids = batch.image_ids.clone(), batch.caption_ids.clone()
    image_ids[4], caption_ids[5] = image_ids[0], caption_ids[2]
    return replace(batch, image_ids=image_ids, caption_ids=caption_ids)


def train_as(rank: int, world: int, port: int, folder: Path, *options: Any) -> None:
    """`train` as one of several processes, which find each other at `port`."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_PORT": str(port)}
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    with joined_processes("cpu") as processes:
        train(processes, folder, *options)


def train(
    processes: Processes, folder: Path, settings: ObjectivesConfig, precision: str = "float32"
) -> None:
    """A few steps of plain descent; what was logged and every gradient go into `folder`."""
    task = little.pretraining(settings, processes=processes)
    model: nn.Module = task
    if processes.world > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model = DistributedDataParallel(
                task, broadcast_buffers=False, find_unused_parameters=True
            )
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.01)
    found: dict[str, Tensor] = {}
    for number, lengths in enumerate(LENGTHS):
        local = len(lengths) // processes.world
        mine = slice(processes.rank * local, (processes.rank + 1) * local)
        task.before_step(number)
        low = precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16) if low else nullcontext():
            loss, logs = model(little.rows(global_batch(number), mine), number)
        torch.autograd.backward(loss)
        for name, value in {"loss": loss, **logs}.items():
            found[f"{number} {name}"] = processes.all_sum(value.float()) / processes.world
        found |= {f"{number} d{name}": value for name, value in little.gradients(task).items()}
        optimizer.step()
        optimizer.zero_grad()
        task.after_step()
    found |= {f"{name} at the end": value for name, value in task.named_buffers()}
    if processes.main:
        tensors = {name: value.clone() for name, value in found.items()}
        save_file(tensors, file_of(folder, world=processes.world))


def file_of(folder: Path, *, world: int) -> Path:
    return folder / f"{world}.safetensors"
