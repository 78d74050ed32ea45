from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mplug.data.fields import Answer, NamedBox
from mplug.data.records import Record, Source
from mplug.data.regions import pictures
from mplug.data.regions.batch import collate_region_tasks
from mplug.data.regions.record_examples import (
    RecordRegions,
    RecordRegionTasks,
    RegionFolder,
    common_answers,
    overlap,
)
from mplug.data.regions.stored import Regions, save_regions
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError

TOKENIZER = Tokenizer.train(["a red boat and a dog on the left of it"] * 3, vocab_size=500)
SIZE = (40, 20)  # pixels
BOXES = [[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0, 0, 1, 1]]


def record(folder: Path, name: str, **fields: object) -> Record:
    return Record(Source("a.jsonl", 1), image=str(folder / name), **fields)  # type: ignore[arg-type]


def folder_of(folder: Path) -> RegionFolder:
    regions = Regions(
        np.eye(3, 6, dtype=np.float32),
        np.array(BOXES, dtype=np.float32),
        np.array([0.9, 0.8, 0.3], dtype=np.float32),
    )
    for name in ("one", "two"):
        save_regions(folder / f"{name}.npz", regions)
        Image.new("RGB", SIZE).save(folder / f"{name}.jpg")
    return RegionFolder(folder, confidence=0.2, at_least=1)


def test_a_picture_has_the_file_of_its_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    assert folder.file("elsewhere/one.jpg") == tmp_path / "one.npz"
    assert folder.file("elsewhere/ONE.jpg") == tmp_path / "one.npz"
    assert len(folder.regions("one.jpg")) == 3


def test_captions_are_learned_from_pictures_that_have_regions(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    records = [
        record(tmp_path, "one.jpg", caption=("a red boat",)),
        record(tmp_path, "none.jpg", caption=("a dog",)),
    ]
    examples = RecordRegions(records, folder, tokenizer=TOKENIZER, max_words=4)
    made = [examples.example(place, seed=1) for place in range(4)]
    assert all(len(example.regions) == 3 and len(example.ids) <= 6 for example in made)
    skipped = [skip for example in made for skip in example.skipped]
    assert skipped
    assert all("none.jpg" in skip.name for skip in skipped)
    with pytest.raises(DataError, match="no record"):
        RecordRegions([], folder, tokenizer=TOKENIZER, max_words=4)


def test_every_task_is_asked_of_the_records_that_serve_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    two = (str(tmp_path / "one.jpg"), str(tmp_path / "two.jpg"))
    records = [
        record(
            tmp_path,
            "one.jpg",
            question="what is it?",
            answers=(Answer("A boat", 0.75), Answer("a dog", 0.25), Answer("a tree", 0.1)),
            caption=("a red boat",),
        ),
        record(tmp_path, "one.jpg", phrase="the dog", boxes=((21.0, 0.0, 40.0, 20.0),)),
        record(tmp_path, "two.jpg", statement="a dog is there", label="neutral"),
        Record(Source("a.jsonl", 4), image=two, statement="both show a dog", label="True"),
    ]
    tasks = ("answer", "retrieve", "compare", "ground", "entail")
    examples = RecordRegionTasks(
        records,
        folder,
        tasks=tasks,
        tokenizer=TOKENIZER,
        max_words=20,
        answers={"a boat": 4, "a dog": 0},
    )
    batch = collate_region_tasks([examples.example(place, seed=0) for place in range(4)])
    assert set(batch.items) == {"answer", "compare", "ground", "entail"}
    assert sorted(batch.items["answer"].target_ids[:, 0].tolist()) == [0, 4]
    assert batch.items["ground"].labels.tolist() == [1]
    assert batch.items["entail"].labels.tolist() == [1]
    assert batch.items["compare"].labels.tolist() == [1]
    assert batch.items["compare"].images.shape == (1, 2)
    assert batch.pairs is not None
    assert len(batch.regions) == 5


def test_a_task_that_no_record_asks_for_is_named(tmp_path: Path) -> None:
    records = [record(tmp_path, "one.jpg", caption=("a boat",))]
    with pytest.raises(DataError, match=r"tasks\.answer"):
        RecordRegionTasks(
            records,
            folder_of(tmp_path),
            tasks=("answer", "retrieve"),
            tokenizer=TOKENIZER,
            max_words=9,
            answers={},
        )


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0, 0, 1, 1]], dtype=np.float32)
    np.testing.assert_allclose(overlap(boxes, (0.25, 0, 0.75, 1)), [1 / 3, 1 / 3, 0.5], atol=1e-6)


def test_the_answers_that_count_most_are_chosen_from(tmp_path: Path) -> None:
    records = [record(tmp_path, "a.jpg", answers=(Answer(text),)) for text in "bbcacd"]
    assert common_answers(records, at_most=2) == ("b", "c")


def test_a_grid_covers_the_picture_and_ends_with_all_of_it() -> None:
    looked = pictures.grid(2, 3)
    boxes = looked.shares(width=7, height=9)
    assert boxes.shape == (7, 4)
    assert boxes[-1].tolist() == [0, 0, 1, 1]
    areas = (boxes[:6, 2:] - boxes[:6, :2]).prod(axis=1)
    np.testing.assert_allclose(areas, 1 / 6, atol=1e-6)


def test_boxes_in_pixels_become_shares_cut_off_at_the_edges() -> None:
    looked = pictures.of_boxes([(10, 5, 60, 20)])
    np.testing.assert_allclose(looked.shares(width=40, height=20), [[0.25, 0.25, 1, 1]])


def test_named_objects_bring_soft_labels(tmp_path: Path) -> None:
    objects = (NamedBox("dog", (0, 0, 9, 9)), NamedBox("boat", (9, 0, 19, 9)))
    looked = pictures.looked_at(
        [record(tmp_path, "one.jpg", objects=objects), record(tmp_path, "two.jpg")],
        pictures.grid(1, 1),
    )
    assert pictures.classes_of(looked) == ("boat", "dog")
    labels = pictures.soft_labels(looked[tmp_path / "one.jpg"].names, ("boat", "dog"))
    assert labels.argmax(axis=1).tolist() == [2, 1]
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert not looked[tmp_path / "two.jpg"].names


def test_boxes_are_read_by_picture(tmp_path: Path) -> None:
    file = tmp_path / "boxes.jsonl"
    file.write_text('{"image": "x/a.jpg", "boxes": [[0, 0, 4, 5], [1, 1, 2, 2]]}\n', "utf-8")
    assert pictures.read_boxes(file)["a.jpg"].boxes.shape == (2, 4)
    file.write_text('{"image": "x/a.jpg"}\n', "utf-8")
    with pytest.raises(DataError, match="line 1"):
        pictures.read_boxes(file)


def test_pictures_of_one_name_are_told() -> None:
    found = list(pictures.same_names([Path("a/x.jpg"), Path("b/y.jpg"), Path("b/X.png")]))
    assert found == [(Path("a/x.jpg"), Path("b/X.png"))]
