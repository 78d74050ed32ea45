"""Statements about pictures: NLVR2, of two at a time, and SNLI-VE, of one."""

import re
from collections.abc import Iterator, Mapping
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
    get,
    picture_id,
    split_name,
)
from mplug.data.convert.reading import json_lines
from mplug.data.fields import Refused, text

NLVR2_SPLITS = {
    "train": {"rows": 86_373},
    "dev": {"rows": 6_982},
    "test1": {"rows": 6_967},
    "test2": {"rows": 6_970},
}
SNLI_VE_SPLITS = {
    "train": {"rows": 529_527, "images": 29_783},
    "dev": {"rows": 17_858, "images": 1_000},
    "test": {"rows": 17_901, "images": 1_000},
}
NLVR2_NAME = re.compile(r"(?P<set>[a-z0-9]+-\d+)-\d+-\d+")  # split, set, pair, sentence
TRUTH = {"True": "true", "False": "false"}  # texts in the files: as a bool, "False" is true
ENTAILMENT = ("entailment", "neutral", "contradiction")
FLICKR_KEYS = ("Flikr30kID", "Flickr30kID", "Flickr30K_ID")  # the first as it is published
FLICKR_FOLDERS = ("flickr30k_images", "flickr30k-images")


def convert_nlvr2(request: Request) -> Conversion:
    """A record a statement, of its left and its right picture.

    `image_id` names the set of pictures that up to eight statements are about, so that a split by
    picture is one by set.
    """

    def read() -> Iterator[Any]:
        for split, path in request.paths.items():
            yield from _lines(path, _nlvr2_row(split, path))

    return Conversion(read(), published=NLVR2_SPLITS)


def _nlvr2_row(split: str, path: Path) -> Any:
    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        identifier = get(row, "identifier", text)
        named = NLVR2_NAME.fullmatch(identifier)
        if named is None:
            raise Broken("identifier", f"is not split-set-pair-sentence: {identifier[:60]!r}")
        stem = identifier.rsplit("-", 1)[0]
        names = [f"{stem}-img0.png", f"{stem}-img1.png"]  # left, right
        folder = f"{split}/{row['directory']}" if row.get("directory") is not None else split
        others = [f"images/{folder}/", "images/" + split + "/", f"{split}/", ""]
        record = {
            "image": [f"{folder}/{name}" for name in names],
            "image_id": picture_id("nlvr2", named["set"]),
            "statement": get(row, "sentence", text).strip(),
            "label": TRUTH[get(row, "label", lambda value: split_name(value, TRUTH))],
        }
        elsewhere = tuple(f"{other}{name}" for other in others for name in names)
        yield Row(split, identifier, record, str(path), place, elsewhere=elsewhere)

    return convert


def convert_snli_ve(request: Request) -> Conversion:
    """A record a hypothesis, of the picture that is its premise.

    The premise's own text is left out: it is the caption from which the hypothesis was written.
    """

    def read() -> Iterator[Any]:
        for split, path in request.paths.items():
            yield from _lines(path, _snli_ve_row(split, path))

    return Conversion(read(), published=SNLI_VE_SPLITS)


def _snli_ve_row(split: str, path: Path) -> Any:
    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        key = next((key for key in FLICKR_KEYS if key in row), FLICKR_KEYS[0])
        image = get(row, key, _flickr_id)
        name = f"{image}.jpg"
        record = {
            "image": name,
            "image_id": picture_id("flickr30k", image),
            "statement": get(row, "sentence2", text).strip(),
            "label": get(row, "gold_label", lambda value: split_name(value, ENTAILMENT)),
        }
        elsewhere = tuple(f"{folder}/{name}" for folder in FLICKR_FOLDERS)
        yield Row(split, get(row, "pairID", text), record, str(path), place, elsewhere=elsewhere)

    return convert


def _flickr_id(value: object) -> str:
    name = str(value).removesuffix(".jpg")
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+", name):
        raise Refused(f"must be the number of a picture on Flickr, not {str(value)[:50]!r}")
    return name


def _lines(path: Path, convert: Any) -> Rows:
    for line in json_lines(path):
        if isinstance(line, Trouble):
            yield line
        else:
            yield from each(path, [line], convert)


NLVR2 = Converter(
    help="NLVR2: statements that are true or false of two pictures",
    inputs=tuple(Input(split, f"{split}.json, a JSON object a line") for split in NLVR2_SPLITS),
    pictures="the folders train, dev, test1 and test2 of pictures",
    convert=convert_nlvr2,
    licence="CC BY 4.0; the pictures are restricted",
)
SNLI_VE = Converter(
    help="SNLI-VE: statements that a picture entails, contradicts or leaves open",
    inputs=tuple(
        Input(split, f"snli_ve_{split}.jsonl, a JSON object a line") for split in SNLI_VE_SPLITS
    ),
    pictures="Flickr30k's <number>.jpg",
    convert=convert_snli_ve,
    licence="research only, as Flickr30k",
)
