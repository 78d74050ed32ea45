import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from mplug.config.schema import ScenesConfig
from mplug.data.records import read_records
from mplug.data.scenes.folder import write_dataset
from mplug.data.scenes.output import Summary
from mplug.data.scenes.task_files import LEAST_SETS
from mplug.data.scenes.world import World
from mplug.errors import ConfigError, DataError

CONFIG = ScenesConfig(concepts=8, held_out_pairs=10, max_objects=3, seed=3)


def write(folder: Path) -> Summary:
    return write_dataset(folder, config=CONFIG, image_size=48, train=12, validation=7, test=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "scenes"
    write(path)
    return path


def test_every_record_is_good_and_every_picture_has_its_size(folder: Path) -> None:
    for split, count in [("train", 12), ("validation", 7), ("test_unseen_artist", 9)]:
        found = read_records(folder / f"{split}.jsonl")
        assert not found.problems
        assert len(found.records) == count
        for record in found.records:
            with Image.open(record.images[0]) as image:
                assert image.size == (48, 48)


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    summary = write(tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    captioned, asked, clips = 12 + 7 + 9 + 9, 4 * 3 * LEAST_SETS, 4
    assert len(files) == captioned + asked + clips + 4 * 6 + 1
    for file in files:
        assert (folder / file).read_bytes() == (summary.folder / file).read_bytes()


def test_training_shows_no_held_out_pair_and_the_tests_only_sets_that_training_lacks(
    folder: Path,
) -> None:
    world = World.load(concepts=8, seed=3, held_out_pairs=10)

    def sets(split: str) -> list[frozenset[str]]:
        records = read_records(folder / f"{split}.jsonl").records
        return [frozenset(each.name for each in record.objects) for record in records]

    assert all(world.may_meet(names) for names in sets("train"))
    for split in ("validation", "test_training_artists", "test_unseen_artist"):
        assert len(set(sets(split))) == len(sets(split))
        assert not any(world.may_meet(names) for names in sets(split) if len(names) > 1)


@pytest.mark.parametrize("split", ["train", "validation", "test_unseen_artist"])
def test_every_question_has_two_pictures_with_different_answers(folder: Path, split: str) -> None:
    records = read_records(folder / f"{split}_questions.jsonl")
    assert not records.problems
    told: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for each in records.records:
        told[str(each.question)].add((*each.images, each.answers[0].text))
    assert len(told) > 15
    for seen in told.values():
        assert len({image for image, _ in seen}) > 1
        assert len({answer for _, answer in seen}) > 1


def test_phrases_have_one_box_inside_their_picture(folder: Path) -> None:
    records = read_records(folder / "validation_phrases.jsonl")
    assert not records.problems
    assert len(records.records) > 32
    for each in records.records:
        assert each.phrase is not None
        ((x0, y0, x1, y1),) = each.boxes
        assert 0 <= x0 < x1 <= 48
        assert 0 <= y0 < y1 <= 48


def test_statements_are_about_two_pictures_and_hypotheses_about_one(folder: Path) -> None:
    for task, pictures, labels in [
        ("pairs", 2, {"true", "false"}),
        ("entailment", 1, {"entailment", "neutral", "contradiction"}),
    ]:
        records = read_records(folder / f"test_unseen_artist_{task}.jsonl")
        assert not records.problems
        assert {each.label for each in records.records} == labels
        assert all(each.statement for each in records.records)
        assert {len(set(each.images)) for each in records.records} == {pictures}


def test_clips_have_a_record_with_captions_and_some_with_questions(folder: Path) -> None:
    pytest.importorskip("av")
    records = read_records(folder / "validation_clips.jsonl")
    assert not records.problems
    captioned = [each for each in records.records if each.caption]
    asked = [each for each in records.records if each.question]
    assert len(captioned) == 1
    assert len(captioned) + len(asked) == len(records.records) > 2
    assert all(each.video == captioned[0].video for each in asked)


def test_without_pyav_the_clips_are_left_out_and_the_rest_is_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    summary = write(tmp_path / "still")
    assert len(summary.left_out) == 4
    assert all("pip install 'mplug[video]'" in reason for reason in summary.left_out)
    assert not (summary.folder / "clips").exists()
    assert not any("clips" in name for name in summary.records)
    for name in summary.records:
        assert (summary.folder / name).read_bytes() == (folder / name).read_bytes()


def test_the_readme_says_that_scenes_are_composed_and_names_every_artist(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert "composed, not photographed" in text
    for artist in ("noto", "twemoji", "emojione", "fluent"):
        assert f"- {artist}: " in text
    assert "CC-BY-4.0" in text
    assert "streamline" not in text


def test_records_are_json_with_relative_paths(folder: Path) -> None:
    line = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    assert line["image"] == "images/train/000000.png"
    assert set(line) == {"image", "image_id", "caption", "objects"}


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not empty"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="asked for"):
        write_dataset(tmp_path / "new", config=CONFIG, image_size=48, train=1, test=5000)
    assert list(tmp_path.iterdir()) == []
