"""Writes a conversion: one record file a split, what is missing, what is broken, and a report.

The folder appears whole or not at all. In it:

- `<split>.jsonl`: records, as data/records.py reads them; `id` is the published id of the row.
- `missing.jsonl`: every row left out because its picture is not there.
- `troubles.jsonl`: every row left out because it is broken, with file, row, field and reason.
- `report.json`: counts beside the published ones.
"""

import json
import os
import posixpath
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from mplug.data.convert.common import Broken, Conversion, LeftOut, Row, Trouble
from mplug.data.fields import FIELDS, Refused
from mplug.data.media import ImageError, image_size
from mplug.data.scenes.output import new_folder
from mplug.errors import DataError

COUNTED = ("rows", "images", "captions", "questions", "phrases", "statements")
SHOWN = 10  # troubles named on the screen; troubles.jsonl has all
SPLIT = re.compile(r"\w[\w.+-]{0,60}")
RESERVED = ("missing", "troubles")  # files of our own
REMEMBERED = 1 << 16  # files whose presence and size are not looked up again


@dataclass(frozen=True)
class Difference:
    """A count that is not the published one."""

    split: str
    what: str
    found: int
    published: int

    def __str__(self) -> str:
        """For people."""
        more = self.found - self.published
        return f"{self.split}: {self.found:,} {self.what}, published {self.published:,} ({more:+,})"


@dataclass(frozen=True)
class Report:
    """What came of a conversion."""

    name: str
    folder: Path
    found: Mapping[str, Mapping[str, int]]  # split -> COUNTED -> in the files, rows in order only
    written: Mapping[str, int]  # split -> rows that have their pictures
    joined: tuple[str, ...]  # record files that are others put together
    published: Mapping[str, Mapping[str, int]]
    differences: tuple[Difference, ...]
    missing_rows: int
    missing_pictures: int
    dropped_boxes: int  # without area inside their picture
    left_out: Mapping[str, int]  # reason -> rows that are whole, but of no use
    trouble_rows: int
    troubles: tuple[Trouble, ...]  # the first of them

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def write_conversion(
    name: str,
    conversion: Conversion,
    *,
    folder: Path,
    images: Path | None,
    max_bad_share: float = 0.0,
) -> Report:
    """Read a conversion to its end and write `folder`, which must be new or empty.

    Raises:
        DataError: a file cannot be read, the folder cannot be written, more than `max_bad_share`
            of the rows are broken, or no row has its pictures.
    """
    if images is None and conversion.unpack is None:
        raise DataError(f"{name}: its files hold no pictures: say where those are with --images")
    if images is not None and conversion.unpack is not None:
        raise DataError(f"{name}: its files hold the pictures: leave --images out")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder of pictures")
    with new_folder(folder) as unfinished, ExitStack() as files:
        if images is None and conversion.unpack is not None:
            conversion.unpack(unfinished)
        prefix = "" if images is None else os.path.relpath(images.resolve(), folder.resolve())
        writing = _Writing(unfinished, images or unfinished, Path(prefix).as_posix(), files)
        for row in conversion.rows:
            writing.add(row)
        writing.join(conversion.joined)
        report = writing.report(name, folder, conversion.published)
        _judge(report, images, writing.first_missing, max_bad_share=max_bad_share)
        content = json.dumps(report.to_dict(), indent=1, ensure_ascii=False)
        (unfinished / "report.json").write_text(content + "\n", encoding="utf-8")
    return report


def _judge(report: Report, images: Path | None, missing: str, *, max_bad_share: float) -> None:
    rows = sum(each["rows"] for each in report.found.values())
    share = report.trouble_rows / max(1, rows + report.trouble_rows)
    if not rows and not report.trouble_rows:
        raise DataError(f"{report.name}: its files hold no row that can be used")
    if share > max_bad_share or not rows:
        shown = [f"  {trouble}" for trouble in report.troubles]
        if report.trouble_rows > len(shown):
            shown.append(f"  ... and {report.trouble_rows - len(shown)} more")
        lines = [
            f"{report.trouble_rows} of {rows + report.trouble_rows} rows of {report.name} cannot "
            f"be used ({share:.2%}; {max_bad_share:.2%} may be bad), and nothing was written:",
            *shown,
            "correct them, or raise --max-bad-share to leave them out",
        ]
        raise DataError("\n".join(lines))
    if not sum(report.written.values()):
        raise DataError(
            f"{report.name}: none of the {report.missing_pictures} pictures is in "
            f"{images or 'the files'}, such as {missing}: is --images the folder that the names "
            "are relative to?"
        )


class _Seen:
    """Keys met before; eight bytes of a digest each, as there may be millions."""

    def __init__(self) -> None:
        self._digests: set[int] = set()

    def __len__(self) -> int:
        return len(self._digests)

    def is_new(self, key: str) -> bool:
        """Whether a key is met for the first time; notes it."""
        raw = key.encode("utf-8", "surrogatepass")
        digest = int.from_bytes(blake2b(raw, digest_size=8).digest())
        if digest in self._digests:
            return False
        self._digests.add(digest)
        return True


@dataclass
class _Split:
    file: IO[str]
    ids: _Seen = field(default_factory=_Seen)
    images: _Seen = field(default_factory=_Seen)
    counts: Counter[str] = field(default_factory=Counter)
    written: int = 0


class _Writing:
    def __init__(self, folder: Path, images: Path, prefix: str, files: ExitStack) -> None:
        self.folder, self.images, self.prefix, self.files = folder, images, prefix, files
        self.splits: dict[str, _Split] = {}
        self.joined: list[str] = []
        self.missing = self._open("missing.jsonl")
        self.bad = self._open("troubles.jsonl")
        self.missing_rows = self.trouble_rows = self.dropped_boxes = 0
        self.left_out: Counter[str] = Counter()
        self.missing_pictures = _Seen()
        self.first_missing = ""
        self.troubles: list[Trouble] = []
        self.is_there = lru_cache(maxsize=REMEMBERED)(lambda name: (images / name).is_file())
        self.size_of = lru_cache(maxsize=REMEMBERED)(lambda name: image_size(images / name))

    def _open(self, name: str) -> IO[str]:
        return self.files.enter_context((self.folder / name).open("w", encoding="utf-8"))

    def add(self, row: Row | Trouble | LeftOut) -> None:
        """Write a row to where it belongs: its split, the missing, or the troubles."""
        if isinstance(row, LeftOut):
            self.left_out[row.reason] += 1
            return
        if isinstance(row, Row):
            try:
                self._add(row)
                return
            except Broken as broken:
                row = Trouble(row.file, row.place, broken.field, str(broken))
        self.trouble_rows += 1
        self.troubles += [row] if len(self.troubles) < SHOWN else []
        _write_line(self.bad, asdict(row))

    def _add(self, row: Row) -> None:
        if not SPLIT.fullmatch(row.split) or row.split in RESERVED:
            raise Broken("split", f"cannot name a file: {row.split[:60]!r}")
        for key, value in row.record.items():
            if key not in ("image", "video", "boxes"):
                _check(key, value)
        split = self._split(row.split)
        if row.id is not None and not split.ids.is_new(row.id):
            raise Broken("id", f"{row.id} occurs twice in {row.split}")
        record = dict(row.record)
        for key in ("image", "video"):
            if key in record:
                record[key] = self._locate(key, record[key], row.elsewhere)
                if record[key] is None:
                    _count(split, row.record)
                    self._note_missing(row, row.record[key])
                    return
        if "boxes" in record:
            record["boxes"] = self._clip(row, record["image"])
        for key in ("image", "video"):
            if key in record:
                record[key] = self._relative(record[key])
        _count(split, row.record)
        split.written += 1
        _write_line(split.file, record if row.id is None else {"id": row.id, **record})

    def _split(self, name: str) -> "_Split":
        if name not in self.splits:
            self.splits[name] = _Split(self._open(f"{name}.jsonl"))
        return self.splits[name]

    def _locate(self, key: str, given: Any, elsewhere: tuple[str, ...]) -> Any:
        """The name, or names, under which files are there; None when one is not.

        Raises:
            Broken: a name that leads out of the images folder, or is none.
        """
        if isinstance(given, list):
            # Names elsewhere come in rounds, one of each picture.
            others = [elsewhere[number :: len(given)] for number in range(len(given))]
            found = [self._locate(key, *each) for each in zip(given, others, strict=True)]
            return None if None in found else found
        for name in (given, *elsewhere):
            if not isinstance(name, str) or not name.strip() or "\0" in name:
                raise Broken(key, f"is no file name: {str(name)[:60]!r}")
            if name.startswith("/") or ".." in name.split("/"):
                raise Broken(key, f"leads out of the images folder: {name[:60]!r}")
            if self._is_file(name):
                return name
        return None

    def _is_file(self, name: str) -> bool:
        try:
            return self.is_there(name)
        except OSError:  # a name longer than the file system allows
            return False

    def _relative(self, name: Any) -> Any:
        if isinstance(name, list):
            return [self._relative(one) for one in name]
        return posixpath.normpath(posixpath.join(self.prefix, name))

    def _clip(self, row: Row, image: str) -> list[list[float]]:
        """Boxes cut to the picture, which must have the published size, once turned by EXIF."""
        try:
            width, height = self.size_of(image)
        except ImageError as error:
            raise Broken("image", f"{image}: {error.reason}") from None
        if row.size is not None and row.size != (width, height):
            raise Broken(
                "image",
                f"{image} is {width} x {height} pixels, and published as "
                f"{row.size[0]:g} x {row.size[1]:g}: its boxes cannot be trusted",
            )
        boxes = row.record["boxes"]
        clipped = [
            [max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)]
            for x0, y0, x1, y1 in boxes
        ]
        kept = [box for box in clipped if box[0] < box[2] and box[1] < box[3]]
        self.dropped_boxes += len(clipped) - len(kept)
        if not kept:
            raise Broken("boxes", f"no area inside the picture: {boxes}")
        _check("boxes", kept)
        return kept

    def _note_missing(self, row: Row, given: Any) -> None:
        names = given if isinstance(given, list) else [given]
        for name in names:
            if not self._is_file(name):
                self.first_missing = self.first_missing or name
                self.missing_pictures.is_new(name)
        self.missing_rows += 1
        _write_line(self.missing, {"split": row.split, "id": row.id, "image": given})

    def join(self, joined: Mapping[str, tuple[str, ...]]) -> None:
        """Write record files that are others put together."""
        for name, parts in joined.items():
            if all(part in self.splits for part in parts):
                self.joined.append(name)
                with (self.folder / f"{name}.jsonl").open("wb") as whole:
                    for part in parts:
                        self.splits[part].file.flush()
                        with (self.folder / f"{part}.jsonl").open("rb") as file:
                            shutil.copyfileobj(file, whole)

    def report(self, name: str, folder: Path, published: Mapping[str, Mapping[str, int]]) -> Report:
        found = {split: _counts(each) for split, each in self.splits.items()}
        return Report(
            name=name,
            folder=folder,
            found=found,
            written={split: each.written for split, each in self.splits.items()},
            joined=tuple(self.joined),
            published=published,
            differences=tuple(_differences(found, published)),
            missing_rows=self.missing_rows,
            missing_pictures=len(self.missing_pictures),
            dropped_boxes=self.dropped_boxes,
            left_out=dict(self.left_out),
            trouble_rows=self.trouble_rows,
            troubles=tuple(self.troubles),
        )


def _check(key: str, value: Any) -> None:
    try:
        FIELDS[key](value)
    except Refused as refused:
        raise Broken(key, str(refused)) from None


def _write_line(file: IO[str], value: Any) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")


def _count(split: _Split, record: Mapping[str, Any]) -> None:
    split.counts["rows"] += 1
    if "image_id" in record:
        split.images.is_new(record["image_id"])
    caption = record.get("caption", [])
    split.counts["captions"] += 1 if isinstance(caption, str) else len(caption)
    for key in ("question", "phrase", "statement"):
        split.counts[f"{key}s"] += key in record


def _counts(split: _Split) -> dict[str, int]:
    counts = split.counts + Counter(images=len(split.images))
    return {what: counts[what] for what in COUNTED if what == "rows" or counts[what]}


def _differences(
    found: Mapping[str, Mapping[str, int]], published: Mapping[str, Mapping[str, int]]
) -> list[Difference]:
    differences = []
    for split, counts in published.items():
        parts = split.split("+")
        if any(part not in found for part in parts):
            continue  # that file was not given
        for what, expected in counts.items():
            total = sum(found[part].get(what, 0) for part in parts)
            if total != expected:
                differences.append(Difference(split, what, total, expected))
    return differences
