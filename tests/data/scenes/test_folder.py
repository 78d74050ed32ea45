import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mplug.config.schema import ScenesConfig
from mplug.data.records import read_records
from mplug.data.scenes.folder import write_dataset
from mplug.data.scenes.output import Summary
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
    assert len(files) == 12 + 7 + 9 + 9 + 2 * 4 + 1
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


def test_every_relation_has_a_true_statement_and_its_reverse(folder: Path) -> None:
    statements = read_records(folder / "test_unseen_artist_statements.jsonl").records
    assert statements
    labels = Counter(each.label for each in statements)
    assert labels["true"] == labels["false"]
    boxes = {
        record.image_id: {each.name: each.box for each in record.objects}
        for record in read_records(folder / "test_unseen_artist.jsonl").records
    }
    for each in statements:
        if each.statement is not None and " left of " in each.statement:
            first, second = (name.split(" ", 1)[1] for name in each.statement.split(" left of "))
            one, other = boxes[each.image_id][first], boxes[each.image_id][second]
            assert (one[0] + one[2] < other[0] + other[2]) == (each.label == "true")


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
