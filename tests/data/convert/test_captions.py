import json
from pathlib import Path
from typing import Any

import pytest

from mplug.errors import DataError
from tests.data.convert.files import convert, pictures, save

COCO_IMAGE = {
    "id": 391895,
    "file_name": "COCO_val2014_000000391895.jpg",
    "height": 48,
    "width": 64,
    "license": 3,
    "coco_url": "",
    "flickr_url": "",
    "date_captured": "",
}


def coco_file(path: Path, **more: Any) -> Path:
    annotations = [
        {"id": 770337, "image_id": 391895, "caption": "A man on a dirt bike.\n"},
        {"id": 771687, "image_id": 391895, "caption": "A man rides."},
    ]
    content = {"info": {}, "licenses": [], "images": [COCO_IMAGE], "annotations": annotations}
    return save(path, content | more)


def test_coco_gives_a_record_a_picture_with_all_captions_stripped(tmp_path: Path) -> None:
    images = pictures(tmp_path / "coco", ["val2014/COCO_val2014_000000391895.jpg"])
    done = convert("coco", tmp_path / "out", images=images, val2014=coco_file(tmp_path / "c.json"))
    [record] = done.records("val2014")
    assert record.caption == ("A man on a dirt bike.", "A man rides.")
    assert (record.id, record.image_id) == ("391895", "coco:391895")
    assert Path(record.images[0]).samefile(images / "val2014/COCO_val2014_000000391895.jpg")


def test_coco_counts_are_set_beside_the_published_ones(tmp_path: Path) -> None:
    images = pictures(tmp_path / "coco", ["val2014/COCO_val2014_000000391895.jpg"])
    done = convert("coco", tmp_path / "out", images=images, val2014=coco_file(tmp_path / "c.json"))
    assert [str(each) for each in done.report.differences] == [
        "val2014: 1 images, published 40,504 (-40,503)",
        "val2014: 2 captions, published 202,654 (-202,652)",
    ]
    report = json.loads((done.folder / "report.json").read_text(encoding="utf-8"))
    assert report["found"] == {"val2014": {"rows": 1, "images": 1, "captions": 2}}


def test_coco_names_broken_rows(tmp_path: Path) -> None:
    images = pictures(tmp_path / "coco", ["val2014/COCO_val2014_000000391895.jpg"])
    file = coco_file(
        tmp_path / "c.json",
        images=[COCO_IMAGE, {"id": 4}, {**COCO_IMAGE, "id": 5}],
        annotations=[
            {"id": 1, "image_id": 391895, "caption": "A man."},
            {"id": 2, "image_id": 391895, "caption": ""},
            {"id": 3, "image_id": 9, "caption": "Nowhere."},
            {"id": 1, "image_id": 391895, "caption": "Again."},
        ],
    )
    done = convert("coco", tmp_path / "out", images=images, val2014=file)
    assert done.troubles == [
        "c.json, annotations[1], caption: is empty",
        "c.json, annotations[2], image_id: there is no image 9",
        "c.json, annotations[3], id: 1 occurs twice",
        "c.json, images[1], file_name: is missing",
        "c.json, images[2]: image 5 has no caption",
    ]
    assert done.records("val2014")[0].caption == ("A man.",)
    assert [each["field"] for each in done.lines("troubles")][:2] == ["caption", "image_id"]


def test_coco_test_pictures_have_no_caption_rather_than_an_empty_one(tmp_path: Path) -> None:
    name = "COCO_test2014_000000000001.jpg"
    file = save(tmp_path / "i.json", {"images": [{**COCO_IMAGE, "id": 1, "file_name": name}]})
    images = pictures(tmp_path / "coco", [f"test2014/{name}"])
    done = convert("coco", tmp_path / "out", images=images, test2014=file)
    assert "caption" not in done.lines("test2014")[0]


def karpathy_image(number: int, split: str, *captions: Any) -> dict[str, Any]:
    return {
        "filepath": "val2014",
        "filename": f"{number}.jpg",
        "cocoid": number,
        "imgid": 0,
        "split": split,
        "sentences": [{"tokens": ["x"], "raw": raw, "sentid": 1} for raw in captions],
    }


def test_karpathys_restval_is_a_split_and_part_of_a_joined_one(tmp_path: Path) -> None:
    listed = [
        karpathy_image(1, "restval", "Rest."),
        karpathy_image(2, "train", "Train, as written."),
        karpathy_image(3, "test", "One.", "Two."),
    ]
    images = pictures(tmp_path / "coco", [f"val2014/{number}.jpg" for number in (1, 2, 3)])
    split = save(tmp_path / "dataset_coco.json", {"dataset": "coco", "images": listed})
    done = convert("coco-karpathy", tmp_path / "out", images=images, split=split)
    assert [record.id for record in done.records("train+restval")] == ["2", "1"]
    assert [record.id for record in done.records("restval")] == ["1"]
    assert done.records("train")[0].caption == ("Train, as written.",)
    assert done.records("test")[0].caption == ("One.", "Two.")


def test_karpathys_broken_rows_are_named(tmp_path: Path) -> None:
    listed = [
        karpathy_image(1, "test", "Good.", 7),
        karpathy_image(2, "tset", "A split nobody has."),
        karpathy_image(1, "test", "Twice."),
    ]
    images = pictures(tmp_path / "coco", ["val2014/1.jpg"])
    split = save(tmp_path / "dataset_coco.json", {"images": listed})
    done = convert("coco-karpathy", tmp_path / "out", images=images, split=split)
    assert done.troubles == [
        "dataset_coco.json, images[0].sentences[1], raw: must be text, not a number",
        "dataset_coco.json, images[1], split: must be one of train, restval, val, test, not 'tset'",
        "dataset_coco.json, images[2], id: 1 occurs twice in test",
    ]


def nocaps_image(number: int, **more: Any) -> dict[str, Any]:
    name = f"{number:016x}"
    image = {"id": number, "open_images_id": name, "file_name": f"{name}.jpg", "height": 48}
    return image | {"width": 64, "coco_url": ""} | more


def test_nocaps_keeps_the_id_that_submissions_take_and_the_domain(tmp_path: Path) -> None:
    val = save(
        tmp_path / "val.json",
        {
            "images": [nocaps_image(0, domain="near-domain")],
            "annotations": [{"id": 0, "image_id": 0, "caption": "A baby."}],
        },
    )
    test = save(tmp_path / "test.json", {"images": [nocaps_image(1)]})
    images = pictures(tmp_path / "images", ["0000000000000000.jpg", "test/0000000000000001.jpg"])
    done = convert("nocaps", tmp_path / "out", images=images, val=val, test=test)
    [record] = done.records("val")
    assert (record.id, record.image_id) == ("0", "openimages:0000000000000000")
    assert (record.label, record.caption) == ("near-domain", ("A baby.",))
    assert done.records("test")[0].caption == ()


def test_nocaps_names_broken_rows(tmp_path: Path) -> None:
    broken = nocaps_image(1)
    del broken["open_images_id"]
    test = save(tmp_path / "test.json", {"images": [nocaps_image(0), broken]})
    images = pictures(tmp_path / "images", ["0000000000000000.jpg"])
    done = convert("nocaps", tmp_path / "out", images=images, test=test)
    assert done.troubles == ["test.json, images[1], open_images_id: is missing"]


def test_flickr30k_in_karpathys_split(tmp_path: Path) -> None:
    listed = [
        {"filename": f"{number}.jpg", "split": "val", "sentences": [{"raw": f"Guys {number} ."}]}
        for number in (1000092795, 1)
    ]
    split = save(tmp_path / "dataset_flickr30k.json", {"images": [*listed, {"filename": "2.jpg"}]})
    images = pictures(tmp_path / "f", ["flickr30k_images/1000092795.jpg", "1.jpg"])
    done = convert("flickr30k", tmp_path / "out", images=images, split=split)
    assert [record.image_id for record in done.records("val")] == [
        "flickr30k:1000092795",
        "flickr30k:1",
    ]
    assert done.troubles == ["dataset_flickr30k.json, images[2], split: is missing"]


def test_flickr30k_tokens_are_grouped_by_picture_and_broken_lines_named(tmp_path: Path) -> None:
    tokens = save(
        tmp_path / "results_20130124.token",
        "1.jpg#0\tTwo guys .\n2.jpg#0\tA dog .\n1.jpg#1\tMen .\n"
        "1.jpg#1\tAgain .\nno tab\n3.jpg\tno number\n2.jpg#1\t \n",
    )
    images = pictures(tmp_path / "f", ["1.jpg", "2.jpg"])
    done = convert("flickr30k", tmp_path / "out", images=images, tokens=tokens)
    assert [record.caption for record in done.records("all")] == [
        ("Two guys .", "Men ."),
        ("A dog .",),
    ]
    assert done.troubles == [
        "results_20130124.token, line 4, image: 1.jpg#1 occurs twice",
        "results_20130124.token, line 5: has no tab between the picture and its caption",
        "results_20130124.token, line 6, image: must be FILE#NUMBER, not '3.jpg'",
        "results_20130124.token, line 7, caption: is empty",
    ]


def test_flickr30k_takes_one_of_its_two_files(tmp_path: Path) -> None:
    file = save(tmp_path / "a.json", {"images": []})
    with pytest.raises(DataError, match="not both"):
        convert("flickr30k", tmp_path / "out", images=tmp_path, split=file, tokens=file)
