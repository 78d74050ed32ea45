"""Regions of raw pictures, written to a folder: a file for each picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mplug.data.media import ImageError, load_image
from mplug.data.records import read_records
from mplug.data.regions.pictures import (
    GRID_SURE,
    Looked,
    classes_of,
    looked_at,
    pictures_in,
    read_boxes,
    same_names,
    soft_labels,
)
from mplug.data.regions.readers import read_bottom_up
from mplug.data.regions.record_examples import ENCODER, SUFFIX
from mplug.data.regions.stored import Floats, Regions, save_regions
from mplug.data.transforms import to_array
from mplug.errors import DataError
from mplug.tasks.uniter_sources import region_encoder

PUBLISHED = ".tsv"  # of bottom-up attention, whose regions are taken as they are
RECORDS = (".jsonl", ".csv")
CLASSES = "classes.txt"
AT_ONCE = 32  # pictures described together


class Made(NamedTuple):
    """What was written, and the pictures that could not be used."""

    written: int
    feature_size: int
    classes: int  # of the soft labels, background included; 0 without
    left_out: tuple[str, ...]


def make_regions(
    source: Path, out: Path, *, encoder: str, cells: Looked, boxes: Path | None
) -> Made:
    """Regions of every picture of `source`: a picture, a folder, records, or a published file.

    Boxes are those of the file `boxes`; or the objects that records name; or else `cells`.

    Raises:
        DataError: nothing can be read, or two pictures would have the same file.
        CheckpointError: there is no such encoder.
    """
    out.mkdir(parents=True, exist_ok=True)
    if source.suffix.lower() == PUBLISHED:
        return _converted(source, out)
    looked = _looked(source, cells, boxes)
    for one, other in same_names(looked):
        raise DataError(f"{one} and {other} would both have {one.stem}{SUFFIX}: rename one of them")
    classes = classes_of(looked)
    if classes:
        (out / CLASSES).write_text("\n".join(classes) + "\n", encoding="utf-8")
    describing = region_encoder(encoder)
    (out / ENCODER).write_text(encoder + "\n", encoding="utf-8")
    left_out: list[str] = []
    written = width = 0
    for some in _batches(looked, describing.image_size, left_out):
        pixels = np.stack([each.pixels for each in some])
        described = describing.describe(pixels, [each.boxes for each in some])
        for each, features in zip(some, described, strict=True):
            save_regions(out / f"{each.picture.stem}{SUFFIX}", _regions(each, features, classes))
            written, width = written + 1, features.shape[1]
    if not written:
        raise DataError(f"{source}: no picture could be used: {left_out[0]}")
    return Made(written, width, len(classes) + 1 if classes else 0, tuple(left_out))


class _Read(NamedTuple):
    """A picture, and where to look in it."""

    picture: Path
    pixels: Floats
    boxes: Floats
    looked: Looked


def _looked(source: Path, cells: Looked, boxes: Path | None) -> dict[Path, Looked]:
    if source.suffix.lower() in RECORDS:
        looked = looked_at(read_records(source).require(), cells)
    else:
        looked = dict.fromkeys(pictures_in(source), cells)
    given = {} if boxes is None else read_boxes(boxes)
    return {picture: given.get(picture.name, each) for picture, each in looked.items()}


def _batches(
    looked: Mapping[Path, Looked], image_size: int, left_out: list[str]
) -> Iterator[list[_Read]]:
    """Pictures as they can be read, some at once; those that cannot are told in `left_out`."""
    some: list[_Read] = []
    for picture, each in looked.items():
        try:
            image = load_image(picture)
            boxes = each.shares(width=image.width, height=image.height)
            if not len(boxes) or (boxes[:, :2] >= boxes[:, 2:]).any():
                raise ImageError(str(picture), "it has no boxes, or one outside of it")
        except ImageError as error:
            left_out.append(str(error))
            continue
        some.append(_Read(picture, to_array(image, size=image_size), boxes, each))
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _regions(read: _Read, features: Floats, classes: tuple[str, ...]) -> Regions:
    sure = 1.0 if read.looked.in_pixels else GRID_SURE
    confidence = np.full(len(features), sure, dtype=np.float32)
    names = read.looked.names
    labels = soft_labels(names, classes) if names and classes else None
    return Regions(features, read.boxes, confidence, labels)


def _converted(source: Path, out: Path) -> Made:
    written = width = 0
    for name, regions in read_bottom_up(source):
        stem = Path(name).stem if Path(name).suffix else name
        if not stem or stem.startswith(".") or "/" in stem or "\\" in stem:
            raise DataError(f"{source}: {name!r} is no name for a file")
        save_regions(out / f"{stem}{SUFFIX}", regions)
        written, width = written + 1, regions.features.shape[1]
    if not written:
        raise DataError(f"{source}: holds no picture")
    return Made(written, width, 0, ())
