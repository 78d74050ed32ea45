"""Batches of scenes for the models of the family, as regions and as pixels."""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from mplug.config.schema import OptimConfig, ScenesConfig
from mplug.config.schema_zoo import ZooConfig
from mplug.config.schema_zoo_run import JointObjectives
from mplug.config.zoo import small
from mplug.data.joint_batch import JointBatch, collate_joint
from mplug.data.joint_scenes import BankPictures, DrawnPictures, JointScenes
from mplug.data.regions.scene_bank import SceneBank, scene_bank
from mplug.data.regions.scene_examples import answers_of
from mplug.data.scenes.stream import SceneExamples
from mplug.data.tokenizer import Tokenizer
from mplug.models.region_encoder import RegionEncoder
from mplug.tasks.zoo_hiding import Vocabulary, vocabulary_of
from mplug.tasks.zoo_pretrain import ZooPretraining, make_model
from mplug.training.distributed import Processes

SCENES = ScenesConfig(concepts=9, max_objects=3, held_out_pairs=4)
PICTURE, CLASSES, FEATURES, MOST = 64, 11, 16, 80
PAIRS = 6


class Colours(nn.Module):
    """A class token of zeros, and patches as random mixtures of their pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.projection = nn.Conv2d(3, FEATURES, 8, stride=8)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.projection(pixels).flatten(2).transpose(1, 2)
        return nn.functional.pad(patches, (0, 0, 1, 0))


@lru_cache
def tokenizer() -> Tokenizer:
    scenes = SceneExamples(SCENES, image_size=1)
    return Tokenizer.train(list(scenes.captions_for_tokenizer()), vocab_size=1000)


@lru_cache
def bank() -> SceneBank:
    colours = Colours()
    encoder = RegionEncoder(
        colours, lambda pixels: colours(pixels)[:, 1:], patch_size=8, image_size=PICTURE
    )
    with TemporaryDirectory() as folder:
        return scene_bank(
            Path(folder),
            SCENES,
            split="train",
            count=40,
            image_size=PICTURE,
            encoder="colours",
            describe=lambda: encoder.describe,
        )


@lru_cache
def answers() -> dict[str, int]:
    return {answer: place for place, answer in enumerate(answers_of(bank(), SCENES))}


@lru_cache
def vocabulary() -> Vocabulary:
    return vocabulary_of(tokenizer(), device=torch.device("cpu"))


def tiny(config: ZooConfig) -> ZooConfig:
    """The same parts, for this world."""
    return small(
        config,
        vocab_size=tokenizer().vocab_size,
        feature_size=FEATURES,
        classes=CLASSES,
        answers=len(answers()),
    )


def scenes(*, as_regions: bool) -> JointScenes:
    drawn = DrawnPictures(SCENES, image_size=PICTURE, split="train")
    return JointScenes(
        BankPictures(bank()) if as_regions else drawn,
        SCENES,
        split="train",
        tokenizer=tokenizer(),
        max_words=30,
        answers=answers(),
    )


@lru_cache
def batch(*, as_regions: bool) -> JointBatch:
    examples = scenes(as_regions=as_regions)
    return collate_joint([examples.example(place, seed=0) for place in range(PAIRS)])


def task(config: ZooConfig, objectives: JointObjectives) -> ZooPretraining:
    torch.manual_seed(0)
    return ZooPretraining(
        make_model(config),
        objectives=objectives,
        optim=OptimConfig(steps=1, batch_size=PAIRS, lr=1e-3),
        vocabulary=vocabulary(),
        most=MOST,
        seed=0,
        processes=Processes(),
        validation=lambda: [batch(as_regions=config.image.kind == "regions")] * 2,
    )
