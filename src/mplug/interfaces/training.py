"""Training a run from its configuration: data, words, model, loop, and the model it leaves."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mplug import __version__
from mplug.config.edit import derive
from mplug.config.load import dump_json
from mplug.config.schema import RunConfig
from mplug.data.batch import Examples
from mplug.data.tokenizer import FILE_NAME, Tokenizer
from mplug.models.mplug import MPlug
from mplug.tasks import choose, feeding, finetune, pretrain, setup
from mplug.training.distributed import Processes
from mplug.training.distributed import processes as join
from mplug.training.launch import launch
from mplug.training.logging import screen_reporter
from mplug.training.loop import Outcome, train
from mplug.training.run import RunDirectory, open_run
from mplug.weights.card import ModelCard, Score
from mplug.weights.store import Loaded, save_pretrained

ExampleType = TypeVar("ExampleType", covariant=True)

VERDICTS = {**pretrain.VERDICTS, **finetune.VERDICTS}


def run_training(
    config: RunConfig,
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


def overfitting(config: RunConfig) -> RunConfig:
    """`config` without what would keep the losses of a single batch from falling to zero.

    A queue would hold the batch's own pairs many times over, and a teacher is never quite certain.
    """
    return derive(
        config,
        {
            "name": f"{config.name}-overfit",
            "objectives.queue_size": 0,
            "objectives.distillation": 0.0,
            "objectives.label_smoothing": 0.0,
        },
    )


def _leave_quietly() -> None:
    """End a helping process whose work is done, without taking its process group apart.

    Now and then a thread of the group outlives it there, and ends a finished run with an abort.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _launch(
    config: RunConfig,
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


def _train(config: RunConfig, *, run: RunDirectory, processes: Processes, overfit: bool) -> None:
    start = setup.load_start(config)
    sources = setup.read_sources(config)
    tokenizer = _tokenizer(config, run, sources=sources, start=start, processes=processes)
    if sources.groups and processes.main:
        unknown = setup.unknown_share(sources, tokenizer=tokenizer)
        print(f"{unknown:.2%} of the words to learn from are [UNK]", flush=True)
    training, validation = feeding.make_examples(config, sources, tokenizer=tokenizer)
    model = setup.make_model(config, tokenizer=tokenizer, start=start)
    if overfit:
        training = validation = FirstOnly[Any](training, config.optim.batch_size)
    pad_id = tokenizer.pad_id
    task = choose.make_task(
        config,
        model,
        tokenizer=tokenizer,
        validation=feeding.validation_batches(
            config, validation, processes=processes, pad_id=pad_id
        ),
        processes=processes,
        references=lambda: feeding.training_references(sources, training, seed=config.train.seed),
    )
    loader = feeding.training_batches(config, training, processes=processes, pad_id=pad_id)
    needed = config.optim.steps * config.optim.accumulate
    outcome = train(
        task,
        lambda done: loader.batches(start_step=done, steps=needed - done),
        optim=config.optim,
        settings=config.train,
        run=run,
        processes=processes,
        reporters=[screen_reporter()],
    )
    processes.on_main(
        lambda: _finish(config, run, outcome=outcome, model=model, tokenizer=tokenizer)
    )


def _tokenizer(
    config: RunConfig,
    run: RunDirectory,
    *,
    sources: setup.Sources,
    start: Loaded | None,
    processes: Processes,
) -> Tokenizer:
    """The words a run began with; else those of its starting model; else its own."""
    file = run.path / FILE_NAME

    def make() -> None:
        if not file.exists():
            tokenizer = start.tokenizer if start else setup.make_tokenizer(config, sources)
            tokenizer.save(run.path)

    processes.on_main(make)
    return Tokenizer.load(file)


def _finish(
    config: RunConfig,
    run: RunDirectory,
    *,
    outcome: Outcome,
    model: MPlug,
    tokenizer: Tokenizer,
) -> None:
    """Say what was learned, and leave the model where `mplug.load` finds it."""
    for line in verdicts(outcome.evaluation):
        print(line, flush=True)
    card = ModelCard(
        name=config.name,
        summary=f"An mPLUG model, trained by the recipe `{config.name}` of mplug {__version__}"
        f"{_which(config, outcome)}.",
        data=describe_data(config),
        licence="Apache-2.0",
        scores=tuple(
            Score("retrieval", "validation", name.removeprefix("validation_"), value)
            for name, value in outcome.evaluation.items()
            if name.startswith("validation_recall")
        ),
    )
    save_pretrained(
        run.model, model=model, tokenizer=tokenizer, generation=config.generation, card=card
    )
    (run.path / "README.md").write_text(card.render(), encoding="utf-8")
    print(f"{run.model}: the model, for `mplug.load` and `mplug caption --model`", flush=True)


def _which(config: RunConfig, outcome: Outcome) -> str:
    if outcome.chosen is None:
        return ""
    figure = config.train.choose
    return f", as it was after step {outcome.chosen} of {outcome.step}, its best by {figure}"


def verdicts(evaluation: Mapping[str, float]) -> list[str]:
    """A line for each objective: its validation loss, its blind value, and what that means."""
    lines = []
    for name, otherwise in VERDICTS.items():
        if f"learned_{name}" not in evaluation:
            continue
        value = evaluation[f"validation_{name}"]
        blind = evaluation[f"validation_{name}_blind"]
        words = "learned" if evaluation[f"learned_{name}"] else otherwise
        lines.append(f"{name}: {words} (validation loss {value:.3f}, blind {blind:.3f})")
    return lines


def describe_data(config: RunConfig) -> str:
    """What the run learned from, for its card."""
    scenes = config.data.scenes
    if scenes is None:
        return f"Records of `{Path(config.data.train or '').name}`."
    return (
        f"Composed scenes of {scenes.min_objects} to {scenes.max_objects} of {scenes.concepts} "
        f"drawn concepts by {', '.join(scenes.artists)}: pictures by people, scenes and captions "
        "by a program."
    )


@dataclass(frozen=True)
class FirstOnly(Generic[ExampleType]):
    """The first `count` examples, over and over."""

    examples: Examples[ExampleType]
    count: int

    def __len__(self) -> int:
        """As many as are repeated."""
        return self.count

    def example(self, position: int, *, seed: int) -> ExampleType:
        """The example at `position`, counted round and round."""
        return self.examples.example(position % self.count, seed=seed)
