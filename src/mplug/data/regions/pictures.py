"""Where to look in raw pictures, without a detector: given boxes, named objects, or a grid."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mplug.data.fields import Box, NamedBox, Refused
from mplug.data.fields import boxes as read_boxes_field
from mplug.data.records import IMAGE_SUFFIXES, Record
from mplug.data.regions.stored import Floats
from mplug.errors import DataError

SURE = 0.9  # what a soft label gives the class that a person named
GRID_SURE = 0.5  # of a cell of a grid, in which something is or is not


@dataclass(frozen=True)
class Looked:
    """Where to look in a picture [regions, 4], in pixels or, of a grid, in shares of its sides."""

    boxes: Floats
    in_pixels: bool
    names: tuple[str, ...] = ()  # what stands in each, where a person has said so

    def shares(self, *, width: int, height: int) -> Floats:
        """The boxes in shares of the sides of a picture of this size, cut off at its edges."""
        if not self.in_pixels:
            return self.boxes
        sides = np.array([width, height, width, height], dtype=np.float32)
        return (self.boxes / sides).clip(0, 1).astype(np.float32)


def grid(rows: int, columns: int) -> Looked:
    """Equal cells in reading order, and the whole picture behind them."""
    cells = [
        (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        for row in range(rows)
        for column in range(columns)
    ]
    boxes = np.array([*cells, (0.0, 0.0, 1.0, 1.0)], dtype=np.float32)
    return Looked(boxes, in_pixels=False)


def of_objects(objects: Iterable[NamedBox]) -> Looked:
    """The objects that a record names, with their boxes."""
    named = list(objects)
    boxes = np.array([each.box for each in named], dtype=np.float32).reshape(-1, 4)
    return Looked(boxes, in_pixels=True, names=tuple(each.name for each in named))


def of_boxes(boxes: Iterable[Box]) -> Looked:
    """Boxes in pixels."""
    return Looked(np.array(list(boxes), dtype=np.float32).reshape(-1, 4), in_pixels=True)


def read_boxes(path: Path) -> dict[str, Looked]:
    """Boxes by picture, from lines such as {"image": "a.jpg", "boxes": [[x0, y0, x1, y1]]}.

    Pictures are known by their file names alone, without folders.

    Raises:
        DataError: the file cannot be read, or a line is not of this form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    found: dict[str, Looked] = {}
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found[Path(row["image"]).name] = of_boxes(read_boxes_field(row["boxes"]))
        except (ValueError, KeyError, TypeError, Refused) as error:
            raise DataError(
                f'{path}, line {place}: not {{"image": ..., "boxes": [[x0, y0, x1, y1], ...]}}, '
                f"boxes in pixels: {error!r}"
            ) from error
    return found


def pictures_in(source: Path) -> list[Path]:
    """A picture, or all pictures of a folder and its folders, in order.

    Raises:
        DataError: there is none.
    """
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DataError(f"{source}: no picture and no folder with pictures")
    return found


def looked_at(records: Iterable[Record], otherwise: Looked) -> dict[Path, Looked]:
    """The pictures of records, each with the objects that they name, or else as `otherwise`."""
    named: dict[Path, dict[NamedBox, None]] = {}
    for record in records:
        for picture in record.images:
            known = named.setdefault(Path(picture), {})
            if len(record.images) == 1:
                known.update(dict.fromkeys(record.objects))
    return {
        picture: of_objects(objects) if objects else otherwise for picture, objects in named.items()
    }


def classes_of(looked: Mapping[Path, Looked]) -> tuple[str, ...]:
    """Every name that is given, in the order of the alphabet."""
    return tuple(sorted({name for each in looked.values() for name in each.names}))


def soft_labels(names: Iterable[str], classes: tuple[str, ...]) -> Floats:
    """How sure one is of background and of every class, region by region [regions, 1 + classes]."""
    right = [1 + classes.index(name) for name in names]
    spread = (1 - SURE) / len(classes)
    labels = np.full((len(right), 1 + len(classes)), spread, dtype=np.float32)
    labels[np.arange(len(right)), right] = SURE
    return labels


def same_names(pictures: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Pairs of pictures whose regions would have one and the same file."""
    seen: dict[str, Path] = {}
    for picture in pictures:
        before = seen.setdefault(picture.stem.lower(), picture)
        if before != picture:
            yield before, picture
