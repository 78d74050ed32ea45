import json
from pathlib import Path
from typing import Any

import pytest

from mplug.data.convert import reading
from mplug.data.convert.common import Trouble
from mplug.data.convert.reading import json_lines, load_object, members
from mplug.errors import DataError


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        [{"a": [1, 2.5, 'é\\"] }']}, 12345, None, [], "x"],
        {"02930152": {"answer": "dark"}, "b": -1.5e3, "c": 12},
    ],
)
def test_members_are_those_of_the_whole_file(
    content: Any, chunk: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", chunk)
    file = tmp_path / "file.json"
    file.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    expected = [(key if isinstance(key, str) else f"[{key}]", value) for key, value in pairs]
    assert list(members(file)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", r"after \[1\]: expected one of , \], found the end of the file"),
        ("[1 2]", r"after \[0\]: expected one of , \], found '2'"),
        ('{"a": 1, "b": tru}', r"after a: Expecting value"),
        ('{"a" 1}', "after the beginning: expected one of :, found '1'"),
        ("", "found the end of the file"),
        ("<html>", "found '<'"),
        ("[" * 100_000, "nested too deeply|Expecting value"),
    ],
)
def test_a_damaged_file_says_after_which_member(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(members(file))


def test_an_object_without_its_lists_says_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text('{"pictures": [], "annotations": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="expected a list 'images'; it has pictures, annotations"):
        load_object(file, "images")
    with pytest.raises(DataError, match="expected a list 'annotations'"):
        load_object(file, "pictures", optional=("annotations", "absent"))


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file.jsonl"
    file.write_bytes(b'{"a": 1}\n\n{"a"\n\xff\n')
    good, broken, undecodable = json_lines(file)
    assert good == ("line 1", {"a": 1})
    assert isinstance(broken, Trouble)
    assert (broken.place, broken.reason[:8]) == ("line 3", "not JSON")
    assert isinstance(undecodable, Trouble)
    assert undecodable.reason.startswith("not UTF-8")
