"""Scenes with all the texts that objectives of the family need, as regions or as pixels."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from mplug.config.schema import ScenesConfig
from mplug.data.asking import question_ids
from mplug.data.batch import identity
from mplug.data.joint_batch import NO_ANSWER, JointExample, Seen
from mplug.data.regions.scene_bank import SceneBank
from mplug.data.scenes.phrases import caption
from mplug.data.scenes.questions import questions
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.stream import SceneExamples, Split, to_pixels
from mplug.data.tokenizer import Tokenizer

JOINT = 53  # marks the random numbers of what is shown and said


class Shown(NamedTuple):
    """A scene, and how a model sees it; the number tells scenes apart."""

    scene: Scene
    seen: Seen
    number: int


@runtime_checkable
class ScenePictures(Protocol):
    """Where scenes come from."""

    def draw(self, random: np.random.Generator) -> Shown:
        """Any scene."""
        ...


class BankPictures:
    """Scenes of a bank, as regions."""

    def __init__(self, bank: SceneBank) -> None:
        self.bank = bank

    def draw(self, random: np.random.Generator) -> Shown:
        """One of the bank's scenes."""
        place = int(random.integers(len(self.bank)))
        return Shown(self.bank.scenes[place], Seen(regions=self.bank.regions[place]), place)


class DrawnPictures:
    """Scenes as pixels, drawn as they are asked for; none comes twice."""

    def __init__(self, config: ScenesConfig, *, image_size: int, split: Split) -> None:
        self.scenes = SceneExamples(config, image_size=image_size, split=split)

    def draw(self, random: np.random.Generator) -> Shown:
        """A new scene."""
        number = int(random.integers(2**40))
        scene = self.scenes.renderer.scene(self.scenes.draw_names(random), random=random)
        return Shown(scene, Seen(pixels=to_pixels(scene.image)), number)


class JointScenes:
    """Examples without end, each a function of seed and position.

    `answers` gives the place of each answer in the list that a model chooses from; a question whose
    answer is not in it is not asked.
    """

    def __init__(
        self,
        pictures: ScenePictures,
        config: ScenesConfig,
        *,
        split: Split,
        tokenizer: Tokenizer,
        max_words: int,
        answers: Mapping[str, int],
    ) -> None:
        self.pictures, self.split = pictures, split
        self.tokenizer, self.max_words, self.answers = tokenizer, max_words, answers
        self.scenes = SceneExamples(config, image_size=1, split=split)

    def __len__(self) -> int:
        """A nominal epoch."""
        return len(self.scenes)

    def example(self, position: int, *, seed: int) -> JointExample:
        """A scene with its texts, another scene without any, and a text without any."""
        random = self.scenes.random(position, seed, JOINT)
        shown, other, told = (self.pictures.draw(random) for _ in range(3))
        text = caption(shown.scene, random=random)
        question, answer = self._question(shown.scene, random)
        return JointExample(
            picture=shown.seen,
            caption=self._ids(text),
            second_caption=self._ids(caption(shown.scene, random=random)),
            tags=[*self._pieces(" ".join(shown.scene.names)), self.tokenizer.sep_id],
            question=question,
            answer=answer,
            other_picture=other.seen,
            other_text=self._ids(caption(told.scene, random=random)),
            image_id=identity(f"{self.split} scene {shown.number}"),
            caption_id=identity(text),
        )

    def _question(self, scene: Scene, random: np.random.Generator) -> tuple[list[int], int]:
        train = self.split == "train"
        asked = questions(scene, random=random, world=self.scenes.world, train=train)
        known = [each for each in asked if each.answer in self.answers]
        if not known:
            return [self.tokenizer.cls_id, self.tokenizer.sep_id], NO_ANSWER
        return question_ids(self.tokenizer, known[0].text), self.answers[known[0].answer]

    def _ids(self, text: str) -> list[int]:
        return [self.tokenizer.cls_id, *self._pieces(text), self.tokenizer.sep_id]

    def _pieces(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)[: self.max_words]
