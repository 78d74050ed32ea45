"""A model that learned from still scenes, asked about short clips of things that no scene joined.

It sees frames at the centres of equal parts of a clip, all of them together (paper, 5.2).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.clips import IMAGE_KINDS, ClipKind, clip_questions, draw_clip
from mplug.data.scenes.render import Renderer
from mplug.data.scenes.stream import SceneExamples, to_pixels
from mplug.tasks.asked import Ask, Asked, Posed
from mplug.tasks.asker import Asker
from mplug.tasks.evaluate_answers import answer_figures, blind_answers
from mplug.tasks.evaluation import BLANK, Phases, SplitName, artists_of, silent
from mplug.tasks.scene_evaluation import TaskEvaluation

TASK = "clip"
SEED = 17  # marks the random numbers of clips
FRAMES = 4  # that the model is shown
# What questions about clips are called where they are asked of pictures, in training.
KINDS: dict[ClipKind, str] = {
    "what is there": "what",
    "how many": "how many",
    "yes/no": "yes/no",
}


def asked_of_clips(config: ScenesConfig, *, split: SplitName, image_size: int, count: int) -> Asked:
    """One question about each of `count` clips that any of its frames may answer.

    Every split has the same sets of things, so that the artists differ.

    Raises:
        ConfigError: the world holds out too few combinations.
    """
    examples = SceneExamples(config, image_size=image_size)
    random = np.random.default_rng([config.seed, SEED, count])
    renderer = Renderer(
        artists_of(config, split), image_size=image_size, object_scale=config.object_scale
    )
    pixels: list[npt.NDArray[np.float32]] = []
    shown: list[str] = []
    posed: list[Posed] = []
    for names in examples.different_sets(count, (1, 2), random):
        clip = draw_clip(names, renderer=renderer, random=random)
        asked = [
            each
            for each in clip_questions(
                clip, random=random, world=examples.world, count=len(KINDS) ** 2, train=False
            )
            if each.kind in IMAGE_KINDS
        ]
        if not asked:
            continue
        places = tuple(range(len(pixels), len(pixels) + FRAMES))
        question = asked[0]
        posed.append(
            Posed(Ask(places, question.text), right=question.answer, kind=KINDS[question.kind])
        )
        pixels += [to_pixels(frame) for frame in clip.frames[centres(len(clip.frames))]]
        shown += [clip.caption] * FRAMES
    return Asked(TASK, split, np.stack(pixels), tuple(posed), tuple(shown))


def centres(frames: int) -> list[int]:
    """The frames in the middle of equal parts."""
    return [(2 * part + 1) * frames // (2 * FRAMES) for part in range(FRAMES)]


def evaluate_clips(
    asker: Asker, asked: Asked, *, learned: Sequence[Posed], progress: Phases = silent
) -> TaskEvaluation:
    """The accuracy of answers, beside what needs no sight; `learned` is asked of pictures."""
    looking = partial(progress, "looking at clips")
    images = asker.observer.images(asked.pixels, progress=looking)
    asks = [each.ask for each in asked.posed]
    said = asker.answers(images, asks, progress=partial(progress, "asking: clips"))
    blind = asker.blind(asker.answers, asks)
    figures = [
        replace(figure, task="video_answering")
        for figure in answer_figures(
            said,
            asked.posed,
            others={**blind_answers(asked.posed, learned), BLANK: blind},
            split=asked.split,
            settings={
                "beams": str(asker.generation.beams),
                "frames": str(FRAMES),
                "training": "pictures",
            },
        )
    ]
    return TaskEvaluation(asked, (figures[0],), tuple(figures[1:]), tuple(said), tuple(blind))
