"""What a report asks of pictures beside captions and search: a part for each task, and clips."""

from collections.abc import Iterator

import numpy as np

from mplug.interfaces.report.content import Part, Score
from mplug.interfaces.report.examples import AskExample, BoxExample, Picture
from tests.interfaces.report.shapes import SHAPES, SPLITS, picture

EACH = 3  # examples of each split
FRAMES = 4
PICTURES = len(SPLITS) * EACH * (1 + 1 + 2 + 1 + FRAMES) + (1 + 1 + 2)  # and three failures


def parts() -> tuple[Part, ...]:
    """Every kind of section."""
    return (
        Part("answer", tuple(_kinds()), tuple(_asks("answer")), (_wrong("answer"),)),
        Part("ground", (), tuple(_boxes()), (_missed(),)),
        Part("compare", (), tuple(_asks("compare")), (_wrong("compare"),)),
        Part("entail", (), tuple(_asks("entail"))),
        Part("clip", (), tuple(_asks("clip"))),
    )


def _kinds() -> Iterator[Score]:
    for split in SPLITS:
        for kind, value in (("how_many", 0.8), ("what", 0.4)):
            baselines = {"majority_answer": 0.5, "blank_image": 0.3}
            metric = f"answer_accuracy_{kind}"
            yield Score("answering", split, metric, value, value - 0.1, value + 0.1, 50, baselines)


def _pictures(task: str, seed: int) -> tuple[Picture, ...]:
    count = {"compare": 2, "clip": FRAMES}.get(task, 1)
    return tuple(
        picture(SHAPES[(seed + number) % 6], SHAPES[(seed + 2) % 6], seed=seed)
        for number in range(count)
    )


def _asks(task: str) -> Iterator[AskExample]:
    random = np.random.default_rng(4)
    words = {
        "answer": ("what is left of the tree?", "a sun", "a dog"),
        "compare": ("both pictures show a tree", "true", "false"),
        "entail": ("there is a sun left of the tree", "neutral", "entailment"),
        "clip": ("which way does the dog move?", "left", "right"),
    }
    text, one, other = words[task]
    for split in SPLITS:
        for seed in range(EACH):
            said = one if random.random() < 0.6 else other
            yield AskExample(_pictures(task, seed), split, text, said, one, blind=other)


def _wrong(task: str) -> AskExample:
    text = "is the picture empty?"
    return AskExample(_pictures(task, 1), SPLITS[1], text, "yes", "no", blind="no", sure=0.97)


def _boxes() -> Iterator[BoxExample]:
    for split in SPLITS:
        for seed in range(EACH):
            shown = picture("sun", SHAPES[seed + 1], seed=seed)
            found, true = (0.05, 0.25 + seed / 10, 0.45, 0.7), (0.05, 0.25, 0.45, 0.7)
            overlap = 1 - seed / 4.5
            yield BoxExample(shown, split, "the sun", found, true, overlap, right=overlap >= 0.5)


def _missed() -> BoxExample:
    shown = picture("sun", "tree", seed=5)
    found, true = (0.52, 0.25, 0.92, 0.7), (0.05, 0.25, 0.45, 0.7)
    return BoxExample(shown, SPLITS[1], "the leftmost thing", found, true, 0.0, right=False)
