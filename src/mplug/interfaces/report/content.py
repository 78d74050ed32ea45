"""What a report shows, as plain data; each part checks itself when it is made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mplug.errors import DataError

# Metrics that are no fractions, with the end of the scale their bars are drawn on.
SCALES = {"cider_d": 10.0}

_PICTURE_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True)
class Score:
    """One figure with its 95% interval, beside what can be had without seeing.

    Fractions are from 0 to 1; metrics in `SCALES` have their own scale. `n` is how many scenes
    were evaluated. `signature` says how the figure was computed.
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
        return SCALES.get(self.metric, 1.0)

    @property
    def not_beaten(self) -> list[str]:
        """The baselines that the interval does not lie above."""
        return [name for name, value in self.baselines.items() if self.low <= value]


@dataclass(frozen=True)
class Picture:
    """An encoded picture (PNG, JPEG or WebP), and what it shows in words."""

    data: bytes = field(repr=False)
    description: str

    def __post_init__(self) -> None:
        self.media_type  # noqa: B018 - refuse other files where the picture is made

    @property
    def media_type(self) -> str:
        """The media type, from the first bytes.

        Raises:
            DataError: the bytes are no PNG, JPEG or WebP file.
        """
        for start, media_type in _PICTURE_TYPES.items():
            if self.data.startswith(start):
                return media_type
        raise DataError(
            f"picture {self.description!r}: not a PNG, JPEG or WebP file "
            f"(it starts with {self.data[:8]!r}); encode it before it goes into a report"
        )


@dataclass(frozen=True)
class CaptionExample:
    """A held-out picture with the model's caption, the true ones, and what is in it."""

    picture: Picture
    split: str
    predicted: str
    references: tuple[str, ...]
    objects: frozenset[str]


@dataclass(frozen=True)
class SearchResult:
    """One found picture, and whether it is the one that was asked for."""

    picture: Picture
    right: bool


@dataclass(frozen=True)
class SearchExample:
    """A text, the pictures found for it, best first, and the place (from 1) of the right one."""

    query: str
    split: str
    results: tuple[SearchResult, ...]
    place: int
    gallery: int


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
class Report:
    """Everything the page shows, in the page's order; an empty part leaves its section out.

    `lead` is paragraphs in plain words. `names` are all object names the model could say: a
    caption's names are coloured by whether they are in the picture. `configurations` maps a
    title to a resolved configuration.
    """

    title: str
    lead: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    scores: tuple[Score, ...] = ()
    names: frozenset[str] = frozenset()
    captions: tuple[CaptionExample, ...] = ()
    searches: tuple[SearchExample, ...] = ()
    stages: tuple[Stage, ...] = ()
    timings: tuple[Timing, ...] = ()
    configurations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    credits: tuple[Credit, ...] = ()
