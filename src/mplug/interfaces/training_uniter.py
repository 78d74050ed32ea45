"""Training a run of UNITER: regions, words, model, loop, and the model it leaves."""

import json
from pathlib import Path
from typing import Any

from mplug import __version__
from mplug.config.schema_uniter_run import RegionObjective, UniterRun
from mplug.data.regions.record_examples import described_by
from mplug.data.tokenizer import Tokenizer
from mplug.interfaces.prepared import (
    FirstOnly,
    Prepared,
    batches_left,
    describe_data,
    kept_words,
    verdicts,
    which_step,
)
from mplug.models.uniter import Uniter
from mplug.tasks import uniter_finetune, uniter_pretrain
from mplug.tasks.uniter_setup import UniterSetup
from mplug.tasks.uniter_sources import RegionSource, region_source
from mplug.training.distributed import Processes
from mplug.training.loop import Outcome
from mplug.training.run import RunDirectory
from mplug.weights.card import ModelCard
from mplug.weights.uniter_folder import (
    LoadedUniter,
    UniterPretrained,
    load_uniter,
    save_uniter,
)

VERDICTS = {**uniter_pretrain.VERDICTS, **uniter_finetune.VERDICTS}
OVERFIT = {"model.text.dropout": 0.0}
"""What would keep the losses of a single batch from falling to zero, and its cure."""
ANSWERS = "answers.json"


def prepare(
    config: UniterRun, *, run: RunDirectory, processes: Processes, overfit: bool
) -> Prepared:
    """The task and the batches of a run; with `overfit` every step sees the first batch."""
    start = load_uniter(config.start_from) if config.start_from is not None else None
    source = region_source(config)
    processes.on_main(source.prepare)  # what the others then find
    setup = UniterSetup(
        config,
        source,
        kept_words(
            run,
            processes=processes,
            make=lambda: start.tokenizer if start else _new_words(config, source),
            read=Tokenizer.load,
        ),
        _answers(config, run, source=source, start=start, processes=processes),
        start,
    )
    model = setup.model()
    training, validation = setup.examples()
    if overfit:
        training = validation = FirstOnly[Any](training, config.optim.batch_size)
    task = setup.task(
        model,
        processes=processes,
        validation=setup.validation_batches(validation, processes=processes),
    )
    loader = setup.training_batches(training, processes=processes)
    return Prepared(
        task,
        batches_left(config, loader),
        finish=lambda outcome: _finish(setup, run, outcome=outcome, model=model),
    )


def _new_words(config: UniterRun, source: RegionSource) -> Tokenizer:
    if config.data.tokenizer is not None:
        return Tokenizer.load(config.data.tokenizer)
    return Tokenizer.train(source.corpus(), vocab_size=config.data.vocab_size)


def _answers(
    config: UniterRun,
    run: RunDirectory,
    *,
    source: RegionSource,
    start: LoadedUniter | None,
    processes: Processes,
) -> tuple[str, ...]:
    """The answers a run began with; else those of its starting model; else those of its data."""
    if "answer" not in config.tasks.chosen:
        return () if start is None else start.answers
    file = run.path / ANSWERS

    def make() -> None:
        if not file.exists():
            answers = start.answers if start is not None and start.answers else source.answers()
            file.write_text(json.dumps(answers), encoding="utf-8")

    processes.on_main(make)
    return tuple(json.loads(file.read_text(encoding="utf-8")))


def _finish(setup: UniterSetup, run: RunDirectory, *, outcome: Outcome, model: Uniter) -> None:
    """Say what was learned, and leave the model in its folder."""
    config = setup.config
    for line in verdicts(outcome.evaluation, otherwise=VERDICTS):
        print(line, flush=True)
    card = ModelCard(
        name=config.name,
        summary=f"A UNITER model, trained by the recipe `{config.name}` of mplug {__version__}"
        f"{which_step(config, outcome)}.",
        data=describe_data(config.data),
        licence="Apache-2.0",
    )
    from_scenes = config.data.scenes is not None
    encoder = config.data.encoder if from_scenes else described_by(Path(config.data.regions))
    loaded = LoadedUniter(model, setup.tokenizer, setup.answers, encoder, _untrained(setup))
    save_uniter(run.model, loaded, card=card)
    (run.path / "README.md").write_text(card.render(), encoding="utf-8")
    print(f"{run.model}: the model, for `mplug evaluate {run.path}` and mplug.load", flush=True)


def _untrained(setup: UniterSetup) -> tuple[UniterPretrained, ...]:
    """What neither this run nor those before it taught."""
    never: tuple[UniterPretrained, ...] = ("match", "words")
    if setup.start is not None:
        never = setup.start.untrained
    if setup.config.task != "pretrain":
        return never
    names: dict[UniterPretrained, RegionObjective] = {"match": "itm", "words": "mlm"}
    return tuple(each for each in never if names[each] not in setup.config.objectives.mix.shares)
