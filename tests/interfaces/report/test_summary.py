"""summary.json: the agreed shape, and nothing that is not so."""

import json
import math
from pathlib import Path

import pytest

from mplug.interfaces.report.summary import write_summary
from tests.interfaces.report.sample import scores


def test_the_summary_has_the_agreed_shape(tmp_path: Path) -> None:
    path = tmp_path / "new" / "summary.json"
    write_summary(path, scores(), seconds=312.4, peak_memory_gb=2.1)
    content = json.loads(path.read_text("utf-8"))
    assert set(content) == {"seconds", "peak_memory_gb", "scores"}
    assert len(content["scores"]) == 8
    assert content["scores"][0] == {
        "task": "retrieval",
        "split": "training_artists",
        "metric": "recall_at_1_image_to_text",
        "value": 0.612,
        "low": pytest.approx(0.572),
        "high": pytest.approx(0.652),
        "n": 500,
        "baselines": {"chance": 0.002, "pixel_neighbour": 0.024, "blank_image": 0.001},
    }
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    with pytest.raises(ValueError, match="given twice"):
        write_summary(path, [*scores(), scores()[0]], seconds=1.0, peak_memory_gb=1.0)
    with pytest.raises(ValueError, match="seconds is nan"):
        write_summary(path, scores(), seconds=math.nan, peak_memory_gb=1.0)
    assert not path.exists()
