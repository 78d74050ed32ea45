"""Reads a whole data set, decodes every picture, and says what is there and what is wrong."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageDraw

from mplug.data.fields import Box
from mplug.data.media import MAX_PIXELS, ImageError, load_image
from mplug.data.records import Problem, Record, read_records
from mplug.data.text import MAX_WORDS

SHOWN = 48  # records on the preview page
LISTED = 20  # of the most common words and of each kind of repetition
THUMBNAIL = 200  # pixels, the longer side
BOX_SLACK = 1.0  # pixels that a box may stand out, for rounding
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+")  # an ideograph is a word

Progress = Callable[[int, int], None]  # pictures done, of all


@runtime_checkable
class CountsTokens(Protocol):
    """The part of a tokenizer that the check uses."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text's pieces."""
        ...

    def unknown_share(self, texts: Iterable[str]) -> float:
        """The share of words that become [UNK]."""
        ...


@dataclass(frozen=True)
class Spread:
    """How a number is distributed."""

    least: float
    median: float
    mean: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """None without values."""
        if not values:
            return None
        array = np.asarray(values, dtype=np.float64)
        middle, mean = float(np.median(array)), float(array.mean())
        return cls(float(array.min()), middle, round(mean, 2), float(array.max()))


@dataclass(frozen=True)
class Repetitions:
    """What occurs more than once, and the first of them."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """One record as the preview page shows it."""

    source: str
    thumbnail: bytes  # JPEG, with the record's boxes drawn in
    size: tuple[int, int]
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CheckReport:
    """Counts, faults and a sample of one data set."""

    path: str
    rows: int
    bad_rows: int
    problems: tuple[Problem, ...]
    fields: dict[str, int]  # how many good records have each
    images: int  # distinct files that could be decoded
    width: Spread | None
    height: Spread | None
    captions: int
    words: Spread | None  # in a caption
    long_captions: int  # of more words than pretraining reads
    distinct_words: int
    common_words: tuple[tuple[str, int], ...]
    tokens: Spread | None  # in a caption, where a tokenizer was given
    unknown_share: float | None
    repeated_rows: Repetitions  # the same picture with the same caption
    repeated_captions: Repetitions  # of different pictures
    repeated_pictures: Repetitions  # the same file under different names
    previews: tuple[Preview, ...]

    @property
    def good_rows(self) -> int:
        """Rows that can be used."""
        return self.rows - self.bad_rows

    def to_dict(self) -> dict[str, Any]:
        """Everything but the previews, for JSON."""
        content = asdict(self)
        del content["previews"]
        return content


def check(
    path: str | Path,
    *,
    tokenizer: CountsTokens | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> CheckReport:
    """Check the records at `path` (a .jsonl or .csv file, or a folder).

    Raises:
        DataError: there is nothing that can be read as records.
    """
    found = read_records(path)
    shown = _spread_out(found.records, SHOWN)
    wanted = {name for record in shown for name in record.images[:1]}
    paths = list(dict.fromkeys(name for record in found.records for name in record.images))
    pictures = {
        name: picture
        for name, picture in _look_at_all(paths, wanted, max_pixels=max_pixels, progress=progress)
    }
    problems = [
        *found.problems,
        *(problem for record in found.records for problem in _picture_problems(record, pictures)),
    ]
    bad = {(problem.file, problem.line) for problem in problems}
    good = [item for item in found.records if (item.source.file, item.source.line) not in bad]
    return CheckReport(
        path=str(path),
        rows=len(found.records) + found.bad_rows,
        bad_rows=len(bad),
        problems=tuple(problems),
        fields=_count_fields(good),
        **_picture_facts(pictures),
        **_caption_facts([text for record in good for text in record.caption], tokenizer),
        **_repetitions(good, pictures),
        previews=tuple(
            _preview(item, pictures)
            for item in shown
            if item.images and (item.source.file, item.source.line) not in bad
        ),
    )


@dataclass(frozen=True)
class _Picture:
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    thumbnail: Image.Image | None = None
    problem: str | None = None


def _look_at_all(
    paths: Sequence[str], wanted: set[str], *, max_pixels: int, progress: Progress | None
) -> Iterator[tuple[str, _Picture]]:
    """Decode every file once, on all processors: Pillow decodes outside the interpreter's lock."""
    threads = os.cpu_count() or 1
    chunk = 16 * threads  # so that pictures to do are not queued by the million
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(paths), chunk):
            some = paths[first : first + chunk]
            looks = pool.map(lambda name: _look_at(name, name in wanted, max_pixels), some)
            yield from zip(some, looks, strict=True)
            if progress is not None:
                progress(first + len(some), len(paths))


def _look_at(path: str, keep: bool, max_pixels: int) -> _Picture:
    try:
        image = load_image(path, max_pixels=max_pixels)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except ImageError as error:
        return _Picture(problem=error.reason)
    except OSError as error:  # gone or unreadable since it was decoded
        return _Picture(problem=f"cannot be read: {error.strerror}")
    size = image.size
    if keep:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
    return _Picture(size, digest, image if keep else None)


def _picture_problems(record: Record, pictures: dict[str, _Picture]) -> Iterator[Problem]:
    file, line = record.source.file, record.source.line
    broken = [(name, pictures[name].problem) for name in record.images if pictures[name].problem]
    for name, reason in broken:
        yield Problem(file, line, "image", f"{name}: {reason}")
    if broken or len(record.images) != 1:
        return
    width, height = pictures[record.images[0]].size
    boxes = [("boxes", box) for box in record.boxes]
    boxes += [("objects", named.box) for named in record.objects]
    for field, box in boxes:
        x0, y0, x1, y1 = box
        if min(x0, y0) < -BOX_SLACK or x1 > width + BOX_SLACK or y1 > height + BOX_SLACK:
            reason = f"{list(box)} is outside the picture, which is {width} x {height}"
            yield Problem(file, line, field, reason)


def _picture_facts(pictures: dict[str, _Picture]) -> dict[str, Any]:
    sizes = [picture.size for picture in pictures.values() if picture.problem is None]
    return {
        "images": len(sizes),
        "width": Spread.of([width for width, _ in sizes]),
        "height": Spread.of([height for _, height in sizes]),
    }


def _caption_facts(captions: Sequence[str], tokenizer: CountsTokens | None) -> dict[str, Any]:
    words = [WORD.findall(caption.lower()) for caption in captions]
    counts = Counter(word for caption in words for word in caption)
    lengths = [len(caption) for caption in words]
    tokens = [] if tokenizer is None else [len(tokenizer.encode(text)) for text in captions]
    return {
        "captions": len(captions),
        "words": Spread.of(lengths),
        "long_captions": sum(length > MAX_WORDS for length in lengths),
        "distinct_words": len(counts),
        "common_words": tuple(counts.most_common(LISTED)),
        "tokens": Spread.of(tokens),
        "unknown_share": None if tokenizer is None else tokenizer.unknown_share(captions),
    }


def _repetitions(records: Sequence[Record], pictures: dict[str, _Picture]) -> dict[str, Any]:
    rows = Counter((record.image, text) for record in records for text in record.caption)
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for image, text in rows:
        owners[text].add(image)
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for name, picture in pictures.items():
        if picture.problem is None:
            copies[picture.digest].append(name)
    return {
        "repeated_rows": _several(f"{key[0]}: {key[1]}" for key, n in rows.items() if n > 1),
        "repeated_captions": _several(text for text, images in owners.items() if len(images) > 1),
        "repeated_pictures": _several(
            " = ".join(names[:3]) for names in copies.values() if len(names) > 1
        ),
    }


def _several(items: Iterable[str]) -> Repetitions:
    found = list(items)
    return Repetitions(len(found), tuple(found[:LISTED]))


def _count_fields(records: Sequence[Record]) -> dict[str, int]:
    names = [name for name in Record.__dataclass_fields__ if name != "source"]
    counts = {name: sum(bool(getattr(record, name)) for record in records) for name in names}
    return {name: count for name, count in counts.items() if count}


def _spread_out(records: Sequence[Record], count: int) -> list[Record]:
    """At most `count` of the records, at equal distances."""
    if len(records) <= count:
        return list(records)
    return [records[place * len(records) // count] for place in range(count)]


def _preview(record: Record, pictures: dict[str, _Picture]) -> Preview:
    picture = pictures[record.images[0]]
    assert picture.thumbnail is not None, "every record shown has its thumbnail kept"
    thumbnail = picture.thumbnail.copy()
    _draw_boxes(thumbnail, [*record.boxes, *(named.box for named in record.objects)], picture.size)
    file = BytesIO()
    thumbnail.save(file, "JPEG", quality=80)
    return Preview(str(record.source), file.getvalue(), picture.size, tuple(_described(record)))


def _draw_boxes(image: Image.Image, boxes: Sequence[Box], size: tuple[int, int]) -> None:
    across, down = image.width / size[0], image.height / size[1]
    pen = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in boxes:
        pen.rectangle((x0 * across, y0 * down, x1 * across, y1 * down), outline="#e6007e", width=2)


def _described(record: Record) -> Iterator[tuple[str, str]]:
    for text in record.caption:
        yield "caption", text
    for name in ("question", "phrase", "statement", "label", "image_id"):
        if getattr(record, name) is not None:
            yield name, getattr(record, name)
    for answer in record.answers:
        yield "answer", f"{answer.text} ({answer.weight:g})"
    for named in record.objects:
        yield "object", named.name
    for text in record.text:
        yield "text", text
