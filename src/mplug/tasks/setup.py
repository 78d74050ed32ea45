"""From a run's configuration to its records, words and model."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from mplug.config.schema import RunConfig, Skill, TaskConfig
from mplug.data.overlap import drop_shared
from mplug.data.records import Record, read_records
from mplug.data.scenes.stream import SceneExamples
from mplug.data.text import clean_caption
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError, DataError
from mplug.models.mplug import MPlug
from mplug.models.skills import with_skills
from mplug.weights.starting import start_from_towers, tokenizer_of
from mplug.weights.store import Loaded, load_pretrained

TEST = re.compile(r"test(?![a-z])")  # "test", "testA", "test_unseen_artist"
HELD_BACK = 20  # without validation records, every twentieth picture is kept from training
SPECIALS = 2  # [CLS] and [SEP]
COUNTED_CAPTIONS = 100_000  # enough for a share, and read in seconds

logger = logging.getLogger(__name__)


class Records(NamedTuple):
    """Records that some of a run's tasks learn from and are validated on.

    Of several, each fills the part of every batch that its `share` says.
    """

    tasks: tuple[str, ...]
    train: tuple[Record, ...]
    validation: tuple[Record, ...]
    share: int


@dataclass(frozen=True)
class Sources:
    """The records a run learns from; none where scenes are rendered as they are asked for."""

    groups: tuple[Records, ...]

    @property
    def train(self) -> tuple[Record, ...]:
        """All that is learned from."""
        return tuple(record for group in self.groups for record in group.train)

    @property
    def validation(self) -> tuple[Record, ...]:
        """All that is validated on."""
        return tuple(record for group in self.groups for record in group.validation)


def read_sources(config: RunConfig) -> Sources:
    """The records a run names, tasks that share a file together.

    Raises:
        DataError: too many bad records, or none.
        ConfigError: a task has nothing to learn from, or is validated on what it learns.
    """
    data = config.data
    tasks = config.tasks.chosen or {"retrieval": TaskConfig()}
    files: dict[tuple[str, str | None], dict[str, int]] = {}
    for name, task in tasks.items():
        train = task.train or data.train
        if train is None:
            if data.scenes is None:
                raise ConfigError(f"data.train: {name} has no records to learn from: name a file")
            continue
        validation = task.validation if task.train else task.validation or data.validation
        files.setdefault((train, validation), {})[name] = task.share
    if files and data.scenes is not None:
        raise ConfigError("data.scenes: a run learns from scenes or from records, not from both")
    return Sources(
        tuple(
            Records(
                tuple(shares),
                *read_sides(train, validation, max_bad_share=data.max_bad_share),
                max(shares.values()),
            )
            for (train, validation), shares in files.items()
        )
    )


def read_sides(
    train: str, validation: str | None, *, max_bad_share: float
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """The records of two files, or of one of which some are held back.

    Raises:
        DataError: too many bad records, or none are left to learn from.
        ConfigError: what is to be validated on is what is learned, or a test.
    """
    if validation is not None and Path(validation).resolve() == Path(train).resolve():
        raise ConfigError(
            f"data.validation = {validation!r} is what the run learns from: name another file, or "
            f"none, to hold back every {HELD_BACK}th picture"
        )
    if validation is not None and TEST.match(Path(validation).stem):
        raise ConfigError(
            f"data.validation = {validation!r} is a test by its name: what is chosen on a test "
            "says nothing on it; name a validation file, and give the test to `mplug evaluate`"
        )
    records = read_records(train).require(max_bad_share=max_bad_share)
    if validation is None:
        return _hold_back(records)
    held = read_records(validation).require(max_bad_share=max_bad_share)
    kept, shared = drop_shared(records, held)
    if shared:
        logger.warning(
            "%d of %d training records show pictures of %s and are left out",
            len(shared),
            len(records),
            validation,
        )
    if not kept:
        raise DataError(f"{train}: every picture is one of {validation} too: nothing is left")
    return kept, held


def _hold_back(records: Sequence[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Some records to learn from, and some to validate on; no picture is on both sides."""

    def picture(record: Record) -> str:
        return record.image_id or record.video or record.images[0]

    pictures = list(dict.fromkeys(picture(record) for record in records))
    kept = set(pictures[::HELD_BACK])
    sides: tuple[list[Record], list[Record]] = ([], [])
    for record in records:
        sides[picture(record) in kept].append(record)
    return tuple(sides[0]), tuple(sides[1])


def make_tokenizer(config: RunConfig, sources: Sources) -> Tokenizer:
    """The run's words: a given vocabulary, or one learned from the training captions."""
    if config.data.tokenizer is not None:
        return Tokenizer.load(config.data.tokenizer)
    if config.init.text is not None:
        return tokenizer_of(config.init.text)
    if config.data.scenes is not None:
        scenes = SceneExamples(config.data.scenes, image_size=config.model.vision.image_size)
        captions = list(scenes.captions_for_tokenizer())
    else:
        captions = [text for record in sources.train for text in texts_of(record)]
    return Tokenizer.train(captions, vocab_size=config.data.vocab_size)


def unknown_share(sources: Sources, *, tokenizer: Tokenizer) -> float:
    """The share of words in the training captions, or many of them, that become [UNK]."""
    captions = (clean_caption(text) for record in sources.train for text in texts_of(record))
    return tokenizer.unknown_share(islice(captions, COUNTED_CAPTIONS))


def texts_of(record: Record) -> Iterator[str]:
    """Everything a record says in words."""
    yield from record.caption
    yield from (answer.text for answer in record.answers)
    yield from record.text
    yield from (text for text in (record.question, record.phrase, record.statement) if text)


def make_model(config: RunConfig, *, tokenizer: Tokenizer, start: Loaded | None) -> MPlug:
    """A new model from the run's seed, or the one it starts from."""
    torch.manual_seed(config.train.seed)  # what a task adds to the model follows from it too
    skills = [name for name in get_args(Skill) if name in config.tasks.chosen]
    if start is not None:
        return with_skills(start.model, skills)
    text = config.model.text.model_copy(update={"vocab_size": tokenizer.vocab_size})
    model = MPlug(config.model.model_copy(update={"text": text, "skills": tuple(skills)}))
    for line in start_from_towers(model, config.init, tokenizer=tokenizer):
        if os.environ.get("RANK", "0") == "0":
            print(line, flush=True)
    return model


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
    wanted = {
        "text": config.model.text.model_copy(update=words),
        "skills": loaded.config.skills,
    }
    if config.model.model_copy(update=wanted) != loaded.config:
        raise ConfigError(
            f"start_from={config.start_from}: its sizes are not those of the run's model: "
            "use the recipe of the same size"
        )
    return loaded
