"""MSR-VTT: captions, the split 1k-A of retrieval, and questions."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    identity,
    picture_id,
    split_name,
)
from mplug.data.convert.reading import load_json, load_object, placed, text_lines
from mplug.data.fields import text
from mplug.errors import DataError

# What the files call a split, and what we do.
SPLITS = {"train": "train", "validate": "val", "test": "test"}
CAPTION_FILES = ("train_val", "test", "data")
PUBLISHED = {
    "train": {"images": 6_513},
    "val": {"images": 497},
    "test": {"images": 2_990},
    "train+val+test": {"captions": 200_000},
    "1k-A-train": {"images": 9_000},
    "1k-A-test": {"rows": 1_000, "images": 1_000},
    "qa-train": {"questions": 158_581},
    "qa-val": {"questions": 12_278},
    "qa-test": {"questions": 72_821},
}
TEST_COLUMNS = ("video_id", "sentence")


def convert_msrvtt(request: Request) -> Conversion:
    """A record a clip with its captions, or a question; splits of 1k-A and of questions apart.

    Raises:
        DataError: the training list of 1k-A comes without the captions of its clips, or those
            come twice.
    """
    if "data" in request.paths and {"train_val", "test"} & request.paths.keys():
        raise DataError("data= holds what train_val= and test= hold: give one or the other")
    train_list = request.path("train_1kA")
    if train_list is not None and not any(name in request.paths for name in CAPTION_FILES):
        raise DataError("train_1kA= lists clips only: give their captions too, with data=")

    def read() -> Iterator[Any]:
        clips = _Clips()
        for name in CAPTION_FILES:
            if name in request.paths:
                yield from clips.read(request.paths[name])
        yield from clips.rows(official="data" not in request.paths)
        if train_list is not None:
            yield from _listed_clips(train_list, clips)
        if "test_1kA" in request.paths:
            yield from _pairs(request.paths["test_1kA"])
        for split in ("train", "val", "test"):
            if f"qa_{split}" in request.paths:
                yield from questions(f"qa-{split}", request.paths[f"qa_{split}"], _qa_clip)

    return Conversion(read(), published=PUBLISHED)


class _Clips:
    """The clips of caption files, each with its captions, which are in a list of their own."""

    def __init__(self) -> None:
        self.captions: dict[str, list[str]] = defaultdict(list)
        self._clips: dict[str, tuple[str, Path, str]] = {}  # split, file, place

    def read(self, path: Path) -> Rows:
        content = load_object(path, "videos", "sentences")

        def clip(place: str, row: Mapping[str, Any]) -> Rows:
            name = get(row, "video_id", text)
            if name in self._clips:
                raise Broken("video_id", f"{name} occurs twice")
            split = SPLITS[get(row, "split", lambda value: split_name(value, SPLITS))]
            self._clips[name] = split, path, place
            return ()

        def caption(place: str, row: Mapping[str, Any]) -> Rows:
            name = get(row, "video_id", text)
            if name not in self._clips:
                raise Broken("video_id", f"{name} is not among the videos")
            self.captions[name].append(get(row, "caption", text).strip())
            return ()

        yield from each(path, placed("videos", content["videos"]), clip)
        yield from each(path, placed("sentences", content["sentences"]), caption)

    def rows(self, *, official: bool) -> Rows:
        """The clips in the official splits; none where their file is one for 1k-A."""
        for name, (split, path, place) in self._clips.items() if official else ():
            if name in self.captions:
                yield _clip_row(split, name, self.captions[name], path, place)
            else:
                yield Trouble(str(path), place, "video_id", f"{name} has no caption")


def _clip_row(split: str, name: str, captions: list[str], path: Path, place: str) -> Row:
    record = {
        "video": f"{name}.mp4",
        "image_id": picture_id("msrvtt", name),
        "caption": captions,
    }
    return Row(split, name, record, str(path), place)


def _listed_clips(path: Path, clips: _Clips) -> Rows:
    for place, row in _csv_rows(path, ("video_id",)):
        name = row["video_id"]
        if name in clips.captions:
            yield _clip_row("1k-A-train", name, clips.captions[name], path, place)
        else:
            yield Trouble(str(path), place, "video_id", f"no captions are known of {name[:60]!r}")


def _pairs(path: Path) -> Rows:
    """The test of 1k-A: a clip and one caption a line."""

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        name, sentence = get(row, "video_id", text), get(row, "sentence", text)
        yield _clip_row("1k-A-test", name, [sentence.strip()], path, place)

    yield from each(path, _csv_rows(path, TEST_COLUMNS), convert)


def _csv_rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    lines = text_lines(path)
    texts = (str(text) if isinstance(text, Trouble) else text for _, text in lines)
    rows = csv.DictReader(texts, strict=True)
    try:
        if missing := [name for name in needed if name not in (rows.fieldnames or ())]:
            raise DataError(f"{path}: its first line must name the columns {', '.join(missing)}")
        for row in rows:
            filled = {str(key): value for key, value in row.items() if isinstance(value, str)}
            yield f"line {rows.line_num}", filled
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: not CSV: {error}") from error


def questions(split: str, path: Path, clip_of: Any) -> Rows:
    """Question files of MSRVTT-QA and MSVD-QA; `clip_of` gives a video's names and its id."""

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        video, elsewhere, image_id = get(row, "video_id", clip_of)
        record = {
            "video": video,
            "image_id": image_id,
            "question": get(row, "question", text).strip(),
            "answers": [{"text": get(row, "answer", text).strip()}],
        }
        yield Row(split, get(row, "id", identity), record, str(path), place, elsewhere=elsewhere)

    content = load_json(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of questions")
    yield from each(path, placed("", content), convert)


def video_number(value: object) -> str:
    """The number of a clip: question files give it as a number, some copies as text."""
    number = identity(value)
    if not number.isdecimal():
        raise Broken("video_id", f"must be a whole number, not {number[:50]!r}")
    return str(int(number))


def _qa_clip(value: object) -> tuple[str, tuple[str, ...], str]:
    name = f"video{video_number(value)}"
    return f"{name}.mp4", (), picture_id("msrvtt", name)


MSRVTT = Converter(
    help="MSR-VTT: captions of clips, the retrieval split 1k-A, and MSRVTT-QA",
    inputs=(
        Input("train_val", "train_val_videodatainfo.json"),
        Input("test", "test_videodatainfo.json"),
        Input("train_1kA", "MSRVTT_train.9k.csv, a list of clips"),
        Input("test_1kA", "MSRVTT_JSFUSION_test.csv"),
        Input("data", "MSRVTT_data.json: the captions of train_1kA"),
        *(Input(f"qa_{split}", f"{split}_qa.json") for split in ("train", "val", "test")),
    ),
    pictures="<clip>.mp4, such as video0.mp4",
    convert=convert_msrvtt,
    licence="research; terms unclear",
)
