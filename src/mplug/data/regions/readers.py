"""Regions that others have published: the tab-separated files of bottom-up attention."""

import base64
import binascii
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.data.regions.stored import Regions, checked_regions
from mplug.errors import DataError

LONGEST_LINE = 64 << 20  # characters: a hundred regions take 1.1 million
WIDEST = 16_384  # numbers of one region
# Columns by their number: the original files, and those that LXMERT's authors published.
LAYOUTS = {
    6: ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features"),
    10: (
        "image_id",
        "image_h",
        "image_w",
        "objects_id",
        "objects_conf",
        "attrs_id",
        "attrs_conf",
        "num_boxes",
        "boxes",
        "features",
    ),
}


class Named(NamedTuple):
    """A picture's name and its regions."""

    name: str
    regions: Regions


def read_bottom_up(path: Path) -> Iterator[Named]:
    """The pictures of a bottom-up-attention file, one after another, never all in memory.

    Each line is a picture: its name, its size in pixels, and base64 of float32 boxes (pixels) and
    features. Files with the detector's confidence give it; the others are sure of every box.

    Raises:
        DataError: the file cannot be read, or a line is not of one of the two layouts.
    """
    csv.field_size_limit(LONGEST_LINE)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for place, row in enumerate(csv.reader(file, delimiter="\t"), start=1):
                yield _picture(row, where=f"{path}, line {place}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _picture(row: list[str], *, where: str) -> Named:
    if len(row) not in LAYOUTS:
        raise DataError(
            f"{where}: {len(row)} columns; bottom-up-attention files have "
            f"{' or '.join(map(str, LAYOUTS))}"
        )
    cells = dict(zip(LAYOUTS[len(row)], row, strict=True))
    try:
        width, height = float(cells["image_w"]), float(cells["image_h"])
        count = int(cells["num_boxes"])
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    if not (count > 0 and width > 0 and height > 0):
        raise DataError(f"{where}: {count} boxes in a picture of {width:g} x {height:g} pixels")
    sides = np.array([width, height, width, height], dtype=np.float32)
    confidence = np.ones(count, dtype=np.float32)
    if "objects_conf" in cells:
        confidence = _numbers(cells["objects_conf"], count, where=where)[:, 0]
    arrays = {
        "features": _numbers(cells["features"], count, where=where),
        "boxes": _numbers(cells["boxes"], count, where=where) / sides,
        "confidence": confidence,
    }
    return Named(cells["image_id"], checked_regions(arrays, where=where))


def _numbers(cell: str, count: int, *, where: str) -> npt.NDArray[np.float32]:
    """float32 [count, columns] in base64."""
    try:
        content = base64.b64decode(cell, validate=True)
    except binascii.Error as error:
        raise DataError(f"{where}: not base64: {error}") from error
    values, rest = divmod(len(content), 4 * count)
    if rest or not 0 < values <= WIDEST:
        raise DataError(f"{where}: {len(content)} bytes do not make {count} regions of float32")
    return np.frombuffer(content, dtype="<f4").reshape(count, values)
