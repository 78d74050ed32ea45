"""Reads a whole data set, looks at every file of it, and says what is there and what is wrong."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageDraw

from mplug.data.check_files import File, Look, Progress, files_of, look_at_all
from mplug.data.fields import Box
from mplug.data.media import MAX_PIXELS
from mplug.data.records import Problem, Record, read_records
from mplug.data.text import MAX_WORDS

SHOWN = 48  # records on the preview page
LISTED = 20  # of the most common words and of each kind of repetition
BOX_SLACK = 1.0  # pixels that a box may stand out, for rounding
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+")  # an ideograph is a word


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
    images: int  # distinct pictures that could be decoded
    clips: int  # distinct clips of which some frames could
    clip_frames: Spread | None
    clip_seconds: Spread | None  # of those that keep times
    width: Spread | None  # of pictures and clips
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
        MissingExtraError: there are clips, and PyAV is not installed.
    """
    found = read_records(path)
    shown = _spread_out(found.records, SHOWN)
    files = list(dict.fromkeys(file for record in found.records for file in files_of(record)))
    keep = {files_of(record)[0] for record in shown}
    looks = dict(look_at_all(files, keep=keep, max_pixels=max_pixels, progress=progress))
    problems = [
        *found.problems,
        *(problem for record in found.records for problem in _file_problems(record, looks)),
    ]
    bad = {(problem.file, problem.line) for problem in problems}
    good = [item for item in found.records if (item.source.file, item.source.line) not in bad]
    return CheckReport(
        path=str(path),
        rows=len(found.records) + found.bad_rows,
        bad_rows=len(bad),
        problems=tuple(problems),
        fields=_count_fields(good),
        **_file_facts(looks),
        **_caption_facts([text for record in good for text in record.caption], tokenizer),
        **_repetitions(good, looks),
        previews=tuple(
            _preview(item, looks)
            for item in shown
            if (item.source.file, item.source.line) not in bad
        ),
    )


def _file_problems(record: Record, looks: dict[File, Look]) -> Iterator[Problem]:
    file, line = record.source.file, record.source.line
    broken = [(one, looks[one].problem) for one in files_of(record) if looks[one].problem]
    for one, reason in broken:
        yield Problem(file, line, "video" if one.is_clip else "image", f"{one.path}: {reason}")
    if broken or len(files_of(record)) != 1:
        return
    width, height = looks[files_of(record)[0]].size
    boxes = [("boxes", box) for box in record.boxes]
    boxes += [("objects", named.box) for named in record.objects]
    for field, box in boxes:
        x0, y0, x1, y1 = box
        if min(x0, y0) < -BOX_SLACK or x1 > width + BOX_SLACK or y1 > height + BOX_SLACK:
            reason = f"{list(box)} is outside the picture, which is {width} x {height}"
            yield Problem(file, line, field, reason)


def _file_facts(looks: dict[File, Look]) -> dict[str, Any]:
    whole = {file: look for file, look in looks.items() if look.problem is None}
    clips = [look for file, look in whole.items() if file.is_clip]
    return {
        "images": len(whole) - len(clips),
        "clips": len(clips),
        "clip_frames": Spread.of([clip.frames for clip in clips]),
        "clip_seconds": Spread.of([clip.seconds for clip in clips if clip.seconds is not None]),
        "width": Spread.of([look.size[0] for look in whole.values()]),
        "height": Spread.of([look.size[1] for look in whole.values()]),
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


def _repetitions(records: Sequence[Record], looks: dict[File, Look]) -> dict[str, Any]:
    rows = Counter(
        (record.image or record.video, text) for record in records for text in record.caption
    )
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for image, text in rows:
        owners[text].add(image)
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for file, look in looks.items():
        if look.problem is None:
            copies[look.digest].append(file.path)
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


def _preview(record: Record, looks: dict[File, Look]) -> Preview:
    look = looks[files_of(record)[0]]
    assert look.thumbnail is not None, "every record shown has its thumbnail kept"
    thumbnail = look.thumbnail.copy()
    _draw_boxes(thumbnail, [*record.boxes, *(named.box for named in record.objects)], look.size)
    file = BytesIO()
    thumbnail.save(file, "JPEG", quality=80)
    fields = [*_clip(record, look), *_described(record)]
    return Preview(str(record.source), file.getvalue(), look.size, tuple(fields))


def _clip(record: Record, look: Look) -> Iterator[tuple[str, str]]:
    if record.video is not None:
        seconds = "" if look.seconds is None else f", {look.seconds:.1f} seconds"
        yield "video", f"{look.frames} frames{seconds}"


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
