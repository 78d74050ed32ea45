"""`make bench` finds every topic under its name."""

import importlib
import inspect
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.__main__ import PAGE, TOPICS


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
