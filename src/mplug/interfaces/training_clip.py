"""Training a run of CLIP: pairs, words, model, loop, and the model it leaves."""

from collections.abc import Mapping
from typing import Any

from mplug import __version__
from mplug.config.schema_clip_run import ClipRun
from mplug.data.byte_pair import BytePairTokenizer, load_tokenizer
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
from mplug.models.clip import Clip
from mplug.tasks import clip_setup, feeding
from mplug.tasks.contrastive import VERDICTS, ContrastivePretraining
from mplug.training.distributed import Processes
from mplug.training.loop import Outcome
from mplug.training.run import RunDirectory
from mplug.weights.card import ModelCard, Score
from mplug.weights.clip_folder import save_clip

OVERFIT: Mapping[str, Any] = {}
"""Nothing keeps the loss of a single batch from falling to zero."""


def prepare(config: ClipRun, *, run: RunDirectory, processes: Processes, overfit: bool) -> Prepared:
    """The task and the batches of a run; with `overfit` every step sees the first batch."""
    start = clip_setup.load_start(config)
    pairs = clip_setup.read_pairs(config)
    tokenizer = kept_words(
        run,
        processes=processes,
        make=lambda: start.tokenizer if start else clip_setup.make_tokenizer(config, pairs),
        read=load_tokenizer,
    )
    training, validation = clip_setup.make_examples(config, pairs, tokenizer=tokenizer)
    model = clip_setup.make_model(config, tokenizer=tokenizer, start=start)
    if overfit:
        training = validation = FirstOnly(training, config.optim.batch_size)
    pad_id = tokenizer.pad_id
    task = ContrastivePretraining(
        model,
        optim=config.optim,
        processes=processes,
        validation=feeding.validation_batches(
            config, validation, processes=processes, pad_id=pad_id
        ),
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
    config: ClipRun,
    run: RunDirectory,
    *,
    outcome: Outcome,
    model: Clip,
    tokenizer: Tokenizer | BytePairTokenizer,
) -> None:
    """Say what was learned, and leave the model where `mplug.load` finds it."""
    for line in verdicts(outcome.evaluation, otherwise=VERDICTS):
        print(line, flush=True)
    card = ModelCard(
        name=config.name,
        summary=f"A CLIP model, trained by the recipe `{config.name}` of mplug {__version__}"
        f"{which_step(config, outcome)}.",
        data=describe_data(config.data),
        licence="Apache-2.0",
        scores=tuple(
            Score("retrieval", "validation", name.removeprefix("validation_"), value)
            for name, value in outcome.evaluation.items()
            if name.startswith("validation_recall")
        ),
        use='print(model.classify("photo.jpg", ["a cat", "a dog"]))',
    )
    save_clip(run.model, model=model, tokenizer=tokenizer, card=card)
    (run.path / "README.md").write_text(card.render(), encoding="utf-8")
    print(f"{run.model}: the model, for `mplug.load` and `mplug classify --model`", flush=True)
