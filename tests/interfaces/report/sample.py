"""A report as a real run would give it, with drawn shapes for pictures."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from mplug.interfaces.report.content import (
    Credit,
    Curve,
    Fact,
    Report,
    Score,
    Stage,
    Timing,
)
from mplug.interfaces.report.examples import CaptionExample, SearchExample, SearchResult
from tests.interfaces.report.sample_parts import parts
from tests.interfaces.report.shapes import SHAPES, SPLITS, picture


def scores() -> tuple[Score, ...]:
    """The figures of a short demo run."""
    table = [
        ("retrieval", "recall_at_1_image_to_text", (0.612, 0.152), (0.024, 0.006)),
        ("retrieval", "recall_at_1_text_to_image", (0.598, 0.140), (0.010, 0.004)),
        ("captioning", "object_f1", (0.704, 0.281), (0.116, 0.071)),
        ("captioning", "cider_d", (4.31, 1.52), (1.02, 0.81)),
    ]
    return tuple(_scores(table))


def report() -> Report:
    """A whole page: every section filled."""
    return Report(
        title="mPLUG demo: learning to see from scratch",
        lead=(
            "A model with 1.8 million parameters learned for four minutes on two processor "
            "cores from scenes composed of drawings. Nothing was pretrained.",
            "It is tested on scenes it never saw, once by the artists it learned from and once "
            "by an artist whose drawings were kept away from it altogether.",
        ),
        facts=(
            Fact("61%", "of pictures find their own caption among 500"),
            Fact("15%", "when the artist is new to it; chance is 0.2%"),
            Fact("70%", "objects named (F1)"),
            Fact("5 min 12 s", "on two cores, 2.1 GB"),
        ),
        scores=scores(),
        names=frozenset(SHAPES),
        captions=tuple(_captions()),
        worst_captions=tuple(_captions())[-1:],
        searches=tuple(_searches()),
        worst_searches=(_lost(),),
        parts=parts(),
        stages=(
            Stage("Pretraining", "All four losses in every step.", _curves(1200)),
            Stage("All tasks", "", _curves(300)[-1:]),
        ),
        timings=(
            Timing("Building scenes", 6.2),
            Timing("Pretraining", 214.0),
            Timing("All tasks", 151.7),
            Timing("Evaluation", 31.4),
            Timing("Report", 0.9),
        ),
        configurations={
            "pretrain": {"name": "demo", "optim": {"lr": 0.002, "betas": [0.9, 0.98]}},
            "tasks": {"name": "demo-tasks", "optim": {"lr": 0.0005}},
        },
        environment={"Python": "3.11.2", "torch": "2.13.0+cpu", "Processor": "2 cores"},
        credits=(
            Credit(
                "Noto Emoji", "Google", "Apache-2.0", "https://github.com/googlefonts/noto-emoji"
            ),
            Credit("Twemoji", "Twitter", "CC-BY-4.0", "https://github.com/twitter/twemoji"),
        ),
    )


def _scores(
    table: Sequence[tuple[str, str, tuple[float, ...], tuple[float, ...]]],
) -> Iterator[Score]:
    for task, metric, values, pixels in table:
        for split, value, pixel in zip(SPLITS, values, pixels, strict=True):
            margin = 0.04 if value < 1 else 0.3
            chance = 0.002 if task == "retrieval" else 0.03
            yield Score(
                task=task,
                split=split,
                metric=metric,
                value=value,
                low=value - margin,
                high=value + margin,
                n=500,
                baselines={"chance": chance, "pixel_neighbour": pixel, "blank_image": chance / 2}
                | ({"most_frequent_caption": chance} if task == "captioning" else {}),
                signature=f"{metric}|version:1|split:{split}|images:500|texts:500|ties:expected",
            )


def _captions() -> Iterator[CaptionExample]:
    random = np.random.default_rng(1)
    for split in SPLITS:
        for seed in range(8):
            left, right, other = (SHAPES[place] for place in random.permutation(6)[:3])
            said = (left, right) if random.random() < 0.6 else (left, other)
            yield CaptionExample(
                picture(left, right, seed=seed),
                split,
                f"a {said[0]} left of a {said[1]}",
                (f"a {left} left of a {right}",),
                frozenset({left, right}),
            )


def _searches() -> Iterator[SearchExample]:
    random = np.random.default_rng(2)
    for split in SPLITS:
        for place in (1, 3, 42):
            pairs = [[SHAPES[i] for i in random.permutation(6)[:2]] for _ in range(5)]
            asked = pairs[place - 1] if place <= 5 else ["sun", "tree"]
            results = tuple(
                SearchResult(picture(*pair, seed=at), at + 1 == place)
                for at, pair in enumerate(pairs)
            )
            query = f"a {asked[0]} to the left of a {asked[1]}"
            yield SearchExample(query, split, results, place, 500)


def _lost() -> SearchExample:
    """A text whose picture comes last of all."""
    pairs = [("sun", "tree"), ("dog", "box"), ("red ball", "sun")]
    results = tuple(SearchResult(picture(*pair, seed=9), right=False) for pair in pairs)
    wanted = picture("hot dog", "box", seed=10)
    return SearchExample("a hot dog left of a box", SPLITS[1], results, 500, 500, wanted=wanted)


def _curves(steps: int) -> tuple[Curve, ...]:
    random = np.random.default_rng(3)
    curves = []
    for name, blind, floor in [
        ("itc", 3.47, 0.4),
        ("itm", 0.637, 0.33),
        ("mlm", 3.1, 0.8),
        ("prefix_lm", 2.2, 0.7),
    ]:
        points = tuple(
            (
                step,
                floor
                + (blind * 1.15 - floor) * math.exp(-3 * step / steps)
                + 0.08 * blind * float(random.normal()),
            )
            for step in range(5, steps + 1, 5)
        )
        every = max(steps // 8, 1)
        curves.append(
            Curve(
                name,
                tuple((step, max(value, 0.0)) for step, value in points),
                tuple((step, blind) for step in range(every, steps + 1, every)),
            )
        )
    return tuple(curves)
