"""Training a model put together from parts: scenes, words, model, loop, and what it leaves."""

from typing import Any

from mplug import __version__
from mplug.config.schema_zoo_run import ZooRun
from mplug.data.tokenizer import Tokenizer
from mplug.interfaces.prepared import (
    FirstOnly,
    Prepared,
    batches_left,
    kept_words,
    verdicts,
    which_step,
)
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.writer import WriterModel
from mplug.tasks.zoo_pretrain import VERDICTS
from mplug.tasks.zoo_setup import ZooSetup, make_banks, make_tokenizer
from mplug.training.distributed import Processes
from mplug.training.loop import Outcome
from mplug.training.run import RunDirectory
from mplug.weights.card import ModelCard
from mplug.weights.zoo_folder import load_zoo, save_zoo

OVERFIT = {"model.text.dropout": 0.0}
"""What would keep the losses of a single batch from falling to zero, and its cure."""


def prepare(config: ZooRun, *, run: RunDirectory, processes: Processes, overfit: bool) -> Prepared:
    """The task and the batches of a run; with `overfit` every step sees the first batch."""
    start = load_zoo(config.start_from) if config.start_from is not None else None
    tokenizer = kept_words(
        run,
        processes=processes,
        make=lambda: start.tokenizer if start else make_tokenizer(config),
        read=Tokenizer.load,
    )
    processes.on_main(lambda: make_banks(config))  # what the others then find
    setup = ZooSetup(config, tokenizer, make_banks(config), start)
    model = setup.model()
    training: Any = setup.examples("train")
    validation: Any = setup.examples("validation")
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


def _finish(
    setup: ZooSetup, run: RunDirectory, *, outcome: Outcome, model: PairModel | WriterModel
) -> None:
    """Say what was learned, and leave the model in its folder."""
    config = setup.config
    for line in verdicts(outcome.evaluation, otherwise=VERDICTS):
        print(line, flush=True)
    scenes = config.data.scenes
    card = ModelCard(
        name=config.name,
        summary=f"A model of parts (docs/zoo.md), trained by the recipe `{config.name}` of mplug "
        f"{__version__}{which_step(config, outcome)}.",
        data=f"Composed scenes of {scenes.concepts} drawn concepts by {', '.join(scenes.artists)}: "
        "pictures by people, scenes and captions by a program.",
        licence="Apache-2.0",
    )
    save_zoo(run.model, model, tokenizer=setup.tokenizer, card=card, knows=setup.knows())
    (run.path / "README.md").write_text(card.render(), encoding="utf-8")
    print(f"{run.model}: the model, for mplug.load (docs/zoo.md)", flush=True)
