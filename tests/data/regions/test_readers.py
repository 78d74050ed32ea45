import base64
from pathlib import Path

import numpy as np
import pytest

from mplug.data.regions.readers import read_bottom_up
from mplug.errors import DataError

FEATURES = np.arange(6, dtype="<f4").reshape(2, 3)
BOXES = np.array([[0, 0, 40, 10], [10, 5, 80, 20]], dtype="<f4")  # in 80 x 20 pixels


def coded(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def line(*cells: object) -> str:
    return "\t".join(map(str, cells)) + "\n"


def test_the_original_layout_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text(line(17, 80, 20, 2, coded(BOXES), coded(FEATURES)) * 2, encoding="utf-8")
    first, second = read_bottom_up(file)
    assert first.name == second.name == "17"
    np.testing.assert_array_equal(first.regions.features, FEATURES)
    np.testing.assert_allclose(first.regions.boxes, [[0, 0, 0.5, 0.5], [0.125, 0.25, 1, 1]])
    np.testing.assert_array_equal(first.regions.confidence, [1, 1])


def test_the_later_layout_brings_the_detectors_confidence(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    ids, sure = coded(np.array([3, 4], dtype="<i8")), coded(np.array([0.75, 0.5], dtype="<f4"))
    row = line("x", 20, 80, ids, sure, ids, sure, 2, coded(BOXES), coded(FEATURES))
    file.write_text(row, encoding="utf-8")
    (only,) = read_bottom_up(file)
    np.testing.assert_array_equal(only.regions.confidence, [0.75, 0.5])
    np.testing.assert_allclose(only.regions.boxes[0], [0, 0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (line(1, 2, 3), "3 columns"),
        (line(17, 80, 20, 2, "!", coded(FEATURES)), "not base64"),
        (line(17, 80, 20, 5, coded(BOXES), coded(FEATURES)), "do not make 5 regions"),
        (line(17, 80, 0, 2, coded(BOXES), coded(FEATURES)), "80 x 0 pixels"),
        (line(17, "wide", 20, 2, coded(BOXES), coded(FEATURES)), "could not convert"),
        (line(17, 40, 20, 2, coded(BOXES), coded(FEATURES)), "in shares"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: str, reason: str) -> None:
    file = tmp_path / "a.tsv"
    file.write_text(line(17, 80, 20, 2, coded(BOXES), coded(FEATURES)) + row, encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        list(read_bottom_up(file))
    assert "line 2" in str(caught.value)
