"""Scenes as training examples of every task at once: one rendered picture serves them all."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from mplug.config.schema import ScenesConfig
from mplug.data.asking import answer_ids, phrase_ids, question_ids, statement_ids
from mplug.data.batch import Example, identity
from mplug.data.items import ENTAILMENT, TRUTH, Item, Target, TaskExample
from mplug.data.scenes.grounding import Phrase, phrases
from mplug.data.scenes.phrases import caption as describe
from mplug.data.scenes.phrases import captions
from mplug.data.scenes.questions import Question, questions
from mplug.data.scenes.render import Renderer
from mplug.data.scenes.scene import Box, Scene
from mplug.data.scenes.statements import Hypothesis, Statement, hypothesis, statements
from mplug.data.scenes.stream import SceneExamples, Split, to_pixels
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError

SceneTask = Literal["retrieval", "caption", "answer", "ground", "compare", "entail"]
Form = Literal["plain", "pair", "hypothesis"]  # what an example is made for, beside the rest

TASKS: tuple[SceneTask, ...] = get_args(SceneTask)
PAINTED = 0.25  # of the drawings, where questions are asked: colours that no name tells
# Of those in second pictures, where the first ones, which search learns from, are as they came.
PAINTED_SECOND = 0.5
# One of each: as many questions about other pictures teach more than two about the same one.
QUESTIONS = 1
PHRASES = 1
STATEMENTS = 2  # of each pair of pictures
SHARED_SHARE = 0.5  # of the pairs, how many show one thing in both pictures
ITEMS = 21  # marks the random numbers of what is asked; the scene's are those of SceneExamples


@dataclass(frozen=True)
class Shown:
    """One scene, and all that is asked of it alone."""

    scene: Scene
    caption: str
    questions: tuple[Question, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    hypothesis: Hypothesis | None = None


@dataclass(frozen=True)
class ShownTogether:
    """One scene or two, and what is said of the two."""

    pictures: tuple[Shown, ...]
    statements: tuple[Statement, ...] = ()


class SceneTasks:
    """Examples of several tasks, each a function of the world's seed, `seed` and position.

    Statements need two pictures and hypotheses a screen in half of theirs, which counting does not
    allow: where both are asked for, an example is for the one or the other. Everything else is
    asked of every picture, and an example has one or two. `tokenizer` may be left out where only
    scenes are wanted.

    Raises:
        ConfigError: a task is unknown or missing, or the world cannot be made.
    """

    def __init__(
        self,
        config: ScenesConfig,
        *,
        image_size: int,
        tasks: Collection[str],
        tokenizer: Tokenizer | None = None,
        max_words: int = 30,
        split: Split = "train",
    ) -> None:
        unknown = sorted(set(tasks) - set(TASKS))
        if unknown or not tasks:
            raise ConfigError(
                f"{', '.join(unknown) or 'no task'}: scenes can be made for {', '.join(TASKS)}"
            )
        self.tasks = frozenset(tasks)
        self.tokenizer = tokenizer
        self.max_words = max_words
        self.scenes = SceneExamples(config, image_size=image_size, split=split)
        self.counted = config.min_objects < config.max_objects

    def __len__(self) -> int:
        """A nominal epoch; scenes never repeat."""
        return len(self.scenes)

    def captions_for_tokenizer(self) -> Iterator[str]:
        """A finite corpus with every word that captions and tasks of this world can have."""
        return self.scenes.captions_for_tokenizer()

    def shown(self, position: int, *, seed: int) -> ShownTogether:
        """The scenes at `position`, and what is asked of them in words."""
        asking = self.scenes.random(position, seed, ITEMS)
        form = self._forms[int(asking.integers(len(self._forms)))]
        screened = form == "hypothesis" and bool(asking.random() < 0.5)
        drawing = self.scenes.random(position, seed)
        renderer = replace(self.scenes.renderer, screened=screened, painted=self._painted[0])
        first = self._show(self.scenes.draw_names(drawing), renderer, drawing, asking, form)
        if form != "pair":
            return ShownTogether((first,))
        names = self._second_names(first.scene, asking)
        renderer = replace(renderer, painted=self._painted[1])
        second = self._show(names, renderer, drawing, asking, form)
        said = statements(
            first.scene,
            second.scene,
            random=asking,
            world=self.scenes.world,
            count=STATEMENTS,
            train=self._train,
        )
        return ShownTogether((first, second), tuple(said))

    def example(self, position: int, *, seed: int) -> TaskExample:
        """Pictures [3, size, size], and what is asked of them as ids."""
        tokenizer = self._words()
        shown = self.shown(position, seed=seed)
        items: dict[str, list[Item]] = {}
        for place, one in enumerate(shown.pictures):
            for task, item in self._items(one, place, tokenizer):
                items.setdefault(task, []).append(item)
        for said in shown.statements:
            label = TRUTH.index("true" if said.label else "false")
            item = Item((0, 1), statement_ids(tokenizer, said.text), label=label)
            items.setdefault("compare", []).append(item)
        images = tuple(to_pixels(each.scene.image) for each in shown.pictures)
        asked = {task: tuple(each) for task, each in items.items()}
        if "retrieval" not in self.tasks:
            return TaskExample(images, asked)
        text = shown.pictures[0].caption
        # The first picture's alone, so that every process has as many pairs.
        pair = Example(
            pixels=images[0],
            ids=self._caption_ids(text, tokenizer),
            image_id=identity(f"{self.scenes.split} scene {seed} {position}"),
            caption_id=identity(text),
        )
        return TaskExample(images, asked, (pair,))

    @cached_property
    def _forms(self) -> tuple[Form, ...]:
        """The forms an example may have, each as likely."""
        forms: list[Form] = []
        if "compare" in self.tasks:
            forms.append("pair")
        if "entail" in self.tasks:
            forms.append("hypothesis")
        others = self.tasks - {"compare", "entail"}
        return tuple(forms) if len(forms) == 2 or not others else (*forms, "plain")

    @cached_property
    def _painted(self) -> tuple[float, float]:
        """The share of drawings to paint, in first pictures and in second ones.

        Nobody searches for painted things: learned from them, search forgets those it is asked for.
        """
        if "answer" not in self.tasks:
            return 0.0, 0.0
        if "retrieval" in self.tasks and "compare" in self.tasks:
            return 0.0, PAINTED_SECOND
        return PAINTED, PAINTED

    @property
    def _train(self) -> bool:
        return self.scenes.split == "train"

    def _words(self) -> Tokenizer:
        if self.tokenizer is None:
            raise ConfigError("these scenes were made without a tokenizer, so they have no ids")
        return self.tokenizer

    def _show(
        self,
        names: list[str],
        renderer: Renderer,
        drawing: np.random.Generator,
        asking: np.random.Generator,
        form: Form,
    ) -> Shown:
        scene = renderer.scene(names, random=drawing)
        text = describe(scene, random=drawing, wording=self.scenes.wording)
        asked: list[Question] = []
        if "answer" in self.tasks:
            asked = questions(
                scene,
                random=asking,
                world=self.scenes.world,
                count=QUESTIONS,
                train=self._train,
                counted=self.counted,
            )
        pointed = phrases(scene, random=asking, count=PHRASES) if "ground" in self.tasks else []
        said = None
        if form == "hypothesis":
            said = hypothesis(scene, random=asking, world=self.scenes.world, train=self._train)
        return Shown(scene, text, tuple(asked), tuple(pointed), said)

    def _second_names(self, first: Scene, random: np.random.Generator) -> list[str]:
        """What the second picture of a pair shows: in some, one thing of the first one."""
        names = self.scenes.draw_names(random)
        if random.random() >= SHARED_SHARE:
            return names
        kept = first.names[int(random.integers(len(first.names)))]
        shared = [kept, *(name for name in names if name != kept)][: len(names)]
        if self._train and not self.scenes.world.may_meet(shared):
            return names
        return [shared[place] for place in random.permutation(len(shared))]

    def _items(
        self, shown: Shown, place: int, tokenizer: Tokenizer
    ) -> Iterator[tuple[SceneTask, Item]]:
        images = (place,)
        if "caption" in self.tasks:
            target = Target(self._caption_ids(shown.caption, tokenizer))
            written = captions(shown.scene)
            yield "caption", Item(images, [tokenizer.cls_id], (target,), references=written)
        for question in shown.questions:
            target = Target(answer_ids(tokenizer, question.answer))
            yield "answer", Item(images, question_ids(tokenizer, question.text), (target,))
        for phrase in shown.phrases:
            box = box_shares(phrase.box, image_size=shown.scene.image.shape[0])
            yield "ground", Item(images, phrase_ids(tokenizer, phrase.text), box=box)
        if shown.hypothesis is not None:
            text = statement_ids(tokenizer, shown.hypothesis.text)
            yield "entail", Item(images, text, label=ENTAILMENT.index(shown.hypothesis.label))

    def _caption_ids(self, text: str, tokenizer: Tokenizer) -> list[int]:
        pieces = tokenizer.encode(text)[: self.max_words]
        return [tokenizer.cls_id, *pieces, tokenizer.sep_id]


def box_shares(box: Box, *, image_size: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in shares of the picture's side."""
    return (
        box.x0 / image_size,
        box.y0 / image_size,
        box.x1 / image_size,
        box.y1 / image_size,
    )
