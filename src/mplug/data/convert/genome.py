"""Visual Genome (regions and questions) and GQA, which asks about the same pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    from_corner,
    get,
    identity,
    picture_id,
    rows,
)
from mplug.data.convert.reading import members
from mplug.data.fields import Refused, number, text
from mplug.errors import DataError

PUBLISHED_GENOME = {"regions": {"images": 108_077}, "qa": {"images": 108_077}}
# Of the balanced questions; the larger files have no count published.
PUBLISHED_GQA = {
    "train": {"questions": 943_000},
    "val": {"questions": 132_062},
    "testdev": {"questions": 12_578},
    "test": {"questions": 95_336},
}
ANSWERED = ("train", "val", "testdev")
IMAGE_DATA = Input("image_data", "image_data.json: sizes, and which pictures are COCO's")


class _Pictures:
    """What image_data.json tells of each picture."""

    def __init__(self, path: Path | None) -> None:
        self.troubles: list[Trouble] = []
        self._sizes: dict[str, tuple[float, float]] = {}
        self._coco: dict[str, str] = {}
        for place, row in members(path) if path is not None else ():
            try:
                image = picture_of(row)
                self._sizes[image] = (get(row, "width", number), get(row, "height", number))
                if row.get("coco_id") is not None:
                    self._coco[image] = get(row, "coco_id", identity)
            except Broken as broken:
                self.troubles.append(Trouble(str(path), place, broken.field, str(broken)))

    def size(self, image: str) -> tuple[float, float] | None:
        """Width and height as published."""
        return self._sizes.get(image)

    def identify(self, image: str) -> str:
        """COCO's name for a picture that is from there; others are Visual Genome's, or GQA's."""
        if image in self._coco:
            return picture_id("coco", self._coco[image])
        return picture_id("vg" if image.isdecimal() else "gqa", image)


def picture_of(row: Any) -> str:
    """The picture of a group; releases differ in the name of the field."""
    if not isinstance(row, dict):
        raise Broken(None, "must be an object")
    return get(row, "image_id" if "image_id" in row else "id", identity)


def convert_genome(request: Request) -> Conversion:
    """A record a region (`regions`: phrase and box) and a record a question (`qa`).

    Raises:
        DataError: neither file is given.
    """
    if not {"regions", "qa"} & set(request.paths):
        raise DataError("visual-genome needs regions= or qa=")

    def read() -> Rows:
        pictures = _Pictures(request.path("image_data"))
        yield from pictures.troubles
        for split, convert in (("regions", _region), ("qa", _question)):
            if split in request.paths:
                yield from _groups(split, request.paths[split], pictures, convert)

    return Conversion(read(), published=PUBLISHED_GENOME)


def _groups(split: str, path: Path, pictures: _Pictures, convert: Any) -> Rows:
    """The rows of a file that lists them by picture."""
    for place, group in members(path):
        try:
            image = picture_of(group)
            inner = get(group, "regions" if split == "regions" else "qas", rows)
        except Broken as broken:
            yield Trouble(str(path), place, broken.field, str(broken))
            continue
        places = ((f"{place}[{number}]", row) for number, row in enumerate(inner))

        def one(place: str, row: Mapping[str, Any], image: str = image) -> Rows:
            name = f"{image}.jpg"
            shown = {"image": f"VG_100K/{name}", "image_id": pictures.identify(image)}
            identified, fields = convert(row)
            yield Row(
                split,
                identified,
                {**shown, **fields},
                str(path),
                place,
                size=pictures.size(image),
                elsewhere=(f"VG_100K_2/{name}", name),
            )

        yield from each(path, places, one)


def _region(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    x, y, width, height = (get(row, side, number) for side in ("x", "y", "width", "height"))
    fields = {
        "phrase": get(row, "phrase", text).strip(),
        "boxes": [from_corner(x, y, width, height)],
    }
    return get(row, "region_id" if "region_id" in row else "id", identity), fields


def _question(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    # Answers are sentences here, and words in the sets they are mixed with.
    answer = get(row, "answer", text).strip().removesuffix(".").strip()
    if not answer:
        raise Broken("answer", "is empty")
    fields = {"question": get(row, "question", text).strip(), "answers": [{"text": answer}]}
    return get(row, "qa_id", identity), fields


def convert_gqa(request: Request) -> Conversion:
    """A record a question; its label is the structural kind (verify, query, ...).

    Raises:
        DataError: no questions are given, or a folder given has none.
    """
    splits = [split for split in request.paths if split != "image_data"]
    if not splits:
        raise DataError("gqa needs the questions of a split, such as train=")
    files = {split: _parts(request.paths[split]) for split in splits}

    def read() -> Rows:
        pictures = _Pictures(request.path("image_data"))
        yield from pictures.troubles
        for split, paths in files.items():
            for path in paths:
                yield from _gqa_questions(split, path, pictures)

    balanced = {split for split, paths in files.items() if "balanced" in paths[0].name}
    published = {split: PUBLISHED_GQA[split] for split in balanced & PUBLISHED_GQA.keys()}
    return Conversion(read(), published=published)


def _parts(path: Path) -> list[Path]:
    """A file, or the files of a folder: the largest split is published in parts."""
    if path.is_file():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise DataError(f"{path}: has no .json file of questions")
    return found


def _gqa_questions(split: str, path: Path, pictures: _Pictures) -> Rows:
    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        image = get(row, "imageId", _text_identity)  # never a number: zeros lead
        name = f"{image}.jpg"
        record: dict[str, Any] = {
            "image": f"images/{name}",
            "image_id": pictures.identify(image),
            "question": get(row, "question", text).strip(),
        }
        if split in ANSWERED or row.get("answer") is not None:
            record["answers"] = [{"text": get(row, "answer", text).strip()}]
        kinds = row.get("types")
        if isinstance(kinds, dict) and kinds.get("structural"):
            record["label"] = get(kinds, "structural", text)
        yield Row(split, place, record, str(path), f"question {place}", elsewhere=(name,))

    for place, row in members(path):
        if place.startswith("["):
            raise DataError(f"{path}: expected an object of questions by id, found a list")
        if not isinstance(row, dict):
            yield Trouble(str(path), f"question {place}", None, "must be an object")
            continue
        try:
            yield from convert(place, row)
        except Broken as broken:
            yield Trouble(str(path), f"question {place}", broken.field, str(broken))


def _text_identity(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"must be text, not {str(value)[:50]}")
    return identity(value)


VISUAL_GENOME = Converter(
    help="Visual Genome: regions (phrases with boxes) and qa (questions), which have no split",
    inputs=(
        Input("regions", "region_descriptions.json"),
        Input("qa", "question_answers.json"),
        IMAGE_DATA,
    ),
    pictures="the folders VG_100K and VG_100K_2",
    convert=convert_genome,
    licence="CC BY 4.0",
)
GQA = Converter(
    help="GQA: questions of each split; test and challenge have no answers",
    inputs=(
        *(
            Input(split, f"{split}_balanced_questions.json or {split}_all_questions.json")
            for split in ("train", "val", "testdev", "test", "challenge")
        ),
        IMAGE_DATA,
    ),
    pictures="<image id>.jpg, in it or in its folder images",
    convert=convert_gqa,
    licence="CC BY 4.0",
)
