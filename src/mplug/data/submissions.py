"""Predictions in the files that official scorers and servers take.

Every writer takes (id, prediction) pairs, ids as converted records have them, and `expected`, the
ids of the whole split: each must be predicted exactly once, as servers refuse or misjudge anything
else. Files appear whole or not at all.
"""

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mplug.data.fields import SURROGATE
from mplug.data.whole_file import whole_file, whole_path
from mplug.errors import DataError

Value = TypeVar("Value")
Predictions = Sequence[tuple[str, Value]]

SHOWN = 5  # ids named in an error
TRUTH = {"true": "True", "false": "False"}
ENTAILMENT = ("entailment", "neutral", "contradiction")


def write_captions(
    path: Path, captions: Predictions[str], *, expected: Iterable[str], number_ids: bool = True
) -> None:
    """COCO's result file, `[{"image_id": 391895, "caption": "..."}]`.

    COCO and nocaps have numbers as ids; MSR-VTT and MSVD, scored in the same way, have texts
    (`number_ids=False`).

    Raises:
        DataError: an id is missing, unknown, repeated or no number; a caption is no text.
    """
    rows = _checked(captions, expected, _text)
    typed = _number if number_ids else str
    _write_json(path, [{"image_id": typed(key), "caption": text} for key, text in rows])


def write_vqa(path: Path, answers: Predictions[str], *, expected: Iterable[str]) -> None:
    """VQA's result file, `[{"question_id": 9000, "answer": "net"}]`.

    Raises:
        DataError: an id is missing, unknown, repeated or no number; an answer is no text.
    """
    rows = _checked(answers, expected, _text)
    _write_json(path, [{"question_id": _number(key), "answer": text} for key, text in rows])


def write_gqa(path: Path, answers: Predictions[str], *, expected: Iterable[str]) -> None:
    """GQA's result file, `[{"questionId": "02930152", "prediction": "dark"}]`.

    Raises:
        DataError: an id is missing, unknown or repeated; an answer is no text.
    """
    rows = _checked(answers, expected, _text)
    _write_json(path, [{"questionId": key, "prediction": text} for key, text in rows])


def write_nlvr2(path: Path, labels: Predictions[str], *, expected: Iterable[str]) -> None:
    """NLVR2's CSV without a header, a line `dev-850-0-0,True` each, from "true" and "false".

    Raises:
        DataError: an identifier is missing, unknown or repeated; a label is another.
    """
    rows = _checked(labels, expected, lambda key, value: TRUTH[_one_of(key, value, TRUTH)])
    with whole_file(path) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_entailment(path: Path, labels: Predictions[str], *, expected: Iterable[str]) -> None:
    """SNLI-VE has no server: JSON lines `{"pairID": ..., "prediction": "neutral"}`.

    Raises:
        DataError: a pair is missing, unknown or repeated; a label is none of the three.
    """
    rows = _checked(labels, expected, lambda key, value: _one_of(key, value, ENTAILMENT))
    with whole_file(path) as file:
        for key, label in rows:
            file.write(json.dumps({"pairID": key, "prediction": label}) + "\n")


def write_boxes(
    path: Path, boxes: Predictions[Sequence[float]], *, expected: Iterable[str]
) -> None:
    """RefCOCO's boxes, `[{"ref_id": 0, "sent_id": 1, "pred_box": [x, y, width, height]}]`.

    Ids are `<ref_id>:<sent_id>`, as converted records have them. Boxes are given as x0, y0, x1, y1
    and written as corner and size, both in pixels of the original picture.

    Raises:
        DataError: an id is missing, unknown, repeated or of another form; a box is none.
    """
    rows = []
    for key, (x0, y0, x1, y1) in _checked(boxes, expected, _box):
        reference, _, sentence = key.partition(":")
        numbers = {"ref_id": _number(reference, of=key), "sent_id": _number(sentence, of=key)}
        rows.append({**numbers, "pred_box": [x0, y0, x1 - x0, y1 - y0]})
    _write_json(path, rows)


def write_vatex(path: Path, captions: Predictions[str], *, expected: Iterable[str]) -> None:
    """VATEX's `submission.json`, `{"<videoID>": "a caption"}`; a .zip holds it under that name.

    `expected` is the whole list of the test, clips that are gone included.

    Raises:
        DataError: a clip is missing, unknown or repeated; a caption is no text.
    """
    content = dict(_checked(captions, expected, _text))
    if path.suffix != ".zip":
        _write_json(path, content)
        return
    with whole_path(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        text = json.dumps(content, ensure_ascii=False)
        archive.writestr("submission.json", text, zipfile.ZIP_DEFLATED)


def write_retrieval(
    path: Path,
    scores: npt.ArrayLike,
    *,
    text_ids: Sequence[str],
    image_ids: Sequence[str],
) -> None:
    """Retrieval has no server: an .npz of scores [texts, images], `text_ids` and `image_ids`.

    `numpy.load` reads it without pickle. Higher is better; ranks of both directions follow from it
    (`write_ranks`).

    Raises:
        DataError: ids are repeated, do not fit the scores, or a score is not finite.
    """
    values = _matrix(scores, text_ids, image_ids)
    if path.suffix != ".npz":
        raise DataError(f"{path}: scores are written as .npz: name such a file")
    with whole_path(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file, scores=values, text_ids=np.array(text_ids), image_ids=np.array(image_ids)
        )


def write_ranks(
    path: Path,
    scores: npt.ArrayLike,
    *,
    text_ids: Sequence[str],
    image_ids: Sequence[str],
    best: int = 10,
) -> None:
    """JSON of the `best` images of each text and texts of each image, by id, best first.

    `{"text_to_image": {"<text id>": ["<image id>", ...]}, "image_to_text": {...}}`; of equal
    scores [texts, images], that which comes first in the ids is first.

    Raises:
        DataError: ids are repeated, do not fit the scores, or a score is not finite.
    """
    values = _matrix(scores, text_ids, image_ids)
    content = {
        "text_to_image": _ranked(values, text_ids, image_ids, best),
        "image_to_text": _ranked(values.T, image_ids, text_ids, best),
    }
    _write_json(path, content)


def _ranked(
    values: npt.NDArray[np.float32], rows: Sequence[str], columns: Sequence[str], best: int
) -> dict[str, list[str]]:
    order = np.argsort(-values, axis=1, kind="stable")[:, :best]
    return {
        row: [columns[place] for place in places] for row, places in zip(rows, order, strict=True)
    }


def _matrix(
    scores: npt.ArrayLike, text_ids: Sequence[str], image_ids: Sequence[str]
) -> npt.NDArray[np.float32]:
    values = np.asarray(scores, dtype=np.float32)
    if values.shape != (len(text_ids), len(image_ids)):
        raise DataError(
            f"scores of shape {list(values.shape)} for {len(text_ids)} texts and "
            f"{len(image_ids)} images: expected [texts, images]"
        )
    if not np.isfinite(values).all():
        raise DataError("scores that are not finite cannot be ranked")
    for ids, kind in ((text_ids, "text"), (image_ids, "image")):
        _name(
            [key for key, count in Counter(ids).items() if count > 1], f"the same {kind} id twice"
        )
    return values


def _checked(
    predictions: Predictions[Value],
    expected: Iterable[str],
    check: Callable[[str, Value], Any],
) -> list[tuple[str, Any]]:
    """The predictions, each id expected among them exactly once, in the order expected."""
    wanted = list(expected)
    _name([key for key, count in Counter(wanted).items() if count > 1], "expected twice")
    known, counts = set(wanted), Counter(key for key, _ in predictions)
    _name([key for key, count in counts.items() if count > 1], "predicted more than once")
    _name([key for key in counts if key not in known], "predicted, but not of this split")
    _name([key for key in wanted if key not in counts], "not predicted")
    values: Mapping[str, Value] = dict(predictions)
    return [(key, check(key, values[key])) for key in wanted]


def _name(ids: Sequence[str], problem: str) -> None:
    if ids:
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        raise DataError(f"{problem}: {', '.join(map(str, ids[:SHOWN]))}{more}")


def _number(key: str, *, of: str | None = None) -> int:
    if not key.isascii() or not key.isdecimal():
        raise DataError(f"{of or key}: this format has whole numbers as ids, not {key[:60]!r}")
    return int(key)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or SURROGATE.search(value):
        raise DataError(f"{key}: a prediction must be text, not {str(value)[:60]!r}")
    return value


def _one_of(key: str, value: object, known: Iterable[str]) -> str:
    if value not in tuple(known):
        raise DataError(f"{key}: must be one of {', '.join(known)}, not {str(value)[:60]!r}")
    return str(value)


def _box(key: str, value: Sequence[float]) -> tuple[float, float, float, float]:
    sides = np.asarray(value, dtype=np.float64)
    if sides.shape != (4,) or not np.isfinite(sides).all() or (sides[:2] > sides[2:]).any():
        raise DataError(f"{key}: a box is x0, y0, x1, y1 with x0 <= x1 and y0 <= y1, not {value}")
    x0, y0, x1, y1 = sides.tolist()
    return x0, y0, x1, y1


def _write_json(path: Path, content: object) -> None:
    with whole_file(path) as file:
        json.dump(content, file, ensure_ascii=False)
        file.write("\n")
