"""A folder of pictures, embedded once: embed, search by similarity, rerank the top by matching.

The cache is one safetensors file for each model: unit rows, and a JSON list of the files they
belong to, with sizes and times of change. It is replaced whole, so processes that index the same
folder at once may do the same work twice but never see half of it.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mplug.errors import DataError

FORMAT = 1
CACHE_FOLDER = ".mplug-index"
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
BATCH = 32  # pictures embedded at once
SAVE_EVERY = 64  # batches, so that an interrupted run loses little
ABANDONED_SECONDS = 3600  # nothing takes that long to write

Picture = TypeVar("Picture")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Embedder(Generic[Picture]):
    """How pictures become vectors; `fingerprint` changes whenever the vectors would."""

    fingerprint: str
    dim: int
    read: Callable[[Path], Picture]  # raises DataError for a file that is no usable picture
    embed: Callable[[list[Picture]], np.ndarray]  # unit rows, float32 [pictures, dim]


class Entry(NamedTuple):
    """One file of the folder as it was when it was read."""

    path: str  # relative to the folder, with forward slashes
    size: int
    mtime_ns: int


Vectors = dict[Entry, np.ndarray]


@dataclass(frozen=True)
class Index:
    """A folder's usable pictures and their vectors, and the files that could not be used."""

    folder: Path
    paths: list[Path]  # in the order of their names
    embeddings: np.ndarray  # unit rows, float32 [pictures, dim]
    unreadable: dict[Path, str]  # the reason for each
    embedded: int  # how many were computed now; the others came from the cache


class Place(NamedTuple):
    """A picture found: its row in the gallery, its cosine similarity, its matching if reranked."""

    row: int
    similarity: float
    match: float | None  # the probability that text and picture belong together


def find_images(folder: Path) -> list[Path]:
    """Picture files below `folder`, by their suffixes, in the order of names; none in hidden ones.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = (name for name in files if not name.startswith("."))
        found += [Path(parent, name) for name in names if _has_image_suffix(name)]
    return sorted(found, key=lambda path: path.as_posix())


def build_index(
    folder: str | Path, *, embedder: Embedder[Picture], report: Report = print
) -> Index:
    """Embed what is new or changed in `folder`, forget what is gone, keep the rest.

    Files that could not be used are tried again each time: what was wrong may have been put right.
    `report` gets one line for each thing a user should know: progress, a cache kept elsewhere.

    Raises:
        DataError: there is no such folder.
    """
    folder = Path(folder)
    present = [_entry(path, folder=folder) for path in find_images(folder)]
    cache = _Cache.of(folder, embedder=embedder, report=report)
    known = cache.read()
    vectors = {entry: known[entry] for entry in present if entry in known}
    todo = [entry for entry in present if entry not in known]
    kept, unreadable = len(vectors), dict[Path, str]()
    for done, start in enumerate(range(0, len(todo), BATCH), start=1):
        new, broken = _embed(todo[start : start + BATCH], folder=folder, embedder=embedder)
        vectors.update(new)
        unreadable.update(broken)
        if done % SAVE_EVERY == 0:
            report(f"{folder}: {start + BATCH} of {len(todo)} new pictures seen")
            cache.write(vectors)
    if vectors.keys() != known.keys():
        cache.write(vectors)
    good = sorted(vectors)
    return Index(
        folder=folder,
        paths=[folder / entry.path for entry in good],
        embeddings=_rows(good, vectors, dim=embedder.dim),
        unreadable=unreadable,
        embedded=len(vectors) - kept,
    )


def search(
    embeddings: np.ndarray,
    query: np.ndarray,
    *,
    top: int,
    rerank: int = 0,
    match: Callable[[list[int]], np.ndarray] | None = None,
) -> list[Place]:
    """The `top` rows nearest to `query`, best first; ties keep the gallery's order.

    The nearest `rerank` of them, which may be more than `top`, are put in the order of `match`,
    the matching probability of given rows; those after them stay in the order of similarity.
    """
    similarities = embeddings @ query
    nearest = _largest(similarities, max(top, rerank))
    places = [Place(row, float(similarities[row]), None) for row in nearest]
    if rerank and match is not None and places:
        rows = nearest[:rerank]
        matched = [
            place._replace(match=float(probability))
            for place, probability in zip(places, match(rows), strict=False)
        ]
        # Sorting is stable: equal matches stay in the order of similarity.
        matched.sort(key=lambda place: -(place.match or 0.0))
        places = matched + places[rerank:]
    return places[:top]


def _largest(values: np.ndarray, count: int) -> list[int]:
    """The places of the `count` largest, largest first; equal ones in their own order."""
    places = np.arange(len(values))
    if 0 < count < len(values):  # sorting them all would cost more than comparing the vectors did
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
    order = np.argsort(-values[places], kind="stable")[:count]
    largest: list[int] = places[order].tolist()
    return largest


def _embed(
    entries: Sequence[Entry], *, folder: Path, embedder: Embedder[Picture]
) -> tuple[Vectors, dict[Path, str]]:
    """A vector for each usable file, a reason for each other one."""
    readable: list[Entry] = []
    pictures: list[Picture] = []
    broken: dict[Path, str] = {}
    for entry in entries:
        path = folder / entry.path
        try:
            pictures.append(embedder.read(path))
            readable.append(entry)
        except DataError as error:
            broken[path] = str(error)
    rows = embedder.embed(pictures) if pictures else ()
    return dict(zip(readable, rows, strict=True)), broken


def _rows(entries: Sequence[Entry], vectors: Vectors, *, dim: int) -> np.ndarray:
    if not entries:
        return np.zeros((0, dim), dtype=np.float32)
    return np.stack([vectors[entry] for entry in entries])


def _has_image_suffix(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _entry(path: Path, *, folder: Path) -> Entry:
    name = path.relative_to(folder).as_posix()
    try:
        status = path.stat()
    except OSError:  # a dangling link, or removed meanwhile: reading it will say which
        return Entry(name, size=-1, mtime_ns=-1)
    return Entry(name, size=status.st_size, mtime_ns=status.st_mtime_ns)


@dataclass(frozen=True)
class _Cache:
    """The file that remembers a folder's vectors for one model; none if nothing can be written."""

    file: Path | None
    dim: int
    report: Report

    @classmethod
    def of(cls, folder: Path, *, embedder: Embedder[Picture], report: Report) -> "_Cache":
        """The cache beside the pictures, or where that cannot be written, the user's own."""
        name = f"{embedder.fingerprint}.safetensors"
        beside = folder / CACHE_FOLDER
        if _can_write(beside):
            return cls(beside / name, embedder.dim, report)
        digest = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape"))
        elsewhere = _user_cache() / "mplug" / "index" / digest.hexdigest()[:32]
        if _can_write(elsewhere):
            report(f"{folder} cannot be written: its index is kept in {elsewhere}")
            return cls(elsewhere / name, embedder.dim, report)
        report(f"neither {folder} nor {elsewhere} can be written: the index is not kept")
        return cls(None, embedder.dim, report)

    def read(self) -> Vectors:
        """What is known; nothing if the file is damaged."""
        if self.file is None or not self.file.exists():
            return {}
        try:
            entries, embeddings = _load(self.file)
            if embeddings.shape != (len(entries), self.dim) or not np.isfinite(embeddings).all():
                raise ValueError(f"{embeddings.shape} numbers for {len(entries)} pictures")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            self.report(f"{self.file}: the index is damaged ({error}) and is made again")
            return {}
        return dict(zip(entries, embeddings, strict=True))

    def write(self, vectors: Vectors) -> None:
        """Replace the file; a disk that refuses costs the next search time, not this one."""
        if self.file is None:
            return
        entries = sorted(vectors)
        listed = json.dumps({"format": FORMAT, "entries": entries})
        content = save(
            {
                "embeddings": _rows(entries, vectors, dim=self.dim),
                "entries": np.frombuffer(listed.encode(), dtype=np.uint8),
            }
        )
        unfinished = self.file.with_name(f".{self.file.name}.{secrets.token_hex(8)}")
        try:
            unfinished.write_bytes(content)
            os.replace(unfinished, self.file)
            self._remove_abandoned()
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            self.report(f"{self.file}: the index cannot be kept: {error}")

    def _remove_abandoned(self) -> None:
        """Files that processes left which were killed while they wrote."""
        if self.file is None:
            return
        for path in self.file.parent.glob(f".{self.file.name}.*"):
            with suppress(FileNotFoundError):  # another process was as tidy
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()


def _load(file: Path) -> tuple[list[Entry], np.ndarray]:
    with safe_open(file, framework="numpy") as tensors:
        listed = json.loads(tensors.get_tensor("entries").tobytes())
        embeddings = tensors.get_tensor("embeddings")
    if listed["format"] != FORMAT:
        raise ValueError(f"format {listed['format']} instead of {FORMAT}")
    return [Entry(*entry) for entry in listed["entries"]], embeddings


def _can_write(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is made if needed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _user_cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if os.path.isabs(named) else Path.home() / ".cache"
