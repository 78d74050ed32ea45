"""Flickr30k: Karpathy's split, or the original captions without a split."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mplug.data.convert.coco import sentences
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
from mplug.data.convert.reading import load_object, placed, text_lines
from mplug.data.fields import path as file_name
from mplug.errors import DataError

SPLITS = ("train", "val", "test")
PUBLISHED = {
    "train": {"images": 29_000, "captions": 145_000},
    "val": {"images": 1_014, "captions": 5_070},
    "test": {"images": 1_000, "captions": 5_000},
    "all": {"images": 31_783, "captions": 158_915},
}


def convert_flickr30k(request: Request) -> Conversion:
    """A record a picture, with all its captions.

    Raises:
        DataError: both files are given, which would mean two data sets.
    """
    split, tokens = request.path("split"), request.path("tokens")
    if split is not None and tokens is not None:
        raise DataError(
            "flickr30k takes split= (Karpathy's, with captions) or tokens= (all, without a split), "
            "not both"
        )
    rows = _karpathy(split) if split is not None else _tokens(request.paths["tokens"])
    return Conversion(rows, published=PUBLISHED)


def _row(split: str, name: str, captions: list[str], path: Path, place: str) -> Row:
    image = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    record = {"image": name, "image_id": picture_id("flickr30k", image), "caption": captions}
    folders = ("flickr30k_images", "flickr30k-images")  # as the archives unpack
    elsewhere = tuple(f"{folder}/{name}" for folder in folders)
    return Row(split, image, record, str(path), place, elsewhere=elsewhere)


def _karpathy(path: Path) -> Rows:
    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        name = get(row, "filename", file_name)
        split = get(row, "split", lambda value: split_name(value, SPLITS))
        captions, troubles = sentences(path, place, row)
        yield from troubles
        yield _row(split, name, captions, path, place)

    images = load_object(path, "images")["images"]
    return each(path, placed("images", images), convert)


def _tokens(path: Path) -> Rows:
    captions: dict[str, list[str]] = defaultdict(list)
    places: dict[str, str] = {}
    seen: set[str] = set()
    for place, line in text_lines(path):
        if isinstance(line, Trouble):
            yield line
            continue
        if not line.strip():
            continue
        try:
            name, caption = _token_line(line, seen)
        except Broken as broken:
            yield Trouble(str(path), place, broken.field, str(broken))
            continue
        captions[name].append(caption)
        places.setdefault(name, place)
    for name, written in captions.items():
        yield _row("all", name, written, path, places[name])


def _token_line(line: str, seen: set[str]) -> tuple[str, str]:
    """Picture and caption of a line such as `1000092795.jpg#0<TAB>Two young guys ...`."""
    key, tab, caption = line.partition("\t")
    name, mark, number = key.rpartition("#")
    if not tab:
        raise Broken(None, "has no tab between the picture and its caption")
    if not (mark and name and number.isdecimal()):
        raise Broken("image", f"must be FILE#NUMBER, not {key[:60]!r}")
    if key in seen:
        raise Broken("image", f"{key} occurs twice")
    if not caption.strip():
        raise Broken("caption", "is empty")
    seen.add(key)
    return name, caption.strip()


FLICKR30K = Converter(
    help="Flickr30k captions: in Karpathy's split (train, val, test), or all without a split",
    inputs=(
        Input("split", "dataset_flickr30k.json"),
        Input("tokens", "results_20130124.token, instead of split="),
    ),
    pictures="<id>.jpg, in it or in its folder flickr30k_images",
    convert=convert_flickr30k,
    licence="research use only",
)
