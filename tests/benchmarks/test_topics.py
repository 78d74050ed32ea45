"""`make bench` finds every topic under its name."""

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import harness, page
from benchmarks.__main__ import PAGE, TOPICS
from benchmarks.harness import Comparison, Found, Rival


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_can_be_run_small(name: str) -> None:
    topic = importlib.import_module(f"benchmarks.{name}").topic
    assert list(inspect.signature(topic).parameters) == ["quick"]


def test_no_topic_is_forgotten() -> None:
    files = Path(page.__file__).parent.glob("*.py")
    named = {path.stem for path in files if "\ndef topic(" in path.read_text("utf-8")}
    assert named == set(TOPICS)


def test_the_page_has_its_marks() -> None:
    text = PAGE.read_text("utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", ["roof", "captioning", "answering", "reranking", "start"])
def test_topics_make_bars_and_lines_of_what_is_found(
    name: str, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    for place in (module, harness):  # what counts alone compares there
        monkeypatch.setattr(place, "compare", pretended)
    topic = module.topic(quick=quick)
    told = topic.as_json()
    assert page.topic_lines(told)[0] == f"## {topic.title}"
    assert len(page.bar_lines([told])) == 2 + len(topic.bars)


def pretended(
    rivals: Sequence[Rival], *, rounds: int, threads: int | None, reference: str, title: str
) -> Comparison:
    """A comparison in which nothing runs; the names must be those of real factories."""
    counts = {"gflop": 1.0, "sum": 0.0, "routed": 1.0, "gigabytes": 1.0, "apart": 0.0}
    found = []
    for rival in rivals:
        factory = getattr(importlib.import_module(rival.module), rival.factory)
        inspect.signature(factory).bind(**rival.arguments)
        times = [1.0] * (1 if rival.once else rounds)
        found.append(Found(rival.name, times, [1.0] * rounds, 1.0, 1.0, 1.0, rival.share, counts))
    assert reference in [rival.name for rival in rivals]
    return Comparison(title, reference, threads, rounds, found)
