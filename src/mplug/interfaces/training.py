"""Training a run of any system, in this process or in several, from its configuration."""

import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mplug.config.edit import derive
from mplug.config.load import dump_json
from mplug.config.systems import AnyRun
from mplug.interfaces.prepared import Prepared
from mplug.training.distributed import Processes
from mplug.training.distributed import processes as join
from mplug.training.launch import launch
from mplug.training.logging import screen_reporter
from mplug.training.loop import train
from mplug.training.run import RunDirectory, open_run

# By a run's word, the module that makes it ready: it has `prepare`, which gives a `Prepared`, and
# `OVERFIT`, the fields to change for a run that is to learn one batch by heart.
MODULES = {
    "mplug": "training_mplug",
    "clip": "training_clip",
    "uniter": "training_uniter",
    "zoo": "training_zoo",
}


def run_training(
    config: AnyRun,
    *,
    run_dir: Path,
    device: str | None = None,
    processes: int = 1,
    fresh: bool = False,
    overfit: bool = False,
) -> None:
    """Train `config` into `run_dir`, here or in `processes` processes on this machine.

    With `overfit` every step sees the first batch, to show that the set-up can learn at all; such
    a run has a name of its own, so that no other continues it.

    Raises:
        SystemExit: processes that this one started failed; they have said why.
        MPlugError: whatever prevents the run, in words for its user.
    """
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        code = _launch(
            config,
            run_dir=run_dir,
            device=device,
            processes=processes,
            fresh=fresh,
            overfit=overfit,
        )
        if code:
            raise SystemExit(code)
        return
    config = overfitting(config) if overfit else config
    with join(device or "auto") as joined:
        stored = json.loads(dump_json(config))
        with open_run(run_dir, config=stored, processes=joined, fresh=fresh) as run:
            _train(config, run=run, processes=joined, overfit=overfit)
            if not joined.main:
                _leave_quietly()


def overfitting(config: AnyRun) -> AnyRun:
    """`config` without what would keep the losses of a single batch from falling to zero."""
    return derive(config, {"name": f"{config.name}-overfit", **module_of(config).OVERFIT})


def module_of(config: AnyRun) -> ModuleType:
    """What knows how to train this run; imported when it is needed."""
    return import_module(f"mplug.interfaces.{MODULES[config.system]}")


def _leave_quietly() -> None:
    """End a helping process whose work is done, without taking its process group apart.

    Now and then a thread of the group outlives it there, and ends a finished run with an abort.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _launch(
    config: AnyRun,
    *,
    run_dir: Path,
    device: str | None,
    processes: int,
    fresh: bool,
    overfit: bool,
) -> int:
    """The same training in several processes, handed over in a file; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="mplug-") as folder:
        file = Path(folder) / "config.json"
        file.write_text(dump_json(config), encoding="utf-8")
        command = [sys.executable, "-m", "mplug", "train", str(file), "--run", str(run_dir)]
        command += ["--device", device] if device else []
        command += ["--fresh"] if fresh else []
        command += ["--overfit"] if overfit else []
        return launch([*command, "--processes", str(processes)], processes=processes)


def _train(config: AnyRun, *, run: RunDirectory, processes: Processes, overfit: bool) -> None:
    prepared: Prepared = module_of(config).prepare(
        config, run=run, processes=processes, overfit=overfit
    )
    outcome = train(
        prepared.task,
        prepared.batches,
        optim=config.optim,
        settings=config.train,
        run=run,
        processes=processes,
        reporters=[screen_reporter()],
    )
    processes.on_main(lambda: prepared.finish(outcome))
