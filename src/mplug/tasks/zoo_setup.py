"""From a run of a model put together from parts to its model, its task and its batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from mplug.config.schema_zoo import PairConfig, RegionsPart, ZooConfig
from mplug.config.schema_zoo_run import OBJECTIVES, ZooRun
from mplug.data.batch import Examples
from mplug.data.joint_batch import JointBatch, JointExample, collate_joint
from mplug.data.joint_scenes import BankPictures, DrawnPictures, JointScenes, ScenePictures
from mplug.data.loader import Loader
from mplug.data.regions.scene_bank import SceneBank, class_count, scene_bank
from mplug.data.regions.scene_examples import answers_of
from mplug.data.scenes.stream import SceneExamples, Split
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.writer import WriterModel
from mplug.tasks.setup import SPECIALS
from mplug.tasks.uniter_setup import LEAST_BATCHES
from mplug.tasks.uniter_sources import VALIDATION_SHARE, region_encoder
from mplug.tasks.zoo_hiding import vocabulary_of
from mplug.tasks.zoo_pretrain import ZooPretraining, make_model
from mplug.tasks.zoo_step import places_of
from mplug.training.distributed import Processes
from mplug.weights.zoo_folder import LoadedZoo, ZooKnows


def make_tokenizer(config: ZooRun) -> Tokenizer:
    """The run's words: a given vocabulary, or that of its scenes."""
    if config.data.tokenizer is not None:
        return Tokenizer.load(config.data.tokenizer)
    scenes = SceneExamples(config.data.scenes, image_size=1)
    return Tokenizer.train(scenes.captions_for_tokenizer(), vocab_size=config.data.vocab_size)


def make_banks(config: ZooRun) -> dict[Split, SceneBank]:
    """Scenes as regions to learn from and to validate on, found or made; none for pixels.

    Raises:
        ConfigError: the regions are not as wide as the model reads, or of other classes.
    """
    part = config.model.image
    if not isinstance(part, RegionsPart):
        return {}
    data = config.data
    encoder = region_encoder(data.encoder)
    for name, has in (
        ("feature_size", encoder.feature_size),
        ("classes", class_count(data.scenes)),
    ):
        if has != getattr(part, name):
            raise ConfigError(
                f"model.image.{name} = {getattr(part, name)}, but the regions have {has}: "
                f"add model.image.{name}={has}"
            )
    counts: dict[Split, int] = {
        "train": data.pictures,
        "validation": -(-data.pictures // VALIDATION_SHARE),
    }
    return {
        split: scene_bank(
            Path(data.regions),
            data.scenes,
            split=split,
            count=count,
            image_size=encoder.image_size,
            encoder=data.encoder,
            describe=lambda: encoder.describe,
        )
        for split, count in counts.items()
    }


@dataclass(frozen=True)
class ZooSetup:
    """All that a run learns with."""

    config: ZooRun
    tokenizer: Tokenizer
    banks: dict[Split, SceneBank]
    start: LoadedZoo | None = None

    def model(self) -> PairModel | WriterModel:
        """The model that the run starts from, or a new one with as many words as there are.

        Raises:
            ConfigError: the model that it starts from has other sizes.
        """
        torch.manual_seed(self.config.train.seed)
        if self.start is None:
            return make_model(self._sized())
        there: ZooConfig = self.start.model.config
        if there != self._sized():
            raise ConfigError(
                f"start_from={self.config.start_from}: its sizes or heads are not those of the "
                "run's model: use the recipe of the same model"
            )
        return self.start.model

    def knows(self) -> ZooKnows:
        """What the model will know when the run is over."""
        before = () if self.start is None else self.start.knows.learned
        chosen = {*before, *self.config.objectives.chosen}
        return ZooKnows(
            learned=tuple(name for name in OBJECTIVES if name in chosen),
            encoder=self.config.data.encoder if self.banks else "",
            answer_list=tuple(self._answers()),
        )

    def _sized(self) -> ZooConfig:
        config = self.config.model
        words = {"vocab_size": self.tokenizer.vocab_size}
        return config.model_copy(update={"text": config.text.model_copy(update=words)})

    def examples(self, split: Split) -> JointScenes:
        """Scenes with all their texts.

        Raises:
            ConfigError: there are more answers than the model chooses among.
        """
        data = self.config.data
        return JointScenes(
            self._pictures(split),
            data.scenes,
            split=split,
            tokenizer=self.tokenizer,
            max_words=data.max_words,
            answers=self._answers(),
        )

    def _pictures(self, split: Split) -> ScenePictures:
        if self.banks:
            return BankPictures(self.banks[split])
        image = self.config.model.image
        assert not isinstance(image, RegionsPart)
        return DrawnPictures(self.config.data.scenes, image_size=image.image_size, split=split)

    def _answers(self) -> dict[str, int]:
        model = self.config.model
        if not isinstance(model, PairConfig) or not model.answers:
            return {}
        kept = () if self.start is None else self.start.knows.answer_list
        answers = kept or answers_of(self.banks["train"], self.config.data.scenes)
        if len(answers) > model.answers:
            raise ConfigError(
                f"model.answers = {model.answers}, but these scenes have {len(answers)} answers: "
                f"add model.answers={len(answers)}"
            )
        return {answer: place for place, answer in enumerate(answers)}

    def task(
        self,
        model: PairModel | WriterModel,
        *,
        processes: Processes,
        validation: Callable[[], Sequence[JointBatch]],
    ) -> ZooPretraining:
        """What the run trains."""
        config = self.config
        most = config.data.scenes.max_objects + 1  # and a screen
        words = config.data.max_words + SPECIALS
        return ZooPretraining(
            model,
            objectives=config.objectives,
            optim=config.optim,
            vocabulary=vocabulary_of(self.tokenizer, device=processes.device),
            most=places_of(model, words=words, regions=most),
            seed=config.train.seed,
            processes=processes,
            validation=validation,
        )

    def training_batches(
        self, examples: Examples[JointExample], *, processes: Processes
    ) -> Loader[JointBatch]:
        """The parts of each step's batch that are this process's."""
        optim = self.config.optim
        return self._loader(
            examples, optim.batch_size // optim.accumulate, processes, self.config.data.workers
        )

    def validation_batches(
        self, examples: Examples[JointExample], *, processes: Processes
    ) -> Callable[[], Sequence[JointBatch]]:
        """The same validation batches each time, read once."""
        optim, wanted = self.config.optim, self.config.data.validation_examples
        size = min(optim.batch_size // optim.accumulate, max(4, wanted // LEAST_BATCHES))
        size = max(1, size // processes.world) * processes.world

        @cache
        def batches() -> Sequence[JointBatch]:
            loader = self._loader(examples, size, processes, 0)
            return tuple(loader.batches(steps=max(LEAST_BATCHES, wanted // size)))

        return batches

    def _loader(
        self, examples: Examples[JointExample], size: int, processes: Processes, workers: int
    ) -> Loader[JointBatch]:
        return Loader(
            examples,
            collate=collate_joint,
            batch_size=size,
            seed=self.config.train.seed,
            rank=processes.rank,
            world=processes.world,
            workers=workers,
            pad_id=self.tokenizer.pad_id,
        )
