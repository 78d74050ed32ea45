"""What every converter shares: rows and what is wrong with them, inputs, and careful field access.

A converter reads the files a data set publishes and gives `Row`s and `Trouble`s; `write.py` does
the rest, the same for all: looks the pictures up, clips boxes, checks, counts, writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from mplug.data.fields import Refused
from mplug.errors import DataError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Row:
    """One record to be, and where it was read.

    Paths of pictures and clips in `record` are relative to the images folder, with forward
    slashes; boxes are [x0, y0, x1, y1] in the picture's pixels, not yet clipped.
    """

    split: str
    id: str | None  # the published id that submissions use; None where rows have none
    record: dict[str, Any]  # the fields of data/fields.py but `id`; absent where unknown
    file: str
    place: str  # such as "annotations[12]" or "line 3"
    size: tuple[float, float] | None = None  # width, height as published, to check with boxes
    # Other names under which `record["image"]` may be found; of several pictures, in rounds.
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trouble:
    """A row that cannot be used."""

    file: str
    place: str
    field: str | None
    reason: str

    def __str__(self) -> str:
        """File, row, field and reason."""
        field = f", {self.field}" if self.field else ""
        return f"{self.file}, {self.place}{field}: {self.reason}"


@dataclass(frozen=True)
class LeftOut:
    """A row that is whole, and of no use, such as a report without pictures; counted by reason."""

    reason: str


Rows = Iterable[Row | Trouble | LeftOut]


@dataclass(frozen=True)
class Conversion:
    """A data set being read.

    `published` says what each split should hold: counts named as in `write.COUNTED`; a key such as
    "train+validation" stands for the sum over those. `joined` names record files to write besides,
    each made of the splits it lists.
    """

    rows: Rows
    published: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Writes the pictures that the files themselves hold into a folder; paths are relative to it.
    unpack: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Input:
    """A file (or folder) that a converter reads, given as `name=PATH`."""

    name: str
    help: str
    required: bool = False


@dataclass(frozen=True)
class Request:
    """What to convert: the paths given, by the input's name, and the seed of any split we draw."""

    paths: Mapping[str, Path]
    seed: int = 0

    def path(self, name: str) -> Path | None:
        """The path of an input; None where it was not given."""
        return self.paths.get(name)


@dataclass(frozen=True)
class Converter:
    """A data set's entry in the table: `convert` is called once inputs have been checked."""

    help: str
    inputs: tuple[Input, ...]
    pictures: str | None  # what --images must hold; None where the files bring the pictures
    convert: Callable[[Request], Conversion]
    licence: str = "see the data set's own page; pictures keep their owners' rights"

    def require(self, name: str, paths: Mapping[str, Path]) -> None:
        """Refuse inputs that do not exist, are unknown, or are too few.

        Raises:
            DataError: names the input and lists what `name` takes.
        """
        takes = "; ".join(f"{each.name}= {each.help}" for each in self.inputs)
        known = {each.name for each in self.inputs}
        for given, path in paths.items():
            if given not in known:
                raise DataError(f"{name} takes no input {given!r}; it takes {takes}")
            if not path.exists():
                raise DataError(f"{given}={path}: no such file or folder")
        lacking = [each.name for each in self.inputs if each.required and each.name not in paths]
        if lacking or not paths:
            needs = ", ".join(lacking) or "at least one input"
            raise DataError(f"{name} needs {needs}; it takes {takes}")


class Broken(Refused):
    """A value of a row that cannot be used; becomes a `Trouble` that names row and field."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def picture_id(source: str, number: int | str) -> str:
    """An `image_id` that is the same wherever the picture occurs, such as "coco:391895".

    Sources are named once, here and for all: coco, flickr30k, vg, gqa, openimages, iu-xray, nlvr2,
    easy-vqa, saiapr, msrvtt, msvd, vatex. Pictures of Visual Genome that are COCO's take the COCO
    name where the files tell it, so that overlaps are found by id.
    """
    return f"{source}:{number}"


def get(row: Mapping[str, Any], field: str, parse: Callable[[object], Value]) -> Value:
    """A field of a row; `parse` is one of data/fields.py's, or `identity`, `rows`.

    Raises:
        Broken: the field is absent, null, or `parse` refuses it.
    """
    if row.get(field) is None:
        raise Broken(field, "is missing")
    try:
        return parse(row[field])
    except Refused as refused:
        raise Broken(field, str(refused)) from None


def identity(value: object) -> str:
    """A published id, a whole number or text, as text: leading zeros stay."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise Refused(f"must be an id, not {str(value)[:50]!r}")
    return str(value)


def rows(value: object) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise Refused("must be a list")
    return value


def split_name(value: object, known: Iterable[str]) -> str:
    """One of the splits a data set has.

    Raises:
        Refused: it is another; a misspelt split must not become a file of its own.
    """
    names = tuple(known)
    if value not in names:
        raise Refused(f"must be one of {', '.join(names)}, not {str(value)[:50]!r}")
    return str(value)


def each(
    file: Path,
    placed: Iterable[tuple[str, Any]],
    convert: Callable[[str, Mapping[str, Any]], Rows],
) -> Iterator[Row | Trouble | LeftOut]:
    """Convert each (place, object) of a file; one that raises `Broken` becomes a `Trouble`."""
    for place, row in placed:
        if not isinstance(row, dict):
            yield Trouble(str(file), place, None, "must be an object")
            continue
        try:
            yield from convert(place, row)
        except Broken as broken:
            yield Trouble(str(file), place, broken.field, str(broken))


def in_drawn_order(identities: Iterable[str], *, seed: int) -> list[str]:
    """The same order for the same seed, whatever order they come in: the first n are a sample."""
    return sorted(set(identities), key=lambda each: sha256(f"{seed}:{each}".encode()).digest())


def from_corner(x: float, y: float, width: float, height: float) -> list[float]:
    """[left, top, width, height] as [x0, y0, x1, y1]."""
    return [x, y, x + width, y + height]
