"""Referring expressions: folders as REFER publishes them, and TransVG's index files.

Both are pickles, read as plain data in a process of their own. Who drew the splits decides what
they mean (RefCOCOg by google has one picture in train and val), so their name is part of every
split's: `val-umd`, `testA-unc`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    each,
    from_corner,
    get,
    identity,
    picture_id,
    rows,
    split_name,
)
from mplug.data.convert.reading import load_object, placed
from mplug.data.fields import Refused, number, text
from mplug.data.fields import path as file_name
from mplug.data.safe_pickle import read_plain
from mplug.errors import DataError

INDEX_FIELDS = 5  # picture, mask, box, phrase, attributes
NO_SUFFIX = ""


@dataclass(frozen=True)
class Expressions:
    """A set of referring expressions, as its publishers name its parts."""

    name: str
    splits: Mapping[str, tuple[str, ...]]  # who drew them -> their names
    index: Mapping[str, str]  # a folder of TransVG's -> who drew its splits
    published: Mapping[str, Mapping[str, int]]
    source: str = "coco"  # of the pictures
    index_corners: bool = False  # boxes of the index are two corners, not a corner and a size


_REFCOCO = Expressions(
    "refcoco",
    splits={"unc": ("train", "val", "testA", "testB"), "google": ("train", "val", "test")},
    index={"unc": "unc"},
    published={
        "train-unc": {"phrases": 120_624, "images": 16_994},
        "val-unc": {"phrases": 10_834, "images": 1_500},
        "testA-unc": {"phrases": 5_657, "images": 750},
        "testB-unc": {"phrases": 5_095, "images": 750},
        "train-google": {"images": 19_213},
        "val-google": {"images": 4_559},
        "test-google": {"images": 4_527},
    },
)
_REFCOCO_PLUS = Expressions(
    "refcoco+",
    splits={"unc": ("train", "val", "testA", "testB")},
    index={"unc+": "unc"},
    published={
        "train-unc": {"phrases": 120_191, "images": 16_992},
        "val-unc": {"phrases": 10_758, "images": 1_500},
        "testA-unc": {"phrases": 5_726, "images": 750},
        "testB-unc": {"phrases": 4_889, "images": 750},
    },
)
_REFCOCOG = Expressions(
    "refcocog",
    splits={"umd": ("train", "val", "test"), "google": ("train", "val")},
    index={"gref": "google", "gref_umd": "umd"},
    published={
        "train-umd": {"phrases": 80_512, "images": 21_899},
        "val-umd": {"phrases": 4_896, "images": 1_300},
        "test-umd": {"phrases": 9_602, "images": 2_600},
        "train-google": {"phrases": 85_474, "images": 24_698},
        "val-google": {"phrases": 9_536, "images": 4_650},
    },
)
_REFERIT = Expressions(
    "referit",
    splits={
        "unc": ("train", "val", "testA", "testB", "testC"),
        "berkeley": ("train", "val", "test"),
    },
    index={"referit": NO_SUFFIX},
    published={
        "train": {"phrases": 54_127},
        "val": {"phrases": 5_842},
        "test": {"phrases": 60_103},
    },
    source="saiapr",
    index_corners=True,
)


def converter_of(expressions: Expressions) -> Converter:
    """The entry of a set in the table of converters."""
    makers = ", ".join(expressions.splits)
    refs = tuple(
        Input(by, f"refs({by}).p of its REFER folder, or that folder") for by in expressions.splits
    )
    index = " or ".join(expressions.index)
    others = (
        Input("instances", "instances.json, where it is not beside refs(...).p"),
        Input("index", f"TransVG's folder {index} of .pth files, instead of REFER's"),
    )
    coco = expressions.source == "coco"
    return Converter(
        help=f"{expressions.name}: phrases with a box each; splits by {makers}",
        inputs=(*refs, *others),
        pictures="COCO's train2014" if coco else "saiapr_tc-12",
        convert=lambda request: convert_expressions(expressions, request),
        licence="COCO's terms" if coco else "research only",
    )


def convert_expressions(expressions: Expressions, request: Request) -> Conversion:
    """A record a phrase, with its one box.

    Raises:
        DataError: not exactly one source of splits was given, or a file is not what its name says.
    """
    given = [name for name in (*expressions.splits, "index") if name in request.paths]
    if len(given) != 1:
        raise DataError(
            f"{expressions.name} takes exactly one of {', '.join(expressions.splits)} and index: "
            "their splits do not agree, and are never mixed"
        )
    path = request.paths[given[0]]
    if given[0] == "index":
        read = _read_index(expressions, path)
    else:
        read = _read_refer(expressions, given[0], path, request.path("instances"))
    return Conversion(read, published=expressions.published)


def _read_refer(expressions: Expressions, by: str, path: Path, instances: Path | None) -> Rows:
    refs = path / f"refs({by}).p" if path.is_dir() else path
    if refs.name.startswith("refs(") and refs.name != f"refs({by}).p":
        raise DataError(f"{refs}: its name says other splits than {by}=")
    instances = instances or refs.with_name("instances.json")
    content = load_object(instances, "images", "annotations")
    images, boxes = _by_id(content["images"]), _by_id(content["annotations"])

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        split = get(row, "split", lambda value: split_name(value, expressions.splits[by]))
        image_id, reference = get(row, "image_id", identity), get(row, "ref_id", identity)
        image = _known(images, image_id, "image_id", instances)
        object_ = _known(boxes, get(row, "ann_id", identity), "ann_id", instances)
        if get(object_, "image_id", identity) != image_id:
            raise Broken("ann_id", f"its box in {instances} is of another picture")
        name = get(image, "file_name", file_name)  # refs have a suffix in theirs
        record = {
            "image": name,
            "image_id": picture_id(expressions.source, image_id),
            "boxes": [get(object_, "bbox", _box_of_size)],
        }
        size = (get(image, "width", number), get(image, "height", number))
        for sentence in get(row, "sentences", rows):
            if not isinstance(sentence, dict):
                raise Broken("sentences", "must be a list of objects")
            yield Row(
                f"{split}-{by}",
                f"{reference}:{get(sentence, 'sent_id', identity)}",
                {**record, "phrase": get(sentence, "sent", text).strip()},
                str(refs),
                place,
                size=size,
                elsewhere=_elsewhere(name),
            )

    content = read_plain(refs)
    if not isinstance(content, list):
        raise DataError(f"{refs}: expected a list of references")
    return each(refs, placed("refs", content), convert)


def _elsewhere(name: str) -> tuple[str, ...]:
    return (f"train2014/{name}", f"images/{name}")


def _by_id(values: list[Any]) -> dict[str, Mapping[str, Any]]:
    return {str(value.get("id")): value for value in values if isinstance(value, dict)}


def _known(
    values: Mapping[str, Mapping[str, Any]], key: str, field: str, file: Path
) -> Mapping[str, Any]:
    if key not in values:
        raise Broken(field, f"{key} is not in {file}")
    return values[key]


def _numbers(value: object) -> list[float]:
    if not isinstance(value, list) or len(value) != 4:
        raise Refused("must be four numbers")
    return [number(side) for side in value]


def _box_of_size(value: object) -> list[float]:
    """[left, top, width, height] as two corners."""
    return from_corner(*_numbers(value))


def _read_index(expressions: Expressions, folder: Path) -> Rows:
    """`<folder>/<folder>_<split>.pth`: lists of (picture, mask, box, phrase, attributes)."""
    if folder.name not in expressions.index or not folder.is_dir():
        raise DataError(
            f"index={folder}: {expressions.name} takes the folder "
            f"{' or '.join(expressions.index)}, whose name says how its splits were drawn"
        )
    by = expressions.index[folder.name]
    splits = expressions.splits.get(by, ("train", "val", "test"))
    files = {split: folder / f"{folder.name}_{split}.pth" for split in splits}
    found = {split: path for split, path in files.items() if path.is_file()}
    if not found:
        raise DataError(f"index={folder}: has none of {', '.join(p.name for p in files.values())}")
    for split, path in found.items():
        content = read_plain(path)
        if not isinstance(content, list):
            raise DataError(f"{path}: expected a list of tuples")
        convert = _index_row(expressions, f"{split}-{by}" if by else split, path)
        named = ((place, _index_fields(row)) for place, row in placed("", content))
        yield from each(path, named, convert)


def _index_fields(row: object) -> object:
    if not isinstance(row, list) or len(row) != INDEX_FIELDS:
        return row if not isinstance(row, dict) else list(row)
    return {"img_file": row[0], "bbox": row[2], "phrase": row[3]}


def _index_row(
    expressions: Expressions, split: str, path: Path
) -> Callable[[str, Mapping[str, Any]], Rows]:
    parse = _numbers if expressions.index_corners else _box_of_size

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        image = get(row, "img_file", file_name)
        stem = image.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if expressions.source == "coco":
            stem = stem.rsplit("_", 1)[-1].lstrip("0")
            if not stem.isdecimal():
                raise Broken("img_file", f"is no picture of COCO: {image[:60]!r}")
        record = {
            "image": image,
            "image_id": picture_id(expressions.source, stem),
            "boxes": [get(row, "bbox", parse)],
            "phrase": get(row, "phrase", text).strip(),
        }
        yield Row(split, None, record, str(path), place, elsewhere=_elsewhere(image))

    return convert


REFCOCO = converter_of(_REFCOCO)
REFCOCO_PLUS = converter_of(_REFCOCO_PLUS)
REFCOCOG = converter_of(_REFCOCOG)
REFERIT = converter_of(_REFERIT)
