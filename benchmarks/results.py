"""What a topic found, as plain data: comparisons, bars, tables, curves; and how it is kept."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.harness import Comparison

OUT = Path("runs/bench")


@dataclass(frozen=True)
class Bar:
    """What a figure should reach: `at_least`, or `at_most` where less is better.

    `why` explains a bar that is missed, or one that does not bind on this machine (`binds`).
    """

    work: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    stretch: float | None = None
    unit: str = "x"
    binds: bool = True
    why: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the bar."""
        return self._reaches(self.at_least, self.at_most)

    @property
    def stretched(self) -> bool:
        """Whether it is beyond the stretch as well."""
        if self.stretch is None:
            return False
        less = self.at_most is not None
        return self._reaches(None if less else self.stretch, self.stretch if less else None)

    def _reaches(self, least: float | None, most: float | None) -> bool:
        return (least is None or self.value >= least) and (most is None or self.value <= most)


@dataclass(frozen=True)
class Curve:
    """How something grows: named series of (x, y) points, drawn with logarithmic axes if asked."""

    title: str
    x: str
    y: str
    series: dict[str, list[tuple[float, float]]]
    log: bool = False


@dataclass(frozen=True)
class Table:
    """Any other figures, cells as they shall be read."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Topic:
    """One topic's findings; `about` says in a few sentences what was run."""

    name: str
    title: str
    about: str
    comparisons: Sequence["Comparison"] = ()
    bars: Sequence[Bar] = ()
    tables: Sequence[Table] = ()
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = ()
    facts: dict[str, Any] = field(default_factory=dict)  # machine, roof, load, seconds, quick

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        bars = [asdict(bar) | {"met": bar.met, "stretched": bar.stretched} for bar in self.bars]
        return {
            "name": self.name,
            "title": self.title,
            "about": self.about,
            "comparisons": [each.as_json() for each in self.comparisons],
            "bars": bars,
            "tables": [asdict(each) for each in self.tables],
            "curves": [asdict(each) for each in self.curves],
            "notes": list(self.notes),
            "facts": self.facts,
        }


def save(topic: Topic, folder: Path) -> Path:
    """Write NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{topic.name}.json"
    path.write_text(json.dumps(topic.as_json(), indent=1) + "\n", encoding="utf-8")
    return path


def measure(topic: Callable[..., Topic], *, folder: Path, quick: bool, strict: bool) -> Path:
    """Run a topic, watch the machine meanwhile, and write what was found."""
    from benchmarks.roof import watched

    with watched(strict=strict, seconds=0.2 if quick else 1.0) as facts:
        found = topic(quick=quick)
    return save(replace(found, facts=found.facts | facts | {"quick": quick}), folder)


def run_alone(topic: Callable[..., Topic]) -> None:
    """The command line of a topic file: measure it, write its JSON, print its tables."""
    from benchmarks.page import topic_lines

    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the JSON")
    parser.add_argument("--strict", action="store_true", help="refuse a busy machine")
    asked = parser.parse_args()
    path = measure(topic, folder=asked.out, quick=asked.quick, strict=asked.strict)
    print("\n".join(topic_lines(json.loads(path.read_text("utf-8")))))
