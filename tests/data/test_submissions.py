"""Predictions in official formats: written whole, with each id of the split exactly once."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mplug.data import submissions
from mplug.errors import DataError


def loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_captions_have_numbers_as_ids_and_are_in_the_order_expected(tmp_path: Path) -> None:
    path = tmp_path / "captions_val2014_mplug_results.json"
    pairs = [("42", "a café"), ("391895", "a man")]
    submissions.write_captions(path, pairs, expected=["391895", "42"])
    assert loaded(path) == [
        {"image_id": 391895, "caption": "a man"},
        {"image_id": 42, "caption": "a café"},
    ]
    submissions.write_captions(path, [("video0", "a")], expected=["video0"], number_ids=False)
    assert loaded(path) == [{"image_id": "video0", "caption": "a"}]


def test_vqa_ids_are_numbers_and_gqa_ids_keep_their_zeros(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    submissions.write_vqa(path, [("9000", "net")], expected=["9000"])
    assert loaded(path) == [{"question_id": 9000, "answer": "net"}]
    submissions.write_gqa(path, [("02930152", "dark")], expected=["02930152"])
    assert loaded(path) == [{"questionId": "02930152", "prediction": "dark"}]


def test_nlvr2_is_a_csv_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "nlvr2.csv"
    pairs = [("dev-850-0-0", "true"), ("dev-850-0-1", "false")]
    submissions.write_nlvr2(path, pairs, expected=[key for key, _ in pairs])
    assert path.read_bytes() == b"dev-850-0-0,True\ndev-850-0-1,False\n"
    with path.open(newline="") as file:
        assert list(csv.reader(file))[1] == ["dev-850-0-1", "False"]


def test_entailment_keeps_the_pair_ids(tmp_path: Path) -> None:
    path = tmp_path / "snli_ve.jsonl"
    submissions.write_entailment(path, [("1.jpg#2r1c", "neutral")], expected=["1.jpg#2r1c"])
    assert loaded(path) == {"pairID": "1.jpg#2r1c", "prediction": "neutral"}


def test_boxes_are_written_as_corner_and_size_with_both_ids(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    submissions.write_boxes(path, [("7:31", (10, 5, 30.5, 35))], expected=["7:31"])
    assert loaded(path) == [{"ref_id": 7, "sent_id": 31, "pred_box": [10, 5, 20.5, 30]}]


def test_vatex_is_one_object_alone_or_in_a_zip(tmp_path: Path) -> None:
    pairs, expected = [("b_000000_000010", "a man")], ["b_000000_000010"]
    submissions.write_vatex(tmp_path / "submission.json", pairs, expected=expected)
    assert loaded(tmp_path / "submission.json") == {"b_000000_000010": "a man"}
    submissions.write_vatex(tmp_path / "submission.zip", pairs, expected=expected)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["submission.json"]
        assert json.loads(archive.read("submission.json")) == dict(pairs)


def test_retrieval_keeps_scores_with_both_lists_of_ids(tmp_path: Path) -> None:
    scores = [[0.1, 0.9, 0.9], [0.5, 0.2, 0.3]]
    ids = {"text_ids": ["t0", "t1"], "image_ids": ["a", "b", "c"]}
    submissions.write_retrieval(tmp_path / "scores.npz", scores, **ids)
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["scores"], np.array(scores, dtype=np.float32))
        assert kept["image_ids"].tolist() == ["a", "b", "c"]
    submissions.write_ranks(tmp_path / "ranks.json", scores, best=2, **ids)
    assert loaded(tmp_path / "ranks.json") == {
        "text_to_image": {"t0": ["b", "c"], "t1": ["a", "c"]},
        "image_to_text": {"a": ["t1", "t0"], "b": ["t0", "t1"], "c": ["t0", "t1"]},
    }


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([("1", "a"), ("1", "b"), ("2", "a")], "predicted more than once: 1"),
        ([("1", "a")], "not predicted: 2"),
        ([("1", "a"), ("2", "a"), ("3", "a")], "predicted, but not of this split: 3"),
        ([("1", "a"), ("2", None)], "2: a prediction must be text, not 'None'"),
    ],
)
def test_every_id_is_predicted_once_or_nothing_is_written(
    tmp_path: Path, pairs: Any, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        submissions.write_vqa(tmp_path / "results.json", pairs, expected=["1", "2"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("write", "key", "value", "problem"),
    [
        (submissions.write_captions, "video0", "a", "whole numbers as ids, not 'video0'"),
        (submissions.write_nlvr2, "dev-1-0-0", "True", "must be one of true, false, not 'True'"),
        (submissions.write_entailment, "1", "yes", "must be one of entailment"),
        (submissions.write_boxes, "7", (0, 0, 1, 1), "7: this format has whole numbers as ids"),
        (submissions.write_boxes, "7:1", (5, 0, 1, 1), "7:1: a box is x0, y0, x1, y1"),
        (submissions.write_boxes, "7:1", (0, 0, 1), "7:1: a box is x0, y0, x1, y1"),
    ],
)
def test_ids_and_values_that_a_format_cannot_hold_are_named(
    tmp_path: Path, write: Any, key: str, value: Any, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        write(tmp_path / "results", [(key, value)], expected=[key])
    assert not list(tmp_path.iterdir())


def test_scores_that_do_not_fit_their_ids_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    with pytest.raises(DataError, match=r"shape \[1, 2\] for 2 texts and 1 images"):
        submissions.write_retrieval(path, [[1, 2]], text_ids=["a", "b"], image_ids=["c"])
    with pytest.raises(DataError, match="the same image id twice: c"):
        submissions.write_retrieval(path, [[1, 2]], text_ids=["a"], image_ids=["c", "c"])
    with pytest.raises(DataError, match="not finite"):
        submissions.write_ranks(path, [[np.nan]], text_ids=["a"], image_ids=["c"])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none/results\.json: cannot be written"):
        submissions.write_vqa(tmp_path / "none" / "results.json", [("1", "a")], expected=["1"])
