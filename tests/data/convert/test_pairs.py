import json
from pathlib import Path
from typing import Any

from tests.data.convert.files import convert, pictures, save


def lines(*rows: Any) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"


def pair(identifier: str, label: Any = "True", **more: Any) -> dict[str, Any]:
    urls = {"left_url": "http://a", "right_url": "http://b"}
    return {"identifier": identifier, "sentence": "All dogs run.", "label": label, **urls} | more


def test_nlvr2_statements_have_their_two_pictures_in_order_and_text_labels(tmp_path: Path) -> None:
    stems = ["dev/dev-850-0", "train/34/train-10171-0", "images/test1/test1-0-1"]
    names = [f"{stem}-img{side}.png" for stem in stems for side in (0, 1)]
    done = convert(
        "nlvr2",
        tmp_path / "out",
        images=pictures(tmp_path / "nlvr2", names),
        train=save(tmp_path / "train.json", lines(pair("train-10171-0-0", directory=34))),
        dev=save(
            tmp_path / "dev.json", lines(pair("dev-850-0-0"), "", pair("dev-850-0-1", "False"))
        ),
        test1=save(tmp_path / "test1.json", lines(pair("test1-0-1-0"))),
    )
    true, false = done.records("dev")
    assert [Path(name).name for name in true.images] == ["dev-850-0-img0.png", "dev-850-0-img1.png"]
    assert (true.id, true.label, false.label) == ("dev-850-0-0", "true", "false")
    assert true.statement == "All dogs run."
    assert true.image_id == "nlvr2:dev-850"  # the set of pictures, by which splits are drawn
    assert "/train/34/" in done.records("train")[0].images[0]
    assert "/images/test1/" in done.records("test1")[0].images[1]


def test_nlvr2_names_broken_rows_and_missing_pictures(tmp_path: Path) -> None:
    rows = [
        pair("dev-1-0-0"),
        pair("dev-1-0"),
        pair("dev-1-0-1", label=True),
        pair("dev-1-0-2", sentence=None),
        "{broken",
        pair("dev-2-0-0"),
    ]
    names = ["dev/dev-1-0-img0.png", "dev/dev-1-0-img1.png", "dev/dev-2-0-img0.png"]
    images = pictures(tmp_path / "nlvr2", names)
    file = save(tmp_path / "dev.json", lines(*rows))
    done = convert("nlvr2", tmp_path / "out", images=images, dev=file)
    assert [trouble.split(" column")[0] for trouble in done.troubles] == [
        "dev.json, line 2, identifier: is not split-set-pair-sentence: 'dev-1-0'",
        "dev.json, line 3, label: must be one of True, False, not 'True'",
        "dev.json, line 4, sentence: is missing",
        "dev.json, line 5: not JSON: Expecting property name enclosed in double quotes: line 1",
    ]
    assert [row["id"] for row in done.lines("missing")] == ["dev-2-0-0"]
    assert done.report.missing_pictures == 1


def hypothesis(number: int, label: str = "neutral", **more: Any) -> dict[str, Any]:
    fields = {
        "Flikr30kID": "4705552913",
        "gold_label": label,
        "sentence1": "the caption that gives it away",
        "sentence2": "Two people talk.",
        "captionID": "4705552913.jpg#2",
        "pairID": f"4705552913.jpg#2r{number}c",
    }
    return fields | more


def test_snli_ve_keeps_picture_hypothesis_and_label_and_leaves_the_caption_out(
    tmp_path: Path,
) -> None:
    later = hypothesis(2, "contradiction", Flickr30K_ID="12")
    del later["Flikr30kID"]
    names = ["flickr30k_images/4705552913.jpg", "12.jpg"]
    done = convert(
        "snli-ve",
        tmp_path / "out",
        images=pictures(tmp_path / "flickr30k", names),
        test=save(tmp_path / "snli_ve_test.jsonl", lines(hypothesis(1), later)),
    )
    first, second = done.records("test")
    assert (first.id, first.image_id) == ("4705552913.jpg#2r1c", "flickr30k:4705552913")
    assert (first.statement, first.label) == ("Two people talk.", "neutral")
    assert (second.image_id, second.label) == ("flickr30k:12", "contradiction")
    assert "gives it away" not in (done.folder / "test.jsonl").read_text("utf-8")


def test_snli_ve_names_broken_rows(tmp_path: Path) -> None:
    rows = [
        hypothesis(1),
        hypothesis(2, "-"),
        hypothesis(3, Flikr30kID="../secret"),
        hypothesis(4, pairID=None),
        [],
    ]
    images = pictures(tmp_path / "flickr30k", ["4705552913.jpg"])
    file = save(tmp_path / "snli_ve_dev.jsonl", lines(*rows))
    assert convert("snli-ve", tmp_path / "out", images=images, dev=file).troubles == [
        "snli_ve_dev.jsonl, line 2, gold_label: must be one of entailment, neutral, contradiction, "
        "not '-'",
        "snli_ve_dev.jsonl, line 3, Flikr30kID: must be the number of a picture on Flickr, "
        "not '../secret'",
        "snli_ve_dev.jsonl, line 4, pairID: is missing",
        "snli_ve_dev.jsonl, line 5: must be an object",
    ]
