"""What a report shows, as plain data; each part checks itself when it is made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mplug.interfaces.report.examples import (
    AskExample,
    BoxExample,
    CaptionExample,
    SearchExample,
)

# Metrics that are no fractions, with the end of the scale their bars are drawn on.
SCALES = {"cider_d": 10.0}
RANKS = "median_rank"  # how metrics begin that count places: any number from 1


def scale_of(metric: str) -> float:
    """The largest value a metric can take."""
    return math.inf if metric.startswith(RANKS) else SCALES.get(metric, 1.0)


@dataclass(frozen=True)
class Score:
    """One figure with its 95% interval, beside what can be had without seeing.

    Fractions are from 0 to 1; metrics in `SCALES` have their own scale, ranks have none. `n` is how
    many scenes were evaluated. `signature` says how the figure was computed.
    """

    task: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    baselines: Mapping[str, float]
    signature: str = ""

    def __post_init__(self) -> None:
        where = f"score {self.task}/{self.split}/{self.metric}"
        for name in ("task", "split", "metric"):
            if not getattr(self, name):
                raise ValueError(f"{where}: {name} is empty")
        if self.n < 1:
            raise ValueError(f"{where}: n is {self.n}, but a figure needs at least one scene")
        for name, value in {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            **self.baselines,
        }.items():
            if not (math.isfinite(value) and 0 <= value <= self.scale):
                raise ValueError(f"{where}: {name} is {value}, not from 0 to {self.scale:g}")
        if self.low > self.high:
            raise ValueError(f"{where}: low {self.low} is above high {self.high}")

    @property
    def scale(self) -> float:
        """The largest value the metric can take."""
        return scale_of(self.metric)

    @property
    def not_beaten(self) -> list[str]:
        """The baselines that the interval does not lie above."""
        return [name for name, value in self.baselines.items() if self.low <= value]


@dataclass(frozen=True)
class Curve:
    """A loss over training steps, and what a model pays that cannot see."""

    name: str
    points: tuple[tuple[int, float], ...]
    blind: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Stage:
    """A part of training with its curves, and a line about it in plain words."""

    title: str
    note: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Fact:
    """A figure for the head of the page: `61%` of `objects named`."""

    value: str
    label: str


@dataclass(frozen=True)
class Timing:
    """How long a part of the run took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Credit:
    """Whose pictures are shown, under which licence."""

    work: str
    author: str
    licence: str
    url: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"credit {self.work}: url {self.url!r} is no web address")


@dataclass(frozen=True)
class Part:
    """What one task asks of pictures, and how well each kind of it goes.

    `examples` are neither chosen nor sorted by how well they went; `worst` are, worst first.
    """

    task: str
    kinds: tuple[Score, ...] = ()
    examples: tuple[AskExample, ...] | tuple[BoxExample, ...] = ()
    worst: tuple[AskExample, ...] | tuple[BoxExample, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything the page shows, in the page's order; an empty part leaves its section out.

    `lead` is paragraphs in plain words. `names` are all object names the model could say: a
    caption's names are coloured by whether they are in the picture. Of captions, searches and the
    `parts` of other tasks, `worst_...` are the failures, worst first. `configurations` maps a
    title to a resolved configuration.
    """

    title: str
    lead: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    scores: tuple[Score, ...] = ()
    names: frozenset[str] = frozenset()
    captions: tuple[CaptionExample, ...] = ()
    worst_captions: tuple[CaptionExample, ...] = ()
    searches: tuple[SearchExample, ...] = ()
    worst_searches: tuple[SearchExample, ...] = ()
    parts: tuple[Part, ...] = ()
    stages: tuple[Stage, ...] = ()
    timings: tuple[Timing, ...] = ()
    configurations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    credits: tuple[Credit, ...] = ()
