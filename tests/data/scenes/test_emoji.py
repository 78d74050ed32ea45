import json
from pathlib import Path

import pytest
from PIL import Image

from mplug.data.records import read_records
from mplug.data.scenes.emoji import ARTISTS, SPLITS, build_emoji
from mplug.data.scenes.output import Summary
from mplug.errors import DataError
from tests.data.scenes.packages import write_all, write_icons

pytest.importorskip("resvg_py")


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    write_all(tmp_path / "npm")
    return tmp_path / "npm"


@pytest.fixture
def made(archives: Path, tmp_path: Path) -> Summary:
    return build_emoji(tmp_path / "emoji", archives=archives, side=24)


def records(folder: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


def test_every_split_and_training_artist_has_its_records(made: Summary) -> None:
    assert made.records == {
        "train.jsonl": 10,
        "validation.jsonl": 2,
        "test.jsonl": 2,
        "test-flat.jsonl": 2,
        **{f"{artist}.jsonl": 2 for artist in SPLITS["train"]},
    }
    assert records(made.folder, "noto.jsonl") == records(made.folder, "train.jsonl")[:2]
    assert records(made.folder, "test.jsonl")[1] == {
        "image": "images/fluent/red-heart.png",
        "image_id": "fluent/red-heart",
        "caption": ["red heart, heart"],
        "label": "red heart",
    }


def test_no_artist_is_on_two_sides_and_fluent_never_in_training() -> None:
    listed = [artist for artists in SPLITS.values() for artist in artists]
    assert sorted(listed) == sorted(ARTISTS)
    assert not {"fluent", "fluent-flat"} & {*SPLITS["train"], *SPLITS["validation"]}


def test_the_records_can_be_read_and_every_text_is_in_training(made: Summary) -> None:
    train, test = (
        read_records(made.folder / f"{name}.jsonl").require() for name in ("train", "test")
    )
    assert {record.caption for record in test} <= {record.caption for record in train}


def test_a_drawing_lies_in_the_middle_of_a_square(made: Summary) -> None:
    with Image.open(made.folder / "images" / "fluent" / "red-heart.png") as picture:
        assert (picture.size, picture.mode) == ((24, 24), "RGBA")
        assert picture.getchannel("A").getbbox() == (0, 6, 24, 18)


def test_the_readme_names_every_author_and_licence(made: Summary) -> None:
    text = (made.folder / "README.md").read_text(encoding="utf-8")
    for artist, each in ARTISTS.items():
        assert f"{artist} authors, MIT: https://example.org/{artist}, {each.package}" in text
    assert "- `test.jsonl`: fluent\n" in text
    assert "16 drawings of single emoji" in text


def test_what_is_left_out_is_counted(archives: Path, tmp_path: Path) -> None:
    names = ["red-heart", "thumbs-up-dark", "spreadsheet", "man-farmer"]
    write_icons(archives, "emojione", names)
    made = build_emoji(tmp_path / "emoji", archives=archives)
    assert made.records["validation.jsonl"] == 1
    assert made.left_out == {
        "in a skin tone": 1,
        "that show no known emoji": 1,
        "that cannot be drawn": 1,
    }


def test_a_broken_package_leaves_nothing_behind(archives: Path, tmp_path: Path) -> None:
    next(archives.glob("*twemoji*")).write_text("<html>not found</html>")
    with pytest.raises(DataError, match=r"twemoji.*cannot be read as an npm package"):
        build_emoji(tmp_path / "emoji", archives=archives)
    assert not (tmp_path / "emoji").exists()


def test_without_npm_it_says_how_to_fetch_what_is_missing(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(archives.glob("*streamline*")).unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="npm pack @iconify-json/streamline-emojis"):
        build_emoji(tmp_path / "emoji", archives=archives)
