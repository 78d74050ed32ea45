import pickle
from pathlib import Path
from typing import Any

import pytest

from mplug.errors import DataError
from tests.data.convert.files import Converted, convert, pictures, save

NAME = "COCO_train2014_000000581857.jpg"


def reference(number: int, **more: Any) -> dict[str, Any]:
    sentence = {"sent_id": 10 * number, "sent": "the lady ", "raw": "THE LADY", "tokens": ["the"]}
    fields = {
        "ref_id": number,
        "ann_id": 1719310,
        "category_id": 1,
        "image_id": 581857,
        "file_name": "COCO_train2014_000000581857_16.jpg",
        "split": "train",
        "sent_ids": [10 * number, 10 * number + 1],
        "sentences": [sentence, {**sentence, "sent_id": 10 * number + 1, "sent": "woman left"}],
    }
    return fields | more


def refer_folder(folder: Path, refs: Any, *, by: str = "unc") -> Path:
    """As REFER publishes a set: a pickle of Python 2's protocol and COCO's instances."""
    folder.mkdir()
    (folder / f"refs({by}).p").write_bytes(pickle.dumps(refs, protocol=2))
    image = {"id": 581857, "file_name": NAME, "width": 64, "height": 48}
    box = {"id": 1719310, "image_id": 581857, "category_id": 1, "bbox": [10.5, 5, 20, 30]}
    other = {"id": 4, "image_id": 5, "category_id": 1, "bbox": [1, 1, 5, 5]}
    content = {"images": [image], "annotations": [box, other], "categories": []}
    save(folder / "instances.json", content)
    return folder


def convert_refs(tmp_path: Path, refs: Any, name: str = "refcoco", by: str = "unc") -> Converted:
    folder = refer_folder(tmp_path / "refer", refs, by=by)
    images = pictures(tmp_path / "coco", [f"train2014/{NAME}"])
    inputs: dict[str, Any] = {by: folder}
    return convert(name, tmp_path / "out", images=images, **inputs)


@pytest.mark.parametrize(
    ("name", "by", "split"),
    [("refcoco", "unc", "testA"), ("refcoco+", "unc", "val"), ("refcocog", "umd", "test")],
)
def test_every_sentence_is_a_phrase_with_the_box_of_its_object_and_splits_keep_their_maker(
    tmp_path: Path, name: str, by: str, split: str
) -> None:
    done = convert_refs(tmp_path, [reference(1), reference(2, split=split)], name, by)
    first, second = done.records(f"train-{by}")
    assert (first.id, first.phrase, first.boxes) == ("1:10", "the lady", ((10.5, 5, 30.5, 35),))
    assert (second.id, second.phrase) == ("1:11", "woman left")
    assert {first.image_id, second.image_id} == {"coco:581857"}
    assert Path(str(first.image)).name == NAME
    assert [record.id for record in done.records(f"{split}-{by}")] == ["2:20", "2:21"]


def test_broken_references_are_named(tmp_path: Path) -> None:
    refs = [
        reference(0),
        reference(1, ann_id=7),
        reference(2, ann_id=4),
        reference(3, split="test"),
        reference(4, sentences=[{"sent": "a man"}]),
        "no reference",
    ]
    troubles = convert_refs(tmp_path, refs).troubles
    instances = tmp_path / "refer" / "instances.json"
    assert troubles == [
        f"refs(unc).p, refs[1], ann_id: 7 is not in {instances}",
        f"refs(unc).p, refs[2], ann_id: its box in {instances} is of another picture",
        "refs(unc).p, refs[3], split: must be one of train, val, testA, testB, not 'test'",
        "refs(unc).p, refs[4], sent_id: is missing",
        "refs(unc).p, refs[5]: must be an object",
    ]


def test_pictures_of_another_size_than_published_are_named(tmp_path: Path) -> None:
    folder = refer_folder(tmp_path / "refer", [reference(1)])
    images = pictures(tmp_path / "coco", [NAME], size=(48, 64))
    with pytest.raises(DataError, match="is 48 x 64 pixels, and published as 64 x 48"):
        convert("refcoco", tmp_path / "out", images=images, unc=folder)


def test_a_hostile_file_of_references_is_refused_and_does_nothing(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "planted"), "w")

    with pytest.raises(DataError, match=r"refs\(unc\)\.p: it names io\.open, .* nothing was run"):
        convert_refs(tmp_path, [reference(1), Hostile()])
    assert not (tmp_path / "planted").exists()
    assert not (tmp_path / "out").exists()


def test_splits_of_different_makers_are_never_mixed(tmp_path: Path) -> None:
    folder = refer_folder(tmp_path / "refer", [], by="umd")
    with pytest.raises(DataError, match="exactly one of umd, google and index"):
        convert("refcocog", tmp_path / "out", images=tmp_path, umd=folder, google=folder)
    file = folder / "refs(umd).p"
    with pytest.raises(DataError, match="its name says other splits than google="):
        convert("refcocog", tmp_path / "out", images=tmp_path, google=file)


def index_folder(folder: Path, **splits: Any) -> Path:
    """As torch saved such lists before version 1.6: four pickles in a row."""
    folder.mkdir()
    for split, rows in splits.items():
        parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, rows)
        raw = b"".join(pickle.dumps(part, 2) for part in parts)
        (folder / f"{folder.name}_{split}.pth").write_bytes(raw)
    return folder


def row(name: str, box: Any = (10, 5, 20, 30), phrase: Any = "woman left") -> tuple[Any, ...]:
    return name, "mask.pth", list(box), phrase, [("r1", ["none"])]


@pytest.mark.parametrize(
    ("name", "index", "split"),
    [
        ("refcoco", "unc", "testB-unc"),
        ("refcoco+", "unc+", "testB-unc"),
        ("refcocog", "gref_umd", "test-umd"),
    ],
)
def test_index_files_of_coco_hold_a_corner_and_a_size(
    tmp_path: Path, name: str, index: str, split: str
) -> None:
    rows = [row(NAME)]
    folder = index_folder(tmp_path / index, **{split.split("-")[0]: rows})
    images = pictures(tmp_path / "coco", [NAME])
    done = convert(name, tmp_path / "out", images=images, index=folder)
    (record,) = done.records(split)
    assert record.boxes == ((10, 5, 30, 35),)
    assert (record.image_id, record.phrase, record.id) == ("coco:581857", "woman left", None)


def test_index_files_of_referit_hold_two_corners(tmp_path: Path) -> None:
    folder = index_folder(tmp_path / "referit", val=[row("3304.jpg")])
    images = pictures(tmp_path / "saiapr", ["3304.jpg"])
    done = convert("referit", tmp_path / "out", images=images, index=folder)
    (record,) = done.records("val")
    assert (record.boxes, record.image_id) == (((10, 5, 20, 30),), "saiapr:3304")


def test_broken_rows_of_an_index_are_named(tmp_path: Path) -> None:
    rows = [row(NAME), row(NAME, box=(1, 2)), row("a.jpg"), row(NAME, phrase=" "), ("too", "short")]
    folder = index_folder(tmp_path / "unc", val=rows)
    images = pictures(tmp_path / "coco", [NAME])
    assert convert("refcoco", tmp_path / "out", images=images, index=folder).troubles == [
        "unc_val.pth, [1], bbox: must be four numbers",
        "unc_val.pth, [2], img_file: is no picture of COCO: 'a.jpg'",
        "unc_val.pth, [3], phrase: is empty",
        "unc_val.pth, [4]: must be an object",
    ]


def test_an_index_folder_of_another_set_is_refused(tmp_path: Path) -> None:
    folder = index_folder(tmp_path / "gref", val=[])
    with pytest.raises(DataError, match=r"takes the folder unc, whose name says"):
        convert("refcoco", tmp_path / "out", images=tmp_path, index=folder)
    with pytest.raises(DataError, match=r"has none of unc_train\.pth"):
        convert("refcoco", tmp_path / "out", images=tmp_path, index=index_folder(tmp_path / "unc"))
