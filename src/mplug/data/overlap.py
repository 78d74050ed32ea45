"""Pictures that training shares with a test: found by published id, by file, by look.

- id: an `image_id` such as "coco:391895", which converters give; ids without a source in front
  are a file's own business and are not compared.
- file: the same bytes.
- look: the same picture stored anew (`likeness.py`); pictures are decoded for it, clips are not.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mplug.data.likeness import Gallery, Likeness, likeness_of
from mplug.data.media import ImageError, load_image
from mplug.data.records import Record

CLUES = ("id", "file", "look")
QUICK = ("id", "file")  # without decoding anything
CHUNK = 64  # pictures decoded before they are compared and forgotten, a processor

Progress = Callable[[int, int], None]  # pictures looked at, of all


@dataclass(frozen=True)
class HeldOut:
    """What is not to be learned from: records, and ids of pictures with where they are listed."""

    records: tuple[Record, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)

    def known_ids(self) -> dict[str, str]:
        """Every published id, and a picture or place that has it."""
        known = dict(self.ids)
        for record in self.records:
            if is_published(record.image_id):
                known.setdefault(str(record.image_id), files_of(record)[0])
        return known


@dataclass(frozen=True)
class Match:
    """A picture or clip of training that is one of the test, and how that is known."""

    train: str
    test: str
    by: tuple[str, ...]  # of CLUES


@dataclass(frozen=True)
class Overlap:
    """What training and a test share."""

    matches: tuple[Match, ...]
    shared: tuple[int, ...]  # places of the training records with such pictures
    train_files: int
    test_files: int
    unreadable: tuple[str, ...]  # pictures that could not be decoded, and so not be looked at

    def count(self, clue: str | None = None) -> int:
        """Distinct pictures of training that are in the test; those known by one clue."""
        return len({match.train for match in self.matches if clue is None or clue in match.by})

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "train_files": self.train_files,
            "test_files": self.test_files,
            "shared_files": self.count(),
            "shared_test_files": len({match.test for match in self.matches}),
            "shared_records": len(self.shared),
            "by": {clue: self.count(clue) for clue in CLUES},
            "pairs": [
                {"train": each.train, "test": each.test, "by": list(each.by)}
                for each in self.matches
            ],
            "unreadable": list(self.unreadable),
        }


def drop_shared(
    train: Sequence[Record], test: Sequence[Record]
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Training records whose pictures are not in the test, and those whose are.

    By id and by file, so that nothing is decoded and little is read.
    """
    shared = set(find_overlap(train, HeldOut(tuple(test)), clues=QUICK).shared)
    kept = tuple(record for place, record in enumerate(train) if place not in shared)
    return kept, tuple(train[place] for place in sorted(shared))


def find_overlap(
    train: Sequence[Record],
    held_out: HeldOut,
    *,
    clues: Sequence[str] = CLUES,
    progress: Progress | None = None,
) -> Overlap:
    """Compare every picture and clip of training with all that is held out."""
    train_files = _files(train)
    test_files = _files(held_out.records)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    ids = held_out.known_ids() if "id" in clues else {}
    for record in train:
        if record.image_id in ids:
            pair = files_of(record)[0], ids[str(record.image_id)]
            found[pair] += ["id"] if "id" not in found[pair] else []
    if "file" in clues:
        for pair in _same_bytes(train_files, test_files):
            found[pair].append("file")
    looks = _Looks(progress)
    if "look" in clues:
        for pair in looks.alike(_pictures(train), _pictures(held_out.records)):
            found[pair].append("look")
    files = {name for (name, _), by in found.items() if by != ["id"]}
    shared = (
        place
        for place, record in enumerate(train)
        if record.image_id in ids or not files.isdisjoint(files_of(record))
    )
    return Overlap(
        matches=tuple(Match(*pair, tuple(by)) for pair, by in found.items()),
        shared=tuple(shared),
        train_files=len(train_files),
        test_files=len(test_files) + len(held_out.ids),
        unreadable=tuple(looks.unreadable),
    )


def is_published(image_id: str | None) -> bool:
    """Whether an id says which data set its number is of, such as "coco:391895"."""
    source, colon, number = (image_id or "").partition(":")
    return bool(source and colon and number)


def files_of(record: Record) -> tuple[str, ...]:
    """The pictures of a record, or its clip."""
    return record.images or ((record.video,) if record.video else ())


def _files(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in files_of(record)))


def _pictures(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.images))


def _same_bytes(train: Sequence[str], test: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Files with the same content; only those are read that have the size of one opposite."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for name in test:
        by_size[_size(name)].append(name)
    by_size.pop(-1, None)
    digests: dict[int, dict[str, list[str]]] = {}
    for name in train:
        size = _size(name)
        if size not in by_size:
            continue
        if size not in digests:
            digests[size] = defaultdict(list)
            for other in by_size[size]:
                digests[size][_digest(other)].append(other)
        yield from ((name, other) for other in digests[size].get(_digest(name), ()))


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:  # gone since the records were read: nothing to compare
        return -1


def _digest(name: str) -> str:
    try:
        with open(name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return f"unreadable: {name}"


class _Looks:
    """Decodes pictures on all processors, and remembers only what the test's look like."""

    def __init__(self, progress: Progress | None) -> None:
        self.unreadable: list[str] = []
        self._progress = progress
        self._done = 0

    def alike(self, train: Sequence[str], test: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Pairs of pictures that look the same."""
        if not train or not test:
            return
        total = len(train) + len(test)
        kept = [pair for chunk in self._chunks(test, total) for pair in chunk]
        gallery = Gallery([likeness for _, likeness in kept])
        for chunk in self._chunks(train, total):
            matches = gallery.matches([likeness for _, likeness in chunk])
            for (name, _), places in zip(chunk, matches, strict=True):
                yield from ((name, kept[place][0]) for place in places)

    def _chunks(self, names: Sequence[str], total: int) -> Iterator[list[tuple[str, Likeness]]]:
        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(names), CHUNK * threads):
                some = names[start : start + CHUNK * threads]
                looks = zip(some, pool.map(_look, some), strict=True)
                chunk = []
                for name, look in looks:
                    if isinstance(look, Likeness):
                        chunk.append((name, look))
                    elif look is not None:
                        self.unreadable.append(look)
                self._done += len(some)
                if self._progress is not None:
                    self._progress(self._done, total)
                yield chunk


def _look(name: str) -> Likeness | str | None:
    """What a picture looks like, None where it is of one colour, or why it cannot be said."""
    try:
        return likeness_of(load_image(name))
    except ImageError as error:
        return str(error)
