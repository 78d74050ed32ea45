"""Four fusion schemes, alike in all else: same encoders, same data, same steps or same time.

The encoders are trained once, without fusion. Then each scheme is pretrained from them with each
seed, fine-tuned on questions and on pairs of pictures, and asked about held-out scenes. At the same
time, a scheme takes as many steps as it can in what the skip-connected one took. Their paces are
measured by turns and, on a CPU, in processors' time, so that other work there favours none.
"""

import os
import shutil
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mplug.config.edit import derive
from mplug.config.recipes import recipe
from mplug.config.schema import RunConfig
from mplug.errors import ConfigError
from mplug.interfaces.api import load
from mplug.interfaces.experiments.cells import Cell, Cells
from mplug.interfaces.measure import measure_tasks, score_of
from mplug.interfaces.report.curves import read_metrics
from mplug.interfaces.training import run_training
from mplug.models.mplug import MPlug
from mplug.tasks.evaluation import SplitName
from mplug.training.run import METRICS
from mplug.weights.card import ModelCard
from mplug.weights.store import load_pretrained, save_pretrained

NAME = "fusion"
CHECKPOINTS = "checkpoints"  # needed to continue a run, and large
ENCODERS = "encoders"
PACE, PACE_STEPS, PACE_ROUNDS = "pace", 5, 3
BASELINE = "skip"
SCHEMES = (BASELINE, "connected", "co_attention", "asymmetric")
SAME_STEPS, SAME_TIME = "steps", "time"
SHARED = (
    "vision",
    "visual_projection",
    "text_encoder",
    "pool",
    "image_projection",
    "text_projection",
)
SPLITS: tuple[SplitName, ...] = ("training_artists", "unseen_artist")
ASKED = ("answer", "compare")
REMEMBERED = 3000  # training scenes whose questions the baselines know


@dataclass(frozen=True)
class Extent:
    """How much is trained and asked; the rest is the recipes'."""

    encoder_steps: int
    steps: int
    task_steps: int
    scenes: int  # asked about, of each split


class FusionExperiment:
    """The cells' names, and how each is measured."""

    def __init__(self, extent: Extent, *, folder: Path, device: str) -> None:
        self.extent = extent
        self.folder = folder
        self.device = device

    def names(self, *, seeds: int) -> list[str]:
        """Every cell, in an order in which each has what it needs.

        The schemes take turns, so that a busy hour does not fall on one of them.
        """
        alike = [f"{scheme}/{SAME_STEPS}/{seed}" for seed in range(seeds) for scheme in SCHEMES]
        timed = [
            f"{scheme}/{SAME_TIME}/{seed}"
            for seed in range(seeds)
            for scheme in SCHEMES
            if scheme != BASELINE  # its own time is that of its own steps
        ]
        return [ENCODERS, *alike, PACE, *timed]

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides a cell's numbers but its seed and scheme."""
        runs = (self._encoders, self._pretraining, self._tasks)
        return {
            "scenes": self.extent.scenes,
            **{run.name: run.model_dump(mode="json") for run in runs},
        }

    def measure(self, name: str, cells: Cells) -> Cell:
        """Train and score one cell.

        Raises:
            ConfigError: there is no such cell, or it needs others first.
        """
        if name == ENCODERS:
            return self._train_encoders()
        if name == PACE:
            self._require_encoders(name, cells)
            return self._measure_pace()
        scheme, mode, seed = parsed(name)
        self._require_encoders(name, cells)
        steps = self.extent.steps
        if mode == SAME_TIME:
            steps = steps_in_time(cells, scheme, steps=steps)
        return self._train_scheme(name, scheme=scheme, seed=seed, steps=steps)

    def _require_encoders(self, name: str, cells: Cells) -> None:
        if ENCODERS not in cells or not (self.folder / ENCODERS / "model").is_dir():
            raise ConfigError(f"cell {name!r} needs {ENCODERS!r} and what it left: measure it here")

    # --- the runs ---

    @cached_property
    def _encoders(self) -> RunConfig:
        return _with_steps(recipe("fusion-encoders"), self.extent.encoder_steps)

    @cached_property
    def _pretraining(self) -> RunConfig:
        return _with_steps(recipe("fusion-scenes"), self.extent.steps)

    @cached_property
    def _tasks(self) -> RunConfig:
        return _with_steps(recipe("fusion-scenes-tasks"), self.extent.task_steps)

    def _train_encoders(self) -> Cell:
        run = self.folder / ENCODERS
        started = time.perf_counter()
        run_training(self._encoders, run_dir=run, device=self.device)
        shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
        return {"steps": self._encoders.optim.steps, "seconds": time.perf_counter() - started}

    def _measure_pace(self) -> Cell:
        """Seconds of a step of each scheme's pretraining, round by round.

        A long run less a short one: what comes before and after the steps cancels out.
        """
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        short = derive(self._pretraining, {"data.validation_examples": 1})
        found: dict[str, list[float]] = {scheme: [] for scheme in SCHEMES}
        for number in range(PACE_ROUNDS):
            for scheme in SCHEMES[:: 1 if number % 2 == 0 else -1]:
                seconds = []
                for steps in (PACE_STEPS, 3 * PACE_STEPS):
                    folder = self.folder / PACE / scheme
                    shutil.rmtree(folder, ignore_errors=True)
                    start = {"model.fusion.scheme": scheme, "start_from": str(folder / "start")}
                    config = derive(_with_steps(short, steps), start)
                    self._begin(folder / "start", config)
                    started = clock()
                    run_training(config, run_dir=folder / "run", device=self.device)
                    seconds.append(clock() - started)
                found[scheme].append((seconds[1] - seconds[0]) / (2 * PACE_STEPS))
        shutil.rmtree(self.folder / PACE)
        return {"seconds_per_step": found, "clock": clock.__name__}

    def _train_scheme(self, name: str, *, scheme: str, seed: int, steps: int) -> Cell:
        started, folder = time.perf_counter(), self.folder / name
        changes = {"model.fusion.scheme": scheme, "train.seed": seed}
        begin = folder / "start"
        parameters = self._begin(begin, derive(self._pretraining, changes))
        pretraining = derive(
            _with_steps(self._pretraining, steps), {**changes, "start_from": str(begin)}
        )
        run_training(pretraining, run_dir=folder / "pretrain", device=self.device)
        tasks = derive(self._tasks, {**changes, "start_from": str(folder / "pretrain")})
        run_training(tasks, run_dir=folder / "tasks", device=self.device)
        cell: Cell = {
            "scheme": scheme,
            "seed": seed,
            "steps": steps,
            "seconds_per_step": _seconds_per_step(folder / "pretrain"),
            "fusion_parameters": parameters,
            "scores": self._scores(folder / "tasks", tasks),
            "seconds": time.perf_counter() - started,
            "load_average": os.getloadavg()[0],
        }
        for run in ("pretrain", "tasks"):
            shutil.rmtree(folder / run / CHECKPOINTS, ignore_errors=True)
        return cell

    def _begin(self, folder: Path, config: RunConfig) -> int:
        """A model with the shared encoders and a new fusion; returns the fusion's parameters."""
        loaded = load_pretrained(self.folder / ENCODERS / "model")
        torch.manual_seed(config.train.seed)
        text = config.model.text.model_copy(update={"vocab_size": loaded.config.text.vocab_size})
        model = MPlug(config.model.model_copy(update={"text": text}))
        for part in SHARED:
            getattr(model, part).load_state_dict(getattr(loaded.model, part).state_dict())
        with torch.no_grad():
            model.temperature.copy_(loaded.model.temperature)
        card = ModelCard(
            name=config.name, summary="Shared encoders, a new fusion.", data="", licence=""
        )
        save_pretrained(
            folder,
            model=model,
            tokenizer=loaded.tokenizer,
            generation=config.generation,
            card=card,
        )
        return sum(parameter.numel() for parameter in model.fusion.parameters())

    def _scores(self, run: Path, config: RunConfig) -> list[dict[str, Any]]:
        assert config.data.scenes is not None  # the recipe's
        evaluations = measure_tasks(
            load(run, device=self.device),
            world=config.data.scenes,
            splits=SPLITS,
            tasks=ASKED,
            count=self.extent.scenes,
            remembered=REMEMBERED,
            image_size=config.model.vision.image_size,
            device=self.device,
        )
        return [
            asdict(score_of(figure, split=evaluation.asked.split))
            for evaluation in evaluations
            for figure in evaluation.figures
        ]


def parsed(name: str) -> tuple[str, str, int]:
    """A cell's scheme, what it has the same as others, and its seed.

    Raises:
        ConfigError: there is no such cell.
    """
    scheme, _, rest = name.partition("/")
    mode, _, seed = rest.partition("/")
    if scheme not in SCHEMES or mode not in (SAME_STEPS, SAME_TIME) or not seed.isdecimal():
        raise ConfigError(f"there is no cell {name!r}: one is {BASELINE}/{SAME_STEPS}/0")
    return scheme, mode, int(seed)


def steps_in_time(cells: Cells, scheme: str, *, steps: int) -> int:
    """How many steps a scheme does in the time in which the skip-connected one does `steps`.

    Raises:
        ConfigError: the paces are not known yet.
    """
    if PACE not in cells:
        raise ConfigError(f"how fast {scheme!r} is, is not known yet: measure {PACE!r} first")
    paces = {name: median(rounds) for name, rounds in cells[PACE]["seconds_per_step"].items()}
    return max(1, round(steps * paces[BASELINE] / paces[scheme]))


def _with_steps(config: RunConfig, steps: int) -> RunConfig:
    """As many steps, the schedule's beginning in proportion, evaluated and saved at the end."""
    share = steps / config.optim.steps
    return derive(
        config,
        {
            "optim.steps": steps,
            "optim.warmup_steps": round(config.optim.warmup_steps * share),
            "objectives.hard_negatives_ramp_steps": round(
                config.objectives.hard_negatives_ramp_steps * share
            ),
            "train.evaluate_every": steps,
            "train.save_every": max(1, steps // 2),
        },
    )


def _seconds_per_step(run: Path) -> float:
    """Of a run's updates, from its first to the last that it logged."""
    trained = [line for line in read_metrics(run / METRICS) if line.get("kind") == "train"]
    return float(trained[-1]["seconds"]) / int(trained[-1]["step"])
