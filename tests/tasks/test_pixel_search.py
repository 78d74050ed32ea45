import json
from pathlib import Path

import pytest
from PIL import Image

from mplug.errors import DataError
from mplug.tasks.pixel_search import pixel_search

COLOURS = {"red": (250, 0, 0), "blue": (0, 0, 250), "lime": (0, 250, 0), "grey": (90, 90, 90)}


def write(folder: Path, name: str, shown: list[tuple[str, str]]) -> Path:
    """Plain pictures of a colour, each with a text."""
    lines = []
    for place, (colour, text) in enumerate(shown):
        picture = f"{name}-{place}.png"
        Image.new("RGB", (20 + place, 30), COLOURS[colour]).save(folder / picture)
        lines.append(json.dumps({"image": picture, "caption": [text, "another"]}))
    file = folder / f"{name}.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_picture_finds_the_text_of_what_looks_like_it(tmp_path: Path) -> None:
    train = write(tmp_path, "train", [("red", "fire"), ("blue", "sea"), ("lime", "unasked")])
    test = write(tmp_path, "test", [("red", "fire"), ("blue", "sea"), ("red", "sea")])
    found = pixel_search(train, test)
    assert (found.images, found.texts, found.known) == (3, 2, 3)
    assert found.recalls["recall_at_1_image_to_text"] == pytest.approx(2 / 3)
    assert found.recalls["recall_at_1_text_to_image"] == pytest.approx(3 / 4)  # two reds for fire
    assert found.recalls["recall_at_5_image_to_text"] == 1
    low, high = found.intervals["recall_at_1_image_to_text"]
    assert low <= 2 / 3 <= high


def test_a_text_of_no_known_picture_is_found_by_chance_among_its_like(tmp_path: Path) -> None:
    train = write(tmp_path, "train", [("red", "fire")])
    test = write(tmp_path, "test", [("red", "fire"), ("blue", "sea"), ("grey", "rain")])
    # Fire comes first for every picture; of the 2 other texts each is second half of the time.
    assert pixel_search(train, test).recalls["recall_at_1_image_to_text"] == pytest.approx(1 / 3)


def test_tests_without_a_known_text_and_records_without_one_are_refused(tmp_path: Path) -> None:
    train = write(tmp_path, "train", [("red", "fire")])
    test = write(tmp_path, "test", [("red", "sea")])
    with pytest.raises(DataError, match="no picture there has a text"):
        pixel_search(train, test)
    (tmp_path / "bare.jsonl").write_text('{"image": "test-0.png"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bare\.jsonl, line 1: needs one picture and a caption"):
        pixel_search(train, tmp_path / "bare.jsonl")
