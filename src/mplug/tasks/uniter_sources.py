"""Where a UNITER run's regions and texts come from: scenes of a bank, or records and a folder."""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mplug.config.schema import ScenesConfig
from mplug.config.schema_uniter_run import UniterRun
from mplug.data.batch import Examples
from mplug.data.regions.batch import RegionExample, RegionTaskExample
from mplug.data.regions.scene_bank import SceneBank, class_count, scene_bank
from mplug.data.regions.scene_examples import SceneRegions, SceneRegionTasks, answers_of
from mplug.data.scenes.stream import SceneExamples, Split
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError
from mplug.models.region_encoder import RegionEncoder
from mplug.weights.store import load_pretrained

VALIDATION_SHARE = 12  # one scene to validate on for so many to learn from


class RegionSource(Protocol):
    """Regions with texts, to learn from and to validate on."""

    @property
    def feature_size(self) -> int:
        """How many numbers describe a region."""
        ...

    @property
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
    """The image encoder of a saved model, to describe boxes with.

    Raises:
        CheckpointError: there is no such model.
    """
    folder = Path(name) / "model"
    loaded = load_pretrained(folder if folder.is_dir() else name)
    vision = loaded.config.vision
    return RegionEncoder(
        loaded.model.vision, patch_size=vision.patch_size, image_size=vision.image_size
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

    @property
    def feature_size(self) -> int:
        """The encoder's width."""
        return self.encoder.feature_size

    @property
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
    raise ConfigError("data.train is not set: name your records, such as data.train=captions.jsonl")
