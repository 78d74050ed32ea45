"""Planted test pictures are found in training by id, file and look, and others are not."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mplug.data.convert.common import Conversion, LeftOut, Row
from mplug.data.held_out import leave_out, read_held_out
from mplug.data.likeness import likeness_of
from mplug.data.overlap import HeldOut, Match, drop_shared, find_overlap
from mplug.data.record_lines import write_records
from mplug.data.records import Record, Source, read_records
from mplug.errors import DataError


def drawn(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture of coloured shapes on a ground that changes smoothly, another for every seed."""
    draw = random.Random(seed)
    corners = np.array([draw.randrange(256) for _ in range(12)], np.uint8).reshape(2, 2, 3)
    image = Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = draw.randrange(size[0]), draw.randrange(size[1])
        box = (x, y, x + draw.randrange(10, 70), y + draw.randrange(10, 70))
        shape = draw.choice((pen.ellipse, pen.rectangle))
        shape(box, fill=tuple(draw.randrange(256) for _ in range(3)))
    return image


def record(path: Path, *, image_id: str | None = None, line: int = 1) -> Record:
    return Record(Source("records.jsonl", line), image=str(path), image_id=image_id)


def saved(image: Image.Image, path: Path, *, quality: int = 90) -> Path:
    image.save(path, quality=quality)
    return path


def test_a_planted_test_picture_is_found_however_it_is_stored(tmp_path: Path) -> None:
    tests = [saved(drawn(number), tmp_path / f"test{number}.png") for number in range(8)]
    train = [saved(drawn(100 + number), tmp_path / f"train{number}.png") for number in range(40)]
    planted = {
        0: tmp_path / "copy.png",
        1: saved(drawn(1), tmp_path / "again.jpg", quality=60),
        2: saved(drawn(2).resize((83, 61)), tmp_path / "small.png"),
        3: saved(drawn(3).resize((300, 300)).convert("L").convert("RGB"), tmp_path / "grey.png"),
        4: saved(drawn(4).resize((224, 224)), tmp_path / "square.jpg", quality=80),
    }
    planted[0].write_bytes(tests[0].read_bytes())
    found = find_overlap(
        [record(path) for path in [*train[:20], *planted.values(), *train[20:]]],
        HeldOut(tuple(record(path) for path in tests)),
    )
    assert set(found.matches) == {
        Match(str(planted[0]), str(tests[0]), ("file", "look")),
        *(Match(str(planted[number]), str(tests[number]), ("look",)) for number in (1, 2, 4)),
    }  # one that has lost its colours is another picture
    assert found.shared == (20, 21, 22, 24)
    assert (found.count(), found.count("file"), found.count("id")) == (4, 1, 0)
    assert (found.train_files, found.test_files) == (45, 8)


def test_pictures_are_the_same_by_published_ids_only(tmp_path: Path) -> None:
    paths = [saved(drawn(number), tmp_path / f"{number}.png") for number in range(4)]
    train = [record(paths[0], image_id="coco:9"), record(paths[1], image_id="7")]
    test = [record(paths[2], image_id="coco:9"), record(paths[3], image_id="7")]
    found = find_overlap(train, HeldOut(tuple(test)))
    assert found.matches == (Match(str(paths[0]), str(paths[2]), ("id",)),)
    listed = HeldOut(ids={"coco:9": "ids.txt"})
    assert find_overlap(train, listed).matches == (Match(str(paths[0]), "ids.txt", ("id",)),)


def test_pictures_of_one_colour_are_not_taken_for_each_other(tmp_path: Path) -> None:
    assert likeness_of(Image.new("RGB", (64, 64), (250, 250, 250))) is None
    paths = [
        saved(Image.new("RGB", (64, 60 + n), (255, 255, 250)), tmp_path / f"{n}.png")
        for n in (1, 2)
    ]
    found = find_overlap([record(paths[0])], HeldOut((record(paths[1]),)))
    assert found.matches == ()


def test_what_is_shared_is_dropped_for_training_without_decoding(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.bin" for number in range(4)]
    for path, content in zip(paths, (b"one", b"two", b"one", b"six"), strict=True):
        path.write_bytes(content)
    train = [record(paths[0]), record(paths[1]), record(paths[3], image_id="coco:5")]
    test = [record(paths[2]), record(tmp_path / "gone.png", image_id="coco:5")]
    kept, dropped = drop_shared(train, test)
    assert kept == (train[1],)
    assert dropped == (train[0], train[2])


def test_clips_and_pairs_are_compared_too(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"the same clip")
    left, right = (saved(drawn(n), tmp_path / f"{n}.png") for n in (1, 2))
    source = Source("records.jsonl", 1)
    clip = Record(source, video=str(tmp_path / "a.mp4"))
    pair = Record(source, image=(str(left), str(right)))
    held_out = HeldOut((Record(source, video=str(tmp_path / "b.mp4")), record(right)))
    assert find_overlap([clip, pair], held_out).shared == (0, 1)


def test_broken_pictures_are_named_and_the_others_compared(tmp_path: Path) -> None:
    picture = saved(drawn(1), tmp_path / "a.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"<html>")
    again = saved(drawn(1), tmp_path / "b.jpg")
    found = find_overlap([record(broken), record(again)], HeldOut((record(picture),)))
    assert found.shared == (1,)
    assert found.unreadable == (f"{broken}: an HTML page, not an image",)


def test_what_is_held_out_is_read_from_ids_records_and_refer_folders(tmp_path: Path) -> None:
    folder = tmp_path / "refcoco"
    folder.mkdir()
    refs = [{"split": split, "image_id": n} for n, split in enumerate(("train", "val", "testA"))]
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, 2))
    ids = tmp_path / "ids.txt"
    ids.write_text("coco:77\n\nflickr30k:5\n", encoding="utf-8")
    picture = saved(drawn(1), tmp_path / "a.png")
    lines = tmp_path / "test.jsonl"
    write_records([record(picture, image_id="coco:8")], lines)
    held_out = read_held_out([folder, ids, lines])
    known = held_out.known_ids()
    assert set(known) == {"coco:1", "coco:2", "coco:77", "flickr30k:5", "coco:8"}
    assert known["coco:8"] == str(picture)
    ids.write_text("coco:77\n77\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"ids\.txt, line 2: must be an id such as coco:391895"):
        read_held_out([ids])


def test_a_conversion_leaves_held_out_pictures_out_and_tests_alone() -> None:
    def row(split: str, number: int) -> Row:
        return Row(split, None, {"image": "a.jpg", "image_id": f"coco:{number}"}, "f", "line 1")

    rows = [row("train", 1), row("train", 2), row("test", 1)]
    left = leave_out(Conversion(rows), HeldOut(ids={"coco:1": "refs(unc).p"}))
    assert list(left.rows) == [LeftOut("train: its picture is held out"), rows[1], rows[2]]
    with pytest.raises(DataError, match="nothing to leave out"):
        leave_out(Conversion(rows), HeldOut())


def test_records_are_written_as_they_were_read_wherever_the_file_lies(tmp_path: Path) -> None:
    saved(drawn(1), tmp_path / "a.png")
    given = tmp_path / "given.jsonl"
    given.write_text(
        '{"id": "1", "image": "a.png", "image_id": "coco:1", "caption": "é", "question": "what?", '
        '"answers": [{"text": "net", "weight": 0.5}], "phrase": "a", "boxes": [[0, 1, 2, 3]], '
        '"objects": [{"name": "b", "box": [0, 0, 4, 4.5]}], "text": ["x"]}\n'
        '{"image": ["a.png", "a.png"], "statement": "same", "label": "true"}\n',
        encoding="utf-8",
    )
    (tmp_path / "else" / "where").mkdir(parents=True)
    written = tmp_path / "else" / "where" / "out.jsonl"
    before = read_records(given).require()
    assert write_records(before, written) == 2
    after = read_records(written).require()
    for first, second in zip(before, after, strict=True):
        for field in Record.__dataclass_fields__:
            if field not in ("source", "image"):
                assert getattr(first, field) == getattr(second, field)
        assert [Path(name).resolve() for name in second.images] == [
            Path(name).resolve() for name in first.images
        ]
