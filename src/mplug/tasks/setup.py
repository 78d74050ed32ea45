"""From a run's configuration to its examples, words, model and task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import torch

from mplug.config.schema import RunConfig
from mplug.data.batch import Batch, Examples
from mplug.data.dataset import RecordExamples, one_per_caption
from mplug.data.loader import Loader
from mplug.data.mismatched import MismatchedCaptions
from mplug.data.records import Record, read_records
from mplug.data.scenes.stream import SceneExamples
from mplug.data.text import clean_caption
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import FinetuneAugmentation, PretrainAugmentation
from mplug.errors import ConfigError
from mplug.models.mplug import MPlug
from mplug.tasks.captioning import Captioning
from mplug.tasks.pretrain import Pretraining
from mplug.tasks.words import Words
from mplug.training.distributed import Processes
from mplug.weights.store import Loaded, load_pretrained

AUGMENTATIONS = {"none": None, "pretrain": PretrainAugmentation, "finetune": FinetuneAugmentation}
HELD_BACK = 20  # without validation records, every twentieth picture is kept from training
SPECIALS = 2  # [CLS] and [SEP]
LEAST_BATCHES = 8  # of validation: fewer say little of how much batches differ
SMALLEST_BATCH = 4  # of validation: with fewer pairs there is nothing to tell apart
COUNTED_CAPTIONS = 100_000  # enough for a share, and read in seconds


@dataclass(frozen=True)
class Sources:
    """Records, or None where scenes are rendered as they are asked for."""

    train: tuple[Record, ...] | None
    validation: tuple[Record, ...] | None


def read_sources(config: RunConfig) -> Sources:
    """The records a run names.

    Raises:
        DataError: too many bad records, or none.
    """
    data = config.data
    if data.train is None:
        return Sources(None, None)
    train = read_records(data.train).require(max_bad_share=data.max_bad_share)
    if data.validation is None:
        validation, train = _hold_back(train)
    else:
        validation = read_records(data.validation).require(max_bad_share=data.max_bad_share)
    if config.task == "caption":
        train = one_per_caption(train)
    return Sources(train, validation)


def _hold_back(records: Sequence[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Some records to validate on, and the rest; no picture is on both sides."""
    pictures = list(dict.fromkeys(record.image_id or record.images[0] for record in records))
    kept = set(pictures[::HELD_BACK])
    sides: tuple[list[Record], list[Record]] = ([], [])
    for record in records:
        sides[(record.image_id or record.images[0]) not in kept].append(record)
    return tuple(sides[0]), tuple(sides[1])


def make_tokenizer(config: RunConfig, sources: Sources) -> Tokenizer:
    """The run's words: a given vocabulary, or one learned from the training captions."""
    if config.data.tokenizer is not None:
        return Tokenizer.load(config.data.tokenizer)
    if config.data.scenes is not None:
        scenes = SceneExamples(config.data.scenes, image_size=config.model.vision.image_size)
        captions = list(scenes.captions_for_tokenizer())
    else:
        captions = [text for record in sources.train or () for text in record.caption]
    return Tokenizer.train(captions, vocab_size=config.data.vocab_size)


def unknown_share(sources: Sources, *, tokenizer: Tokenizer) -> float:
    """The share of words in the training captions, or many of them, that become [UNK]."""
    captions = (clean_caption(text) for record in sources.train or () for text in record.caption)
    return tokenizer.unknown_share(islice(captions, COUNTED_CAPTIONS))


def make_examples(
    config: RunConfig, sources: Sources, *, tokenizer: Tokenizer
) -> tuple[Examples, Examples]:
    """Training and validation examples, with captions shuffled where the run asks for that."""
    both = _examples(config, sources, tokenizer=tokenizer)
    if config.data.shuffle_captions:
        return MismatchedCaptions(both[0]), MismatchedCaptions(both[1])
    return both


def _examples(
    config: RunConfig, sources: Sources, *, tokenizer: Tokenizer
) -> tuple[Examples, Examples]:
    data, size = config.data, config.model.vision.image_size
    longest = min(data.max_words, config.model.text.max_positions - SPECIALS)
    if data.scenes is not None:
        train, validation = (
            SceneExamples(
                data.scenes,
                image_size=size,
                tokenizer=tokenizer,
                max_words=longest,
                split=split,
            )
            for split in ("train", "validation")
        )
        return train, validation
    make = AUGMENTATIONS[data.augment]

    def examples(records: Sequence[Record] | None, *, augment: bool) -> RecordExamples:
        return RecordExamples(
            records or (),
            tokenizer=tokenizer,
            image_size=size,
            max_words=longest,
            augmentation=make(size) if augment and make is not None else None,
        )

    return examples(sources.train, augment=True), examples(sources.validation, augment=False)


def make_model(config: RunConfig, *, tokenizer: Tokenizer, start: Loaded | None) -> MPlug:
    """A new model from the run's seed, or the one it starts from."""
    torch.manual_seed(config.train.seed)  # what a task adds to the model follows from it too
    if start is not None:
        return start.model
    text = config.model.text.model_copy(update={"vocab_size": tokenizer.vocab_size})
    return MPlug(config.model.model_copy(update={"text": text}))


def load_start(config: RunConfig) -> Loaded | None:
    """The model that a run starts from, at the run's resolution.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        ConfigError: its sizes are not those of the run.
    """
    if config.start_from is None:
        return None
    folder = Path(config.start_from)
    inner = folder / "model"
    loaded = load_pretrained(
        inner if inner.is_dir() else config.start_from, image_size=config.model.vision.image_size
    )
    words = {"vocab_size": loaded.config.text.vocab_size}
    wanted = {"text": config.model.text.model_copy(update=words)}
    if config.model.model_copy(update=wanted) != loaded.config:
        raise ConfigError(
            f"start_from={config.start_from}: its sizes are not those of the run's model: "
            "use the recipe of the same size"
        )
    return loaded


def make_task(
    config: RunConfig,
    model: MPlug,
    *,
    tokenizer: Tokenizer,
    validation: Callable[[], Sequence[Batch]],
    processes: Processes,
) -> Pretraining | Captioning:
    """The task that the run names.

    Raises:
        ConfigError: at some step no objective is on.
    """
    if config.task == "caption":
        return Captioning(
            model,
            optim=config.optim,
            label_smoothing=config.objectives.label_smoothing,
            processes=processes,
            validation=validation,
        )
    task = Pretraining(
        model,
        objectives=config.objectives,
        optim=config.optim,
        words=Words.of(tokenizer, device=processes.device),
        longest=config.data.max_words + SPECIALS,
        seed=config.train.seed,
        processes=processes,
        validation=validation,
    )
    _require_work(task, steps=config.optim.steps)
    return task


def _require_work(task: Pretraining, *, steps: int) -> None:
    idle = next((step for step in range(steps) if not task.pairs.active(step)), None)
    if idle is not None:
        raise ConfigError(
            f"objectives: none is on at step {idle}; let one have a weight above 0, every = 1 and "
            "start = 0"
        )


def validation_batches(
    config: RunConfig, examples: Examples, *, processes: Processes, pad_id: int
) -> Callable[[], Sequence[Batch]]:
    """The same validation batches each time, read once; small sets are gone round again."""
    wanted = min(config.data.validation_examples, len(examples))
    size = min(
        config.optim.batch_size // config.optim.accumulate,
        max(SMALLEST_BATCH, wanted // LEAST_BATCHES),
    )
    size = max(1, size // processes.world) * processes.world

    @cache
    def batches() -> Sequence[Batch]:
        loader = Loader(
            examples,
            batch_size=size,
            seed=config.train.seed,
            rank=processes.rank,
            world=processes.world,
            pad_id=pad_id,
            max_bad_share=config.data.max_bad_share,
        )
        return tuple(loader.batches(steps=max(LEAST_BATCHES, wanted // size)))

    return batches


def training_batches(
    config: RunConfig, examples: Examples, *, processes: Processes, pad_id: int
) -> Loader:
    """What the engine is fed with: the parts of each step's batch that are this process's."""
    return Loader(
        examples,
        batch_size=config.optim.batch_size // config.optim.accumulate,
        seed=config.train.seed,
        rank=processes.rank,
        world=processes.world,
        workers=config.data.workers,
        pad_id=pad_id,
        max_bad_share=config.data.max_bad_share,
    )
