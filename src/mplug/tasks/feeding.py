"""A run's examples, from records or scenes, and the batches that its steps are fed with."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from mplug.config.schema import DataConfig, RunConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.data.batch import Example, Examples, collate
from mplug.data.byte_pair import BytePairTokenizer, prepared
from mplug.data.dataset import RecordExamples
from mplug.data.items import TaskExample, collate_tasks
from mplug.data.loader import Collate, Loader
from mplug.data.mismatched import MismatchedCaptions
from mplug.data.mixture import Mixture
from mplug.data.records import Record
from mplug.data.scenes.stream import SceneExamples
from mplug.data.scenes.tasks import SceneTasks
from mplug.data.task_augment import TaskAugmentation
from mplug.data.task_records import LONGEST_READ, TaskRecords
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import (
    FinetuneAugmentation,
    PretrainAugmentation,
    RecolourAugmentation,
)
from mplug.errors import ConfigError
from mplug.tasks.setup import SPECIALS, Records, Sources
from mplug.training.distributed import Processes

AUGMENTATIONS = {
    "none": None,
    "pretrain": PretrainAugmentation,
    "finetune": FinetuneAugmentation,
    "recolour": RecolourAugmentation,
}
LEAST_BATCHES = 8  # of validation: fewer say little of how much batches differ
SCENES_READ = 2000  # for the frequencies of their captions' words
SMALLEST_BATCH = 4  # of validation: with fewer pairs there is nothing to tell apart

AnyExamples = Examples[Example] | Examples[TaskExample]


def make_examples(
    config: RunConfig, sources: Sources, *, tokenizer: Tokenizer
) -> tuple[AnyExamples, AnyExamples]:
    """Training and validation examples, with captions shuffled where the run asks for that.

    Raises:
        ConfigError: captions are to be shuffled, which only pretraining can.
    """
    if config.task != "pretrain":
        if config.data.shuffle_captions:
            raise ConfigError("data.shuffle_captions: only pretraining can shuffle its captions")
        return _task_examples(config, sources, tokenizer=tokenizer)
    return pair_examples(
        config.data,
        sources.train,
        sources.validation,
        image_size=config.model.vision.image_size,
        longest=_longest(config),
        tokenizer=tokenizer,
    )


def _longest(config: RunConfig) -> int:
    return min(config.data.max_words, config.model.text.max_positions - SPECIALS)


def pair_examples(
    data: DataConfig,
    train: Sequence[Record],
    validation: Sequence[Record],
    *,
    image_size: int,
    longest: int,
    tokenizer: Tokenizer | BytePairTokenizer,
) -> tuple[Examples[Example], Examples[Example]]:
    """Pairs of a picture and a text, to learn from and to validate on.

    Of records, or of scenes where a run names some; captions are shuffled where it asks for that.
    """
    both = _pairs(
        data, train, validation, image_size=image_size, longest=longest, tokenizer=tokenizer
    )
    if data.shuffle_captions:
        return MismatchedCaptions(both[0]), MismatchedCaptions(both[1])
    return both


def _pairs(
    data: DataConfig,
    train: Sequence[Record],
    validation: Sequence[Record],
    *,
    image_size: int,
    longest: int,
    tokenizer: Tokenizer | BytePairTokenizer,
) -> tuple[Examples[Example], Examples[Example]]:
    if data.scenes is not None:
        drawn = (
            SceneExamples(
                data.scenes,
                image_size=image_size,
                tokenizer=tokenizer,
                max_words=longest,
                split=split,
            )
            for split in ("train", "validation")
        )
        return next(drawn), next(drawn)
    make = AUGMENTATIONS[data.augment]

    def examples(records: Sequence[Record], *, augment: bool) -> RecordExamples:
        return RecordExamples(
            records,
            tokenizer=tokenizer,
            image_size=image_size,
            max_words=longest,
            augmentation=make(image_size) if augment and make is not None else None,
            prepare_text=partial(prepared, tokenizer=tokenizer),
        )

    return examples(train, augment=True), examples(validation, augment=False)


def _task_examples(
    config: RunConfig, sources: Sources, *, tokenizer: Tokenizer
) -> tuple[Examples[TaskExample], Examples[TaskExample]]:
    data, size, longest = config.data, config.model.vision.image_size, _longest(config)
    if data.scenes is not None:
        train, validation = (
            SceneTasks(
                data.scenes,
                image_size=size,
                tasks=config.tasks.chosen,
                tokenizer=tokenizer,
                max_words=longest,
                split=split,
            )
            for split in ("train", "validation")
        )
        return train, validation
    make = AUGMENTATIONS[data.augment]

    def examples(group: Records, records: Sequence[Record], *, augment: bool) -> TaskRecords:
        caption = config.tasks.caption
        return TaskRecords(
            records,
            tasks=group.tasks,
            tokenizer=tokenizer,
            image_size=size,
            max_words=longest,
            longest_read=min(LONGEST_READ, config.model.text.max_positions),
            prompt="" if caption is None else caption.prompt,
            augmentation=TaskAugmentation(size, smallest_share=make.smallest_share)
            if augment and make is not None
            else None,
        )

    groups = sources.groups
    return (
        Mixture([(examples(each, each.train, augment=True), each.share) for each in groups]),
        Mixture([(examples(each, each.validation, augment=False), each.share) for each in groups]),
    )


def training_references(
    sources: Sources, training: AnyExamples, *, seed: int
) -> list[tuple[str, ...]]:
    """What people wrote of each training picture; of scenes, which never end, of many."""
    if sources.groups:
        written: dict[str, list[str]] = {}
        for record in sources.train:
            picture = record.image_id or record.video or record.images[0]
            written.setdefault(picture, []).extend(record.caption)
        return [tuple(texts) for texts in written.values() if texts]
    examples = (training.example(place, seed=seed) for place in range(SCENES_READ))
    return [one.items["caption"][0].references for one in examples if isinstance(one, TaskExample)]


def collate_of(config: RunConfig | ClipRun) -> Collate[Any, Any]:
    """How the run's examples become batches."""
    pairs = isinstance(config, ClipRun) or config.task == "pretrain"
    return collate if pairs else collate_tasks


def validation_batches(
    config: RunConfig | ClipRun, examples: AnyExamples, *, processes: Processes, pad_id: int
) -> Callable[[], Sequence[Any]]:
    """The same validation batches each time, read once; small sets are gone round again."""
    wanted = min(config.data.validation_examples, len(examples))
    size = min(
        config.optim.batch_size // config.optim.accumulate,
        max(SMALLEST_BATCH, wanted // LEAST_BATCHES),
    )
    size = max(1, size // processes.world) * processes.world

    @cache
    def batches() -> Sequence[Any]:
        loader = Loader(
            examples,
            collate=collate_of(config),
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
    config: RunConfig | ClipRun, examples: AnyExamples, *, processes: Processes, pad_id: int
) -> Loader[Any]:
    """What the engine is fed with: the parts of each step's batch that are this process's."""
    return Loader(
        examples,
        collate=collate_of(config),
        batch_size=config.optim.batch_size // config.optim.accumulate,
        seed=config.train.seed,
        rank=processes.rank,
        world=processes.world,
        workers=config.data.workers,
        pad_id=pad_id,
        max_bad_share=config.data.max_bad_share,
    )
