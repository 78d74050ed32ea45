"""What a bank of scenes is asked: captions of its regions, and every task of UNITER's."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from mplug.config.schema import ScenesConfig
from mplug.data.asking import phrase_ids, question_ids, statement_ids
from mplug.data.batch import identity
from mplug.data.items import ENTAILMENT, TRUTH, Item, Target
from mplug.data.regions.batch import RegionExample, RegionTaskExample
from mplug.data.regions.scene_bank import SceneBank
from mplug.data.scenes.grounding import phrases
from mplug.data.scenes.phrases import caption as describe
from mplug.data.scenes.questions import questions
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.statements import hypothesis, statements
from mplug.data.scenes.stream import SceneExamples, Split
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError

TASKS = ("answer", "retrieve", "compare", "ground", "entail")
ASKED = 41  # marks the random numbers of which scene is asked, and what
SHARED_SHARE = 0.5  # of the pairs, how many show one thing in both pictures
QUESTIONS = 2  # of each scene
STATEMENTS = 2  # of each pair
ANSWER_ROUNDS = 4  # times that every scene is asked, to learn what answers there are


class SceneRegions:
    """Scenes of a bank in an order without end; an example is a function of seed and position."""

    def __init__(
        self,
        bank: SceneBank,
        config: ScenesConfig,
        *,
        split: Split,
        tokenizer: Tokenizer,
        max_words: int,
    ) -> None:
        self.bank, self.split = bank, split
        self.tokenizer, self.max_words = tokenizer, max_words
        self.scenes = SceneExamples(config, image_size=1, split=split)

    def __len__(self) -> int:
        """The scenes there are."""
        return len(self.bank)

    def example(self, position: int, *, seed: int) -> RegionExample:
        """A scene's regions with a caption."""
        random = self.random(position, seed)
        return self.captioned(int(random.integers(len(self.bank))), random)

    def random(self, position: int, seed: int) -> np.random.Generator:
        """The random numbers of an example."""
        return self.scenes.random(position, seed, ASKED)

    def captioned(self, place: int, random: np.random.Generator) -> RegionExample:
        """The regions of one scene, with a caption of it."""
        text = describe(self.bank.scenes[place], random=random)
        pieces = self.tokenizer.encode(text)[: self.max_words]
        return RegionExample(
            regions=self.bank.regions[place],
            ids=[self.tokenizer.cls_id, *pieces, self.tokenizer.sep_id],
            image_id=identity(f"{self.split} scene {place}"),
            caption_id=identity(text),
        )


class SceneRegionTasks:
    """Scenes of a bank, and what each task asks of them.

    `answers` gives the place of each answer in the list that the model chooses from; a question
    whose answer is not in it is left out.

    Raises:
        ConfigError: a task is unknown.
    """

    def __init__(
        self, pictures: SceneRegions, *, tasks: Collection[str], answers: Mapping[str, int]
    ) -> None:
        unknown = sorted(set(tasks) - set(TASKS))
        if unknown:
            raise ConfigError(f"{unknown[0]}: scenes can be asked for {', '.join(TASKS)}")
        self.pictures, self.tasks, self.answers = pictures, frozenset(tasks), answers
        self.world = pictures.scenes.world
        self.train = pictures.split == "train"

    def __len__(self) -> int:
        """The scenes there are."""
        return len(self.pictures)

    def example(self, position: int, *, seed: int) -> RegionTaskExample:
        """A scene, and others where statements or hypotheses are asked for, and what is asked."""
        random = self.pictures.random(position, seed)
        bank = self.pictures.bank
        first = _one_of(self._plain, random)
        places, items = [first], dict(self._alone(bank.scenes[first], random))
        if "compare" in self.tasks:
            places.append(self._second(bank.scenes[first], random))
            items["compare"] = tuple(self._statements(places, random))
        if "entail" in self.tasks:
            # Half of the pictures have a screen: so each label is as common.
            some = self._screened if random.random() < 0.5 else self._plain
            places.append(_one_of(some, random))
            items["entail"] = tuple(self._hypotheses(places, random))
        pair = self.pictures.captioned(first, random) if "retrieve" in self.tasks else None
        return RegionTaskExample(
            pictures=tuple(bank.regions[each] for each in places),
            items={task: each for task, each in items.items() if each},
            pair=pair,
        )

    def _alone(
        self, scene: Scene, random: np.random.Generator
    ) -> Iterator[tuple[str, tuple[Item, ...]]]:
        """What is asked of the first picture."""
        tokenizer = self.pictures.tokenizer
        if "answer" in self.tasks:
            asked = questions(
                scene, random=random, world=self.world, count=QUESTIONS, train=self.train
            )
            yield (
                "answer",
                tuple(
                    Item(
                        (0,),
                        question_ids(tokenizer, each.text),
                        (Target([self.answers[each.answer]]),),
                    )
                    for each in asked
                    if each.answer in self.answers
                ),
            )
        if "ground" in self.tasks:
            boxes = [placed.box for placed in scene.objects]
            found = phrases(scene, random=random)
            yield (
                "ground",
                tuple(
                    Item((0,), phrase_ids(tokenizer, each.text), label=boxes.index(each.box))
                    for each in found
                ),
            )

    def _second(self, scene: Scene, random: np.random.Generator) -> int:
        """The other picture of a pair: half of the time, one that shows something of `scene`."""
        if random.random() < SHARED_SHARE:
            return _one_of(self._showing[str(random.choice(scene.names))], random)
        return _one_of(self._plain, random)

    def _statements(self, places: Sequence[int], random: np.random.Generator) -> Iterator[Item]:
        left, right = (self.pictures.bank.scenes[place] for place in places[:2])
        for said in statements(
            left, right, random=random, world=self.world, count=STATEMENTS, train=self.train
        ):
            label = TRUTH.index("true" if said.label else "false")
            yield Item((0, 1), statement_ids(self.pictures.tokenizer, said.text), label=label)

    def _hypotheses(self, places: Sequence[int], random: np.random.Generator) -> Iterator[Item]:
        scene, place = self.pictures.bank.scenes[places[-1]], len(places) - 1
        said = hypothesis(scene, random=random, world=self.world, train=self.train)
        if said is not None:
            ids = statement_ids(self.pictures.tokenizer, said.text)
            yield Item((place,), ids, label=ENTAILMENT.index(said.label))

    @cached_property
    def _plain(self) -> list[int]:
        return self._where(screened=False)

    @cached_property
    def _screened(self) -> list[int]:
        return self._where(screened=True)

    def _where(self, *, screened: bool) -> list[int]:
        """The scenes that have a screen, or have none.

        Raises:
            ConfigError: there is none.
        """
        scenes = enumerate(self.pictures.bank.scenes)
        found = [place for place, scene in scenes if (scene.screen is not None) == screened]
        if not found:
            raise ConfigError(
                f"data.pictures: among {len(self.pictures.bank)} scenes none "
                f"{'has' if screened else 'lacks'} a screen: draw more"
            )
        return found

    @cached_property
    def _showing(self) -> dict[str, list[int]]:
        """The plain scenes that show each name."""
        found: dict[str, list[int]] = {}
        for place in self._plain:
            for name in self.pictures.bank.scenes[place].names:
                found.setdefault(name, []).append(place)
        return found


def _one_of(places: Sequence[int], random: np.random.Generator) -> int:
    return places[int(random.integers(len(places)))]


def answers_of(bank: SceneBank, config: ScenesConfig) -> tuple[str, ...]:
    """Every answer that questions about these scenes have, in the order of the alphabet."""
    scenes = SceneExamples(config, image_size=1)
    found: set[str] = set()
    for turn in range(ANSWER_ROUNDS):
        for place, scene in enumerate(bank.scenes):
            random = scenes.random(place, turn, ASKED)
            asked = questions(scene, random=random, world=scenes.world, count=QUESTIONS)
            found.update(question.answer for question in asked)
    return tuple(sorted(found))
