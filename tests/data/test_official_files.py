"""Files in the official formats: read as they are, and every fault named with its place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mplug.data.official_files import read_captions, read_vqa
from mplug.errors import DataError


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def caption_files(folder: Path, *, references: Any = None, predictions: Any = None) -> list[Path]:
    if references is None:
        references = {
            "images": [{"id": 7}, {"id": 8}, {"id": 9}],
            "annotations": [
                {"image_id": 7, "id": 1, "caption": "a cat"},
                {"image_id": 8, "id": 2, "caption": "a dog"},
                {"image_id": 7, "id": 3, "caption": "the cat"},
                {"image_id": 9, "id": 4, "caption": "a fox"},
            ],
        }
    if predictions is None:
        predictions = [{"image_id": 8, "caption": "dog"}, {"image_id": 7, "caption": "cat"}]
    return [
        write(folder / "references.json", references),
        write(folder / "predictions.json", predictions),
    ]


QUESTION = {"question_id": 1, "question": "What is it?", "image_id": 7}
ANNOTATION = {
    "question_id": 1,
    "question_type": "what is",
    "answer_type": "other",
    "answers": [{"answer": "cat", "answer_id": 1}, {"answer": "a cat", "answer_id": 2}],
}
RESULT = {"question_id": 1, "answer": "cat"}


def vqa_files(folder: Path, **changed: Any) -> list[Path]:
    files = {
        "questions": {"questions": [QUESTION]},
        "annotations": {"annotations": [ANNOTATION], "data_subtype": "val2014"},
        "results": [RESULT],
    } | changed
    return [write(folder / f"{name}.json", value) for name, value in files.items()]


def test_captions_come_in_the_order_of_the_predictions(tmp_path: Path) -> None:
    found = read_captions(*caption_files(tmp_path))
    assert found.candidates == ["dog", "cat"]
    assert found.references == [["a dog"], ["a cat", "the cat"]]
    assert found.unpredicted == 1


def test_ids_may_be_words(tmp_path: Path) -> None:
    files = caption_files(
        tmp_path,
        references={"annotations": [{"image_id": "x", "caption": "a cat"}]},
        predictions=[{"image_id": "x", "caption": "cat"}],
    )
    assert read_captions(*files).references == [["a cat"]]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    references, predictions = caption_files(tmp_path)
    predictions.write_text(predictions.read_text("utf-8"), encoding="utf-8-sig")
    assert len(read_captions(references, predictions).candidates) == 2


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            {"predictions": [{"image_id": 5, "caption": "x"}]},
            "predictions.json: no reference in .*references.json for image 5",
        ),
        (
            {"predictions": [{"image_id": 7, "caption": "x"}] * 2},
            r"results\[1\].image_id: 7 occurs twice, first at .*results\[0\]",
        ),
        ({"predictions": []}, "expected a list of results, found an empty one"),
        ({"predictions": {"7": "x"}}, "results: expected a list, found an object with 7"),
        ({"predictions": ["x"]}, r'results\[0\]: expected an object, found "x"'),
        (
            {"predictions": [{"image_id": 7, "caption": ["x"]}]},
            r"results\[0\].caption: expected text, found a list of 1",
        ),
        (
            {"predictions": [{"caption": "x"}]},
            r"results\[0\].image_id: expected a number or text, found nothing",
        ),
        ({"predictions": '[{"image_id": 7,\n}]'}, "predictions.json: not JSON: .* in line 2"),
        ({"predictions": "[" * 100_000}, "predictions.json: nested too deeply"),
        ({"references": []}, "an object with the field annotations, found a list of 0"),
        (
            {"references": {"images": []}},
            "an object with the field annotations, found an object with images",
        ),
    ],
)
def test_broken_caption_files_are_named(
    broken: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read_captions(*caption_files(tmp_path, **broken))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    references, predictions = caption_files(tmp_path)
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}: cannot be read: .*directory"):
        read_captions(references, tmp_path)
    predictions.write_bytes(b'[{"image_id": 7, "caption": "caf\xe9"}]')
    with pytest.raises(DataError, match="predictions.json: not UTF-8 text: .* at byte 32"):
        read_captions(references, predictions)


def test_a_question_brings_its_answers_its_prediction_and_its_kinds(tmp_path: Path) -> None:
    found = read_vqa(*vqa_files(tmp_path))
    assert found.split == "val2014"
    assert found.questions == [(["cat", "a cat"], "cat", "what is", "other")]


def test_without_a_name_in_it_the_split_is_the_files(tmp_path: Path) -> None:
    files = vqa_files(tmp_path, annotations={"annotations": [ANNOTATION]})
    assert read_vqa(*files).split == "annotations"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"results": [RESULT] * 2}, r"results\[1\].question_id: 1 occurs twice, first at"),
        (
            {"annotations": {"annotations": [ANNOTATION] * 2}},
            r"annotations\[1\].question_id: 1 occurs twice",
        ),
        (
            {"questions": {"questions": [QUESTION] * 2}},
            r"questions\[1\].question_id: 1 occurs twice",
        ),
        (
            {"questions": {"questions": [QUESTION, QUESTION | {"question_id": 2}]}},
            "annotations.json: nothing for question 2",
        ),
        (
            {"results": [RESULT, RESULT | {"question_id": 3}]},
            "results.json: not in .*questions.json: question 3",
        ),
        (
            {"results": [RESULT | {"question_id": number} for number in range(1, 10)]},
            "question 2, 3, 4, 5, 6 and 3 more",
        ),
        (
            {"annotations": {"annotations": [ANNOTATION | {"answers": []}]}},
            r"annotations\[0\].answers: expected at least one answer",
        ),
        (
            {"annotations": {"annotations": [ANNOTATION | {"answers": ["cat"]}]}},
            r"annotations\[0\].answers\[0\]: expected an object",
        ),
        (
            {"annotations": {"annotations": [ANNOTATION | {"answer_type": None}]}},
            r"annotations\[0\].answer_type: expected text, found nothing",
        ),
    ],
)
def test_broken_vqa_files_are_named(broken: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_vqa(*vqa_files(tmp_path, **broken))
