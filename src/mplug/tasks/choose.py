"""From a run's configuration to what it trains: pretraining, or the tasks it fine-tunes on."""

from collections.abc import Callable, Sequence
from typing import Any

from mplug.config.schema import RunConfig, TaskConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError
from mplug.metrics.captions import DocumentFrequency
from mplug.metrics.ptb import ptb_tokens
from mplug.models.mplug import MPlug
from mplug.tasks.answering import Answering
from mplug.tasks.captioning import Captioning
from mplug.tasks.comparing import Comparing
from mplug.tasks.entailment import Entailment
from mplug.tasks.finetune import Finetuning, Weighted
from mplug.tasks.grounding import Grounding
from mplug.tasks.pair_objectives import PairObjectives
from mplug.tasks.part import Part
from mplug.tasks.pretrain import Pretraining
from mplug.tasks.self_critical import SelfCritical
from mplug.tasks.setup import SPECIALS
from mplug.tasks.words import Words
from mplug.training.distributed import Processes


def make_task(
    config: RunConfig,
    model: MPlug,
    *,
    tokenizer: Tokenizer,
    validation: Callable[[], Sequence[Any]],
    processes: Processes,
    references: Callable[[], Sequence[Sequence[str]]],
) -> Pretraining | Finetuning | SelfCritical:
    """What the run trains; `references` gives the captions of each training picture.

    Raises:
        ConfigError: at some step no objective is on.
    """
    if config.task == "finetune":
        return _finetuning(
            config, model, tokenizer=tokenizer, validation=validation, processes=processes
        )
    if config.task == "self_critical":
        return SelfCritical(
            model,
            settings=config.self_critical,
            generation=config.generation,
            tokenizer=tokenizer,
            frequency=DocumentFrequency.of(
                [[ptb_tokens(text) for text in texts] for texts in references()]
            ),
            optim=config.optim,
            seed=config.train.seed,
            processes=processes,
            validation=validation,
        )
    task = Pretraining(
        model,
        objectives=config.objectives,
        optim=config.optim,
        words=Words.of(tokenizer),
        longest=config.data.max_words + SPECIALS,
        seed=config.train.seed,
        processes=processes,
        validation=validation,
    )
    _require_work(task.pairs, steps=config.optim.steps)
    return task


def _finetuning(
    config: RunConfig,
    model: MPlug,
    *,
    tokenizer: Tokenizer,
    validation: Callable[[], Sequence[Any]],
    processes: Processes,
) -> Finetuning:
    chosen = config.tasks.chosen
    retrieval = chosen.pop("retrieval", None)
    pairs = None
    if retrieval is not None:
        pairs = PairObjectives(
            model,
            objectives=config.objectives,
            words=Words.of(tokenizer),
            longest=config.data.max_words + SPECIALS,
            seed=config.train.seed,
            processes=processes,
        )
        _require_work(pairs, steps=config.optim.steps)
    return Finetuning(
        model,
        parts={
            name: Weighted(_part(name, task, config, tokenizer=tokenizer), task.weight)
            for name, task in chosen.items()
        },
        pairs=pairs,
        pairs_weight=0.0 if retrieval is None else retrieval.weight,
        optim=config.optim,
        processes=processes,
        validation=validation,
    )


def _part(name: str, task: TaskConfig, config: RunConfig, *, tokenizer: Tokenizer) -> Part:
    make: dict[str, Callable[[], Part]] = {
        "caption": lambda: Captioning(label_smoothing=config.objectives.label_smoothing),
        "answer": Answering,
        "ground": lambda: Grounding(
            tokenizer.start_box_id, tokenizer.box_ids, box_loss=task.box_loss
        ),
        "compare": Comparing,
        "entail": Entailment,
    }
    return make[name]()


def _require_work(pairs: PairObjectives, *, steps: int) -> None:
    idle = next((step for step in range(steps) if not pairs.active(step)), None)
    if idle is not None:
        raise ConfigError(
            f"objectives: none is on at step {idle}; let one have a weight above 0, every = 1 and "
            "start = 0"
        )
