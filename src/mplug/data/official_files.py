"""Files in the formats of the official COCO caption and VQA evaluations."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mplug.errors import DataError

SHOWN = 5  # ids listed in an error

Row = tuple[str, Mapping[str, Any]]  # its place, as an error names it, and its fields


class CaptionFiles(NamedTuple):
    """A candidate and the references of each predicted image, in the order of the predictions."""

    candidates: list[str]
    references: list[list[str]]
    unpredicted: int  # images that have references but no prediction


class VqaAnswers(NamedTuple):
    """What people and a model answered to a question, and what kinds it is of."""

    answers: list[str]
    prediction: str
    question_type: str
    answer_type: str


class VqaFiles(NamedTuple):
    """The questions in the order of the question file, and the split the annotations name."""

    questions: list[VqaAnswers]
    split: str


def read_captions(references: Path, predictions: Path) -> CaptionFiles:
    """References as `{"annotations": [{"image_id", "caption"}]}`, predictions as a list of such.

    Raises:
        DataError: a file cannot be read or a field is wrong; an image has two predictions, or a
            prediction no reference.
    """
    known: dict[str, list[str]] = {}
    for where, row in _rows(_load(references), references, "annotations"):
        known.setdefault(_identity(row, where, "image_id"), []).append(_text(row, where, "caption"))
    predicted = _by_identity(predictions, "image_id", "caption")
    _refuse(
        predicted.keys() - known.keys(), f"{predictions}: no reference in {references} for image"
    )
    return CaptionFiles(
        list(predicted.values()), [known[image] for image in predicted], len(known) - len(predicted)
    )


def read_vqa(questions: Path, annotations: Path, results: Path) -> VqaFiles:
    """The three files of the official VQA evaluation.

    They are `{"questions": [{"question_id"}]}`, `{"annotations": [{"question_id",
    "question_type", "answer_type", "answers": [{"answer"}]}]}` and `[{"question_id", "answer"}]`.

    Raises:
        DataError: a file cannot be read or a field is wrong; a question occurs twice, or not in
            every file.
    """
    document = _load(annotations)
    annotated = _once(_rows(document, annotations, "annotations"), "question_id")
    predicted = _by_identity(results, "question_id", "answer")
    asked = _once(_rows(_load(questions), questions, "questions"), "question_id").keys()
    for name, found in ((annotations, annotated.keys()), (results, predicted.keys())):
        _refuse(asked - found, f"{name}: nothing for question")
        _refuse(found - asked, f"{name}: not in {questions}: question")
    split = document.get("data_subtype")
    rows = [_answers(*annotated[identity], predicted[identity]) for identity in asked]
    return VqaFiles(rows, split if isinstance(split, str) and split else annotations.stem)


def _answers(where: str, row: Mapping[str, Any], prediction: str) -> VqaAnswers:
    people = _listed(row.get("answers"), f"{where}.answers")
    answers = [_text(answer, place, "answer") for place, answer in people]
    if not answers:
        raise DataError(f"{where}.answers: expected at least one answer, found none")
    kinds = (_text(row, where, "question_type"), _text(row, where, "answer_type"))
    return VqaAnswers(answers, prediction, *kinds)


def _by_identity(path: Path, identity: str, field: str) -> dict[str, str]:
    """A file that is a list of results, each with an id of its own."""
    rows = _once(_listed(_load(path), f"{path}: results"), identity)
    if not rows:
        raise DataError(f"{path}: expected a list of results, found an empty one")
    return {key: _text(row, where, field) for key, (where, row) in rows.items()}


def _once(rows: Iterator[Row], identity: str) -> dict[str, Row]:
    """Rows and their places by an id, which no two of them share."""
    found: dict[str, Row] = {}
    for where, row in rows:
        key = _identity(row, where, identity)
        if key in found:
            first, _ = found[key]
            raise DataError(f"{where}.{identity}: {key} occurs twice, first at {first}: drop one")
        found[key] = where, row
    return found


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON: {error.msg} in line {error.lineno}") from error
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply to be read") from error


def _rows(document: Any, path: Path, key: str) -> Iterator[Row]:
    if not isinstance(document, dict) or key not in document:
        raise DataError(f"{path}: expected an object with the field {key}, found {_kind(document)}")
    return _listed(document[key], f"{path}: {key}")


def _listed(value: Any, where: str) -> Iterator[Row]:
    """Each object of a list, with its place."""
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list, found {_kind(value)}")
    for place, row in enumerate(value):
        if not isinstance(row, dict):
            raise DataError(f"{where}[{place}]: expected an object, found {_kind(row)}")
        yield f"{where}[{place}]", row


def _identity(row: Mapping[str, Any], where: str, field: str) -> str:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"{where}.{field}: expected a number or text, found {_kind(value)}")
    return str(value)


def _text(row: Mapping[str, Any], where: str, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise DataError(f"{where}.{field}: expected text, found {_kind(value)}")
    return value


def _refuse(identities: set[str], problem: str) -> None:
    if identities:
        shown = sorted(identities)[:SHOWN]
        more = f" and {len(identities) - SHOWN} more" if len(identities) > SHOWN else ""
        raise DataError(f"{problem} {', '.join(shown)}{more}")


def _kind(value: Any) -> str:
    """What a JSON value is, in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:SHOWN]) or 'no fields'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{json.dumps(value)[:40]}"
