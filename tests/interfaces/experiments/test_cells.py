import json
from pathlib import Path

import pytest

from mplug.errors import ConfigError
from mplug.interfaces.experiments.cells import Cells, fill

SETTINGS = {"steps": 3, "model": {"width": (5, 7)}}


def cells(folder: Path, **changes: object) -> Cells:
    return Cells(folder / "cells.json", experiment="fusion", settings={**SETTINGS, **changes})


def test_an_experiment_goes_on_where_it_was(tmp_path: Path) -> None:
    asked: list[str] = []

    def measure(name: str) -> dict[str, object]:
        asked.append(name)
        return {"score": len(asked)}

    assert fill(cells(tmp_path), ["a", "b", "c"], measure, most=2) == ["a", "b"]
    again = cells(tmp_path)
    assert fill(again, ["a", "b", "c"], measure) == ["c"]
    assert asked == ["a", "b", "c"]
    assert (again.names, again["b"]) == (["a", "b", "c"], {"score": 2})


def test_two_at_once_lose_no_cell(tmp_path: Path) -> None:
    one, other = cells(tmp_path), cells(tmp_path)
    one.add("a", {"score": 1})
    other.add("b", {"score": 2})
    one.add("c", {"score": 3})
    assert one.names == ["a", "b", "c"]
    again = cells(tmp_path)
    assert [again[name]["score"] for name in again.names] == [1, 2, 3]


def test_a_cell_that_fails_leaves_those_before_it(tmp_path: Path) -> None:
    def measure(name: str) -> dict[str, object]:
        if name == "b":
            raise RuntimeError
        return {}

    with pytest.raises(RuntimeError):
        fill(cells(tmp_path), ["a", "b"], measure)
    assert cells(tmp_path).names == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["cells.json"]


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    cells(tmp_path).add("a", {})
    with pytest.raises(ConfigError, match="steps: 3 there, 4 now"):
        cells(tmp_path, steps=4)


def test_another_experiments_file_is_refused(tmp_path: Path) -> None:
    cells(tmp_path).add("a", {})
    with pytest.raises(ConfigError, match="'fusion'"):
        Cells(tmp_path / "cells.json", experiment="uniter", settings=SETTINGS)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"experiment": 1})])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "cells.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="no cells"):
        cells(tmp_path)
