"""Where a UNITER run's regions and texts come from: scenes of a bank, or records and a folder."""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from mplug.config.schema import ScenesConfig
from mplug.config.schema_uniter_run import UniterRun
from mplug.data.batch import Examples
from mplug.data.records import Record
from mplug.data.regions.batch import RegionExample, RegionTaskExample
from mplug.data.regions.record_examples import (
    RecordRegions,
    RecordRegionTasks,
    RegionFolder,
    common_answers,
)
from mplug.data.regions.scene_bank import SceneBank, class_count, scene_bank
from mplug.data.regions.scene_examples import SceneRegions, SceneRegionTasks, answers_of
from mplug.data.regions.stored import Regions, load_regions
from mplug.data.scenes.stream import SceneExamples, Split
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError, DataError
from mplug.models.region_encoder import RegionEncoder
from mplug.models.vision import vision_encoder
from mplug.tasks.setup import read_sides, texts_of
from mplug.weights.clip_folder import load_clip
from mplug.weights.folder import find_folder, read_header
from mplug.weights.layout import is_saved_model
from mplug.weights.starting import read_vision_tower

MOST_ANSWERS = 3129
TRIES = 1000  # pictures looked for in a folder, before it is said to have none
VALIDATION_SHARE = 12  # one scene to validate on for so many to learn from


@runtime_checkable
class RegionSource(Protocol):
    """Regions with texts, to learn from and to validate on."""

    def feature_size(self) -> int:
        """How many numbers describe a region."""
        ...

    def classes(self) -> int:
        """How many classes soft labels tell apart, background included."""
        ...

    def prepare(self) -> None:
        """Make what takes long, and keep it on disk."""
        ...

    def corpus(self) -> Iterable[str]:
        """The texts to learn words from."""
        ...

    def answers(self) -> tuple[str, ...]:
        """The answers to choose among."""
        ...

    def pairs(self, split: Split, tokenizer: Tokenizer) -> Examples[RegionExample]:
        """Pictures with captions."""
        ...

    def tasks(
        self,
        split: Split,
        tokenizer: Tokenizer,
        *,
        tasks: Collection[str],
        answers: Mapping[str, int],
    ) -> Examples[RegionTaskExample]:
        """Pictures with all that is asked of them."""
        ...


def region_encoder(name: str) -> RegionEncoder:
    """The image encoder of a saved model of any system, or of another project's, to describe boxes.

    Raises:
        CheckpointError: there is no such model.
    """
    folder = Path(name) / "model"
    source = folder if folder.is_dir() else name
    found = find_folder(source)
    if is_saved_model(found) and read_header(found).get("system") == "clip":
        clip = load_clip(found)
        return RegionEncoder.of(clip.model.vision, image_size=clip.config.vision.image_size)
    tower = read_vision_tower(source)
    vision = vision_encoder(tower.config)
    vision.load_state_dict(tower.tensors)
    return RegionEncoder.of(vision, image_size=tower.config.image_size)


class RecordSource:
    """Records, whose pictures' regions lie in a folder."""

    def __init__(self, config: UniterRun) -> None:
        data = config.data
        self.config = config
        assert data.train is not None  # or there would be nothing to read
        train, held = read_sides(data.train, data.validation, max_bad_share=data.max_bad_share)
        self.records: dict[Split, tuple[Record, ...]] = {"train": train, "validation": held}
        self.folder = RegionFolder(
            Path(data.regions), data.confidence, at_least=data.at_least, at_most=data.at_most
        )

    @cached_property
    def _first(self) -> Regions:
        """The regions of the first picture that has any.

        Raises:
            DataError: none of many has.
        """
        pictures = [picture for record in self.records["train"] for picture in record.images]
        for picture in pictures[:TRIES]:
            if self.folder.file(picture).is_file():
                return load_regions(self.folder.file(picture))
        raise DataError(
            f"data.regions = {self.config.data.regions!r} has no regions of "
            f"{pictures[0] if pictures else 'any picture'} and others: it would be "
            f"{self.folder.file(pictures[0]) if pictures else 'an .npz file'}; `mplug regions` "
            "makes them"
        )

    def feature_size(self) -> int:
        """As wide as the first picture's."""
        return self._first.features.shape[1]

    def classes(self) -> int:
        """As many as the first picture's, or 0 where it has no soft labels."""
        labels = self._first.soft_labels
        return 0 if labels is None else labels.shape[1]

    def prepare(self) -> None:
        """Nothing is to be made."""

    def corpus(self) -> Iterable[str]:
        """Everything that the records to learn from say."""
        return (text for record in self.records["train"] for text in texts_of(record))

    def answers(self) -> tuple[str, ...]:
        """The commonest answers, as many as UNITER chooses among."""
        return common_answers(self.records["train"], at_most=MOST_ANSWERS)

    def pairs(self, split: Split, tokenizer: Tokenizer) -> RecordRegions:
        """Pictures with captions."""
        return RecordRegions(
            self.records[split],
            self.folder,
            tokenizer=tokenizer,
            max_words=self.config.data.max_words,
        )

    def tasks(
        self,
        split: Split,
        tokenizer: Tokenizer,
        *,
        tasks: Collection[str],
        answers: Mapping[str, int],
    ) -> RecordRegionTasks:
        """Pictures with all that is asked of them."""
        return RecordRegionTasks(
            self.records[split],
            self.folder,
            tasks=tasks,
            tokenizer=tokenizer,
            max_words=self.config.data.max_words,
            answers=answers,
        )


class SceneSource:
    """Scenes, drawn once and described by an encoder."""

    def __init__(self, config: UniterRun, scenes: ScenesConfig) -> None:
        self.config, self.scenes = config, scenes
        self._banks: dict[Split, SceneBank] = {}

    @cached_property
    def encoder(self) -> RegionEncoder:
        """What describes the boxes."""
        return region_encoder(self.config.data.encoder)

    def feature_size(self) -> int:
        """The encoder's width."""
        return self.encoder.feature_size

    def classes(self) -> int:
        """Background, the concepts, and a screen."""
        return class_count(self.scenes)

    def prepare(self) -> None:
        """Draw and describe both splits, or find them."""
        for split in ("train", "validation"):
            self.bank(split)

    def bank(self, split: Split) -> SceneBank:
        """The scenes of one split."""
        if split not in self._banks:
            count = self.config.data.pictures
            self._banks[split] = scene_bank(
                Path(self.config.data.regions),
                self.scenes,
                split=split,
                count=count if split == "train" else -(-count // VALIDATION_SHARE),
                image_size=self.encoder.image_size,
                encoder=self.config.data.encoder,
                describe=lambda: self.encoder.describe,
            )
        return self._banks[split]

    def corpus(self) -> Iterable[str]:
        """Every word that captions and tasks of this world can have."""
        return SceneExamples(self.scenes, image_size=1).captions_for_tokenizer()

    def answers(self) -> tuple[str, ...]:
        """Every answer that questions about the training scenes have."""
        return answers_of(self.bank("train"), self.scenes)

    def pairs(self, split: Split, tokenizer: Tokenizer) -> SceneRegions:
        """Scenes with captions."""
        return SceneRegions(
            self.bank(split),
            self.scenes,
            split=split,
            tokenizer=tokenizer,
            max_words=self.config.data.max_words,
        )

    def tasks(
        self,
        split: Split,
        tokenizer: Tokenizer,
        *,
        tasks: Collection[str],
        answers: Mapping[str, int],
    ) -> SceneRegionTasks:
        """Scenes with all that is asked of them."""
        return SceneRegionTasks(self.pairs(split, tokenizer), tasks=tasks, answers=answers)


def region_source(config: UniterRun) -> RegionSource:
    """What the run learns from.

    Raises:
        ConfigError: neither records nor scenes are named.
        DataError: the records cannot be used.
    """
    data = config.data
    if data.scenes is not None:
        return SceneSource(config, data.scenes)
    if data.train is None:
        raise ConfigError(
            "data.train is not set: name your records, such as data.train=captions.jsonl"
        )
    return RecordSource(config)
