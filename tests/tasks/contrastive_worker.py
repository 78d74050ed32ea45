"""The same contrastive steps in one process or several: losses and gradients, to be compared."""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mplug.config.schema_clip_run import ClipOptim
from mplug.data.batch import Batch
from mplug.tasks.contrastive import ContrastivePretraining
from mplug.training.distributed import Processes
from mplug.training.distributed import processes as joined_processes
from tests.models.small_clip import VOCABULARY, clip_config, pictures, small_clip

PAIRS = 8
LENGTHS = (3, 9, 4, 2, 5, 6, 3, 7)  # start and end among them


def optim(parts: int = 1) -> ClipOptim:
    return ClipOptim(steps=10, batch_size=PAIRS, warmup_steps=0, cached_parts=parts)


def pairs(*, twice: bool = False) -> Batch:
    """Pictures and texts; with `twice`, one picture and one text come again."""
    random = torch.Generator().manual_seed(3)
    ids = torch.randint(1, VOCABULARY, (PAIRS, max(LENGTHS)), generator=random)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    image_ids, caption_ids = torch.arange(PAIRS), torch.arange(PAIRS)
    if twice:
        image_ids[6], caption_ids[5] = image_ids[1], caption_ids[2]
    pixels = pictures(clip_config(), PAIRS)
    return Batch(pixels, ids.masked_fill(~mask, 0), mask, image_ids, caption_ids)


def rows(batch: Batch, mine: slice) -> Batch:
    return Batch(
        batch.pixels[mine],
        batch.ids[mine],
        batch.mask[mine],
        batch.image_ids[mine],
        batch.caption_ids[mine],
    )


def task_of(processes: Processes, *, parts: int = 1) -> ContrastivePretraining:
    return ContrastivePretraining(
        small_clip(), optim=optim(parts), processes=processes, validation=lambda: [pairs(), pairs()]
    )


def learn(processes: Processes, folder: Path, parts: int) -> None:
    """One step; what was logged and every gradient go into `folder`."""
    task = task_of(processes, parts=parts)
    model: nn.Module = task
    if processes.world > 1:
        model = DistributedDataParallel(task, find_unused_parameters=True)
    local = PAIRS // processes.world
    mine = slice(processes.rank * local, (processes.rank + 1) * local)
    loss, logs = model(rows(pairs(twice=True), mine), 0)
    torch.autograd.backward(loss)
    found: dict[str, Tensor] = {
        name: processes.all_sum(value.float()) / processes.world for name, value in logs.items()
    }
    found |= {f"d{name}": p.grad for name, p in task.named_parameters() if p.grad is not None}
    if processes.main:
        save_file(found, folder / f"{processes.world}.safetensors")


def learn_as(rank: int, world: int, port: int, folder: Path, parts: int) -> None:
    """`learn` as one of several processes, which find each other at `port`."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_PORT": str(port)}
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    with joined_processes("cpu") as processes:
        learn(processes, folder, parts)
