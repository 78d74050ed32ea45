"""Held-out scenes of one split, and what each task asks of them, in balanced numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.grounding import phrases
from mplug.data.scenes.phrases import in_words
from mplug.data.scenes.questions import balanced_questions, questions
from mplug.data.scenes.render import Renderer
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.statements import couples, hypothesis, statements
from mplug.data.scenes.stream import SceneExamples, to_pixels
from mplug.data.scenes.task_files import LEAST_SETS
from mplug.data.scenes.tasks import PAINTED, box_shares
from mplug.tasks.asked import Ask, Asked, Posed
from mplug.tasks.observer import Progress, silent

SEED = 11  # marks the random numbers of what galleries ask
LEARNED_SEED = 13
SMALL = 48  # pixels on a side of scenes that nobody looks at: only what is said of them is kept
REPORT_EVERY = 200  # scenes drawn between two words of progress

Random = np.random.Generator


class TaskGalleries:
    """Asks of held-out scenes, the same sets of objects for every model and every artist.

    `sets` are the names of what each scene shows; they are absent from training.
    """

    def __init__(
        self,
        config: ScenesConfig,
        *,
        split: str,
        artists: Sequence[str],
        image_size: int,
        sets: Sequence[Sequence[str]],
    ) -> None:
        self.split, self.sets = split, sets
        self.world = SceneExamples(config, image_size=image_size).world
        self.seed = config.seed
        self.renderer = Renderer(
            tuple(artists), image_size=image_size, object_scale=config.object_scale
        )

    def asked(self, task: str) -> Asked:
        """What `task` asks: answer, ground, compare or entail.

        Raises:
            ConfigError: the scenes are too few to ask a balanced number of questions.
        """
        make: Mapping[str, Callable[[Random], Asked]] = {
            "answer": self._answer,
            "ground": self._ground,
            "compare": self._compare,
            "entail": self._entail,
        }
        place = list(make).index(task)
        return make[task](np.random.default_rng([self.seed, SEED, len(self.sets), place]))

    def _answer(self, random: Random) -> Asked:
        """Every set of objects stands in two scenes, so that the same is asked of both."""
        painting = replace(self.renderer, painted=PAINTED)
        half = max(LEAST_SETS, (len(self.sets) + 1) // 2)
        chosen = [self.sets[place % len(self.sets)] for place in range(half)]
        scenes = [painting.scene(names, random=random) for names in chosen for _ in range(2)]
        found = balanced_questions(scenes, count=len(scenes), random=random, world=self.world)
        posed = [
            Posed(
                Ask((each.scene,), each.question.text),
                right=each.question.answer,
                kind=each.question.kind,
            )
            for each in found
        ]
        return self._of("answer", scenes, posed)

    def _ground(self, random: Random) -> Asked:
        scenes = self._scenes(random)
        posed = [
            Posed(
                Ask((place,), phrase.text),
                boxes=(box_shares(phrase.box, image_size=self.renderer.image_size),),
                kind=phrase.kind,
            )
            for place, scene in enumerate(scenes)
            for phrase in phrases(scene, random=random)
        ]
        return self._of("ground", scenes, posed)

    def _compare(self, random: Random) -> Asked:
        scenes = self._scenes(random)
        posed = []
        for first, second in couples(scenes, random=random):
            pair = (scenes[first], scenes[second])
            for said in statements(*pair, random=random, world=self.world, train=False):
                right = "true" if said.label else "false"
                posed.append(
                    Posed(Ask((first, second), said.text), right=right, kind=said.template)
                )
        return self._of("compare", scenes, posed)

    def _entail(self, random: Random) -> Asked:
        """Every other scene has a screen."""
        scenes = [
            replace(self.renderer, screened=bool(place % 2)).scene(names, random=random)
            for place, names in enumerate(self.sets)
        ]
        posed = []
        for place, scene in enumerate(scenes):
            said = hypothesis(scene, random=random, world=self.world, train=False)
            if said is not None:
                kind = "relation" if said.relation else "presence"
                posed.append(Posed(Ask((place,), said.text), right=said.label, kind=kind))
        return self._of("entail", scenes, posed)

    def _scenes(self, random: Random) -> list[Scene]:
        return [self.renderer.scene(names, random=random) for names in self.sets]

    def _of(self, task: str, scenes: Sequence[Scene], posed: Sequence[Posed]) -> Asked:
        pixels = np.stack([to_pixels(scene.image) for scene in scenes])
        shown = tuple(map(in_words, scenes))
        return Asked(task, self.split, pixels, tuple(posed), shown, tuple(scenes))


def learned_asks(
    config: ScenesConfig, *, count: int, progress: Progress = silent
) -> dict[str, tuple[Posed, ...]]:
    """What training asks of `count` scenes, by task: what one can know without seeing any."""
    scenes = SceneExamples(config, image_size=SMALL)
    found: dict[str, list[Posed]] = {name: [] for name in ("answer", "ground", "compare", "entail")}
    before: Scene | None = None
    for position in range(count):
        random = scenes.random(position, LEARNED_SEED)
        renderer = replace(scenes.plain_renderer(), painted=PAINTED)
        scene = renderer.scene(scenes.draw_names(random), random=random)
        for task, posed in _training_asks(scene, before, scenes, random):
            found[task].append(posed)
        before = scene
        if (position + 1) % REPORT_EVERY == 0:
            progress(position + 1, count)
    return {task: tuple(posed) for task, posed in found.items()}


def _training_asks(
    scene: Scene, before: Scene | None, scenes: SceneExamples, random: Random
) -> Iterator[tuple[str, Posed]]:
    world, config = scenes.world, scenes.config
    counted = config.min_objects < config.max_objects
    for asked in questions(scene, random=random, world=world, count=2, counted=counted):
        yield "answer", Posed(Ask((0,), asked.text), right=asked.answer, kind=asked.kind)
    for phrase in phrases(scene, random=random, count=2):
        box = box_shares(phrase.box, image_size=SMALL)
        yield "ground", Posed(Ask((0,), phrase.text), boxes=(box,), kind=phrase.kind)
    for said in () if before is None else statements(before, scene, random=random, world=world):
        right = "true" if said.label else "false"
        yield "compare", Posed(Ask((0, 0), said.text), right=right, kind=said.template)
    # What training says of screens is as common whatever the text; half of the scenes have one.
    screened = replace(scenes.plain_renderer(), screened=bool(random.random() < 0.5))
    shown = screened.scene(scene.names, random=random)
    judged = hypothesis(shown, random=random, world=world)
    if judged is not None:
        yield "entail", Posed(Ask((0,), judged.text), right=judged.label)
