"""Training a run of mPLUG: data, words, model, loop, and the model it leaves."""

from typing import Any

from mplug import __version__
from mplug.config.schema import RunConfig
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
from mplug.models.mplug import MPlug
from mplug.tasks import choose, feeding, finetune, pretrain, setup
from mplug.training.distributed import Processes
from mplug.training.loop import Outcome
from mplug.training.run import RunDirectory
from mplug.weights.card import ModelCard, Score
from mplug.weights.store import save_pretrained

VERDICTS = {**pretrain.VERDICTS, **finetune.VERDICTS}
OVERFIT = {
    # A queue would hold the batch's own pairs many times over; a teacher is never quite certain.
    "objectives.queue_size": 0,
    "objectives.distillation": 0.0,
    "objectives.label_smoothing": 0.0,
}
"""What would keep the losses of a single batch from falling to zero, and its cure."""


def prepare(
    config: RunConfig, *, run: RunDirectory, processes: Processes, overfit: bool
) -> Prepared:
    """The task and the batches of a run; with `overfit` every step sees the first batch."""
    start = setup.load_start(config)
    sources = setup.read_sources(config)
    tokenizer = kept_words(
        run,
        processes=processes,
        make=lambda: start.tokenizer if start else setup.make_tokenizer(config, sources),
        read=Tokenizer.load,
    )
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
    return Prepared(
        task,
        batches_left(config, loader),
        finish=lambda outcome: _finish(
            config, run, outcome=outcome, model=model, tokenizer=tokenizer
        ),
    )


def _finish(
    config: RunConfig,
    run: RunDirectory,
    *,
    outcome: Outcome,
    model: MPlug,
    tokenizer: Tokenizer,
) -> None:
    """Say what was learned, and leave the model where `mplug.load` finds it."""
    for line in verdicts(outcome.evaluation, otherwise=VERDICTS):
        print(line, flush=True)
    card = ModelCard(
        name=config.name,
        summary=f"An mPLUG model, trained by the recipe `{config.name}` of mplug {__version__}"
        f"{which_step(config, outcome)}.",
        data=describe_data(config.data),
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
