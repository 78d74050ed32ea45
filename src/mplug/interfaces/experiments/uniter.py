"""UNITER's objectives, one after another: what each adds on scenes, for the same steps.

A row is a mix of objectives. Each is pretrained and then fine-tuned on all tasks at once, with each
seed, and asked about held-out scenes; the first row is fine-tuned from nothing.
"""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mplug.config.edit import derive
from mplug.config.recipes import any_recipe
from mplug.config.schema_uniter_run import Mix, UniterRun
from mplug.errors import ConfigError
from mplug.interfaces.evaluate_uniter import Extent as Asked
from mplug.interfaces.evaluate_uniter import uniter_figures
from mplug.interfaces.experiments.cells import Cell
from mplug.interfaces.measure import score_of
from mplug.interfaces.training import run_training
from mplug.tasks.evaluation import SplitName

NAME = "uniter"
CHECKPOINTS = "checkpoints"  # needed to continue a run, and large
NONE = "none"
FULL = {"objectives.mix": Mix(itm=2, mlm=2, mrfr=1, mrc_kl=1)}
ROWS: Mapping[str, Mapping[str, Any]] = {
    NONE: {},
    "mlm": {"objectives.mix": Mix(itm=0, mlm=1, mrfr=0, mrc_kl=0), "objectives.alignment": 0.0},
    "mlm_itm": {"objectives.mix": Mix(itm=1, mlm=1, mrfr=0, mrc_kl=0), "objectives.alignment": 0.0},
    "regions": {**FULL, "objectives.alignment": 0.0},
    "alignment": FULL,
    "joint_masking": {**FULL, "objectives.alignment": 0.0, "objectives.masking": "joint"},
}
SPLITS: tuple[SplitName, ...] = ("training_artists", "unseen_artist")


@dataclass(frozen=True)
class Extent:
    """How much is trained and asked; the rest is the recipes'."""

    steps: int
    task_steps: int
    pictures: int  # scenes to learn from
    scenes: int  # asked about, of each split


class UniterExperiment:
    """The cells' names, and how each is measured."""

    def __init__(self, extent: Extent, *, folder: Path, device: str) -> None:
        self.extent, self.folder, self.device = extent, folder, device

    def names(self, *, seeds: int) -> list[str]:
        """Every cell; the rows take turns, so that a busy hour does not fall on one of them."""
        return [f"{row}/{seed}" for seed in range(seeds) for row in ROWS]

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides a cell's numbers but its row and seed."""
        runs = {run.name: run.model_dump(mode="json") for run in (self._pretraining, self._tasks)}
        for run in runs.values():
            run["data"].pop("regions")  # where they are kept changes nothing
        return {"scenes": self.extent.scenes, **runs}

    def measure(self, name: str) -> Cell:
        """Train and score one cell.

        Raises:
            ConfigError: there is no such cell.
        """
        row, seed = parsed(name)
        started, folder = time.perf_counter(), self.folder / name
        start = None
        if row != NONE:
            pretraining = derive(self._pretraining, {**ROWS[row], "train.seed": seed})
            run_training(pretraining, run_dir=folder / "pretrain", device=self.device)
            start = str(folder / "pretrain")
        tasks = derive(self._tasks, {"start_from": start, "train.seed": seed})
        run_training(tasks, run_dir=folder / "tasks", device=self.device)
        cell: Cell = {
            "row": row,
            "seed": seed,
            "scores": self._scores(folder / "tasks", tasks),
            "seconds": time.perf_counter() - started,
            "load_average": os.getloadavg()[0],
        }
        for run in ("pretrain", "tasks"):
            shutil.rmtree(folder / run / CHECKPOINTS, ignore_errors=True)
        return cell

    @cached_property
    def _pretraining(self) -> UniterRun:
        return self._sized("uniter-scenes-pretrain", self.extent.steps)

    @cached_property
    def _tasks(self) -> UniterRun:
        return self._sized("uniter-scenes-tasks", self.extent.task_steps)

    def _sized(self, name: str, steps: int) -> UniterRun:
        """A recipe with so many steps, its warm-up in proportion, evaluated at the end."""
        run = any_recipe(name)
        assert isinstance(run, UniterRun)
        return derive(
            run,
            {
                "optim.steps": steps,
                "optim.warmup_steps": round(run.optim.warmup_steps * steps / run.optim.steps),
                "data.pictures": self.extent.pictures,
                "data.regions": str(self.folder / "regions"),
                "train.evaluate_every": steps,
                "train.save_every": max(1, steps // 2),
            },
        )

    def _scores(self, run: Path, config: UniterRun) -> list[dict[str, Any]]:
        asked = Asked(SPLITS, self.extent.scenes, self.extent.scenes)
        found = uniter_figures(run, config, extent=asked, tasks=(), device=self.device)
        return [asdict(score_of(figure, split=split)) for split, figure in found]


def parsed(name: str) -> tuple[str, int]:
    """A cell's row and seed.

    Raises:
        ConfigError: there is no such cell.
    """
    row, _, seed = name.partition("/")
    if row not in ROWS or not seed.isdigit():
        raise ConfigError(f"no cell is called {name!r}: they are {', '.join(ROWS)}, with /SEED")
    return row, int(seed)
