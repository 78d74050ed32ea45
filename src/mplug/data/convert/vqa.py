"""VQA v2: questions and people's answers, which are in separate files."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mplug.data.convert.common import (
    Broken,
    Conversion,
    Converter,
    Input,
    Request,
    Row,
    Rows,
    Trouble,
    each,
    get,
    identity,
    picture_id,
    rows,
)
from mplug.data.convert.reading import load_object, placed
from mplug.data.fields import text
from mplug.errors import DataError


class Part(NamedTuple):
    """A split: what its files call it, and where its pictures are."""

    subtype: str
    pictures: str
    answered: bool


PARTS = {
    "train": Part("train2014", "train2014", True),
    "val": Part("val2014", "val2014", True),
    "test": Part("test2015", "test2015", False),
    "testdev": Part("test-dev2015", "test2015", False),
}
PUBLISHED = {
    "train": {"questions": 443_757},
    "val": {"questions": 214_354},
    "test": {"questions": 447_793},
    "testdev": {"questions": 107_394},
}


def convert_vqa(request: Request) -> Conversion:
    """A record a question, with distinct answers weighted by the share of people who gave them.

    Raises:
        DataError: questions of a split come without the answers it has, or the other way round.
    """
    for split, part in PARTS.items():
        given = [f"{split}_{kind}" in request.paths for kind in ("questions", "answers")]
        if part.answered and any(given) and not all(given):
            raise DataError(f"vqav2: {split}_questions and {split}_answers go together: give both")

    def read() -> Rows:
        for split in PARTS:
            if f"{split}_questions" in request.paths:
                yield from _read(split, request)

    return Conversion(read(), published=PUBLISHED)


def _read(split: str, request: Request) -> Rows:
    part, path = PARTS[split], request.paths[f"{split}_questions"]
    questions = _load(path, "questions", part.subtype)
    annotations: dict[str, tuple[str, Mapping[str, Any]]] = {}
    answers_path = request.path(f"{split}_answers")
    if answers_path is not None:
        asked = {str(row.get("question_id")) for row in questions if isinstance(row, dict)}

        def take(place: str, row: Mapping[str, Any]) -> Rows:
            question = get(row, "question_id", identity)
            if question not in asked:
                raise Broken("question_id", f"no question {question} in {path}")
            if question in annotations:
                raise Broken("question_id", f"{question} occurs twice")
            annotations[question] = place, row
            return ()

        listed = placed("annotations", _load(answers_path, "annotations", part.subtype))
        yield from each(answers_path, listed, take)

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        question, image = get(row, "question_id", identity), get(row, "image_id", _number)
        name = f"COCO_{part.pictures}_{image:012d}.jpg"
        record: dict[str, Any] = {
            "image": f"{part.pictures}/{name}",
            "image_id": picture_id("coco", image),
            "question": get(row, "question", text).strip(),
        }
        if answers_path is not None:
            if question not in annotations:
                raise Broken("question_id", f"nothing for {question} in {answers_path}")
            where, annotation = annotations[question]
            try:
                record |= _answered(annotation, image)
            except Broken as broken:
                yield Trouble(str(answers_path), where, broken.field, str(broken))
                return
        yield Row(split, question, record, str(path), place, elsewhere=(name,))

    yield from each(path, placed("questions", questions), convert)


def _load(path: Path, name: str, subtype: str) -> list[Any]:
    content = load_object(path, name)
    found = content.get("data_subtype")
    if found != subtype:
        raise DataError(f"{path}: its data_subtype is {found!r}, and this input's is {subtype!r}")
    return content[name]


def _number(value: object) -> int:
    number = identity(value)
    if not number.isdecimal():
        raise Broken(None, f"must be a whole number, not {number[:50]!r}")
    return int(number)


def _answered(annotation: Mapping[str, Any], image: int) -> dict[str, Any]:
    """The fields that a question's annotation gives: weighted answers, and their kind."""
    if get(annotation, "image_id", _number) != image:
        raise Broken("image_id", f"is not that of the question, {image}")
    people = get(annotation, "answers", rows)
    given = Counter[str]()
    for number, answer in enumerate(people):
        if not isinstance(answer, dict):
            raise Broken(f"answers[{number}]", "must be an object")
        try:
            given[get(answer, "answer", text).strip()] += 1
        except Broken as broken:
            raise Broken(f"answers[{number}].answer", str(broken)) from None
    if not given:
        raise Broken("answers", "is empty")
    answers = [
        {"text": answer, "weight": count / given.total()} for answer, count in given.most_common()
    ]
    return {"answers": answers, "label": get(annotation, "answer_type", text)}


VQAV2 = Converter(
    help="VQA v2: train and val with ten people's answers, test and testdev without",
    inputs=(
        Input("train_questions", "v2_OpenEnded_mscoco_train2014_questions.json"),
        Input("train_answers", "v2_mscoco_train2014_annotations.json"),
        Input("val_questions", "v2_OpenEnded_mscoco_val2014_questions.json"),
        Input("val_answers", "v2_mscoco_val2014_annotations.json"),
        Input("test_questions", "v2_OpenEnded_mscoco_test2015_questions.json"),
        Input("testdev_questions", "v2_OpenEnded_mscoco_test-dev2015_questions.json"),
    ),
    pictures="COCO's folders train2014, val2014 and test2015",
    convert=convert_vqa,
)
