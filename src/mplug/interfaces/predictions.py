"""Where a model's predictions on records go: the file that the official scorer takes, or lines."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mplug.data import submissions
from mplug.data.records import Record
from mplug.data.whole_file import whole_file
from mplug.errors import ConfigError, DataError
from mplug.interfaces.caption_file import json_line
from mplug.tasks.record_asks import text_of
from mplug.tasks.record_scores import Reply
from mplug.tasks.record_search import SearchEvaluation

LINES = "lines"
NUMBER = re.compile(r"[0-9]+")
ANY = re.compile(r".+", re.DOTALL)
PHRASE = re.compile(r"[0-9]+:[0-9]+")


class Format(NamedTuple):
    """A file of predictions: whose task, which ids it takes, and what writes it."""

    task: str
    ids: re.Pattern[str]
    write: Callable[..., None]


FORMATS: Mapping[str, Format] = {
    "coco": Format("caption", NUMBER, submissions.write_captions),
    "msrvtt": Format(
        "caption",
        ANY,
        lambda *given, **named: submissions.write_captions(*given, number_ids=False, **named),
    ),
    "vatex": Format("caption", ANY, submissions.write_vatex),
    "vqa": Format("answer", NUMBER, submissions.write_vqa),
    "gqa": Format("answer", ANY, submissions.write_gqa),
    "refcoco": Format("ground", PHRASE, submissions.write_boxes),
    "nlvr2": Format("compare", ANY, submissions.write_nlvr2),
    "snli-ve": Format("entail", ANY, submissions.write_entailment),
}


def format_for(records: Sequence[Record], *, task: str, data: str, asked: str | None) -> str:
    """The format to write: the one asked for, that of the data set, the first that fits, or lines.

    Raises:
        ConfigError: the format asked for does not exist for this task.
        DataError: the records' ids do not fit it.
    """
    own = [name for name, each in FORMATS.items() if each.task == task]
    if asked is None:
        preferred = [data] if data in own else []
        fitting = [name for name in (*preferred, *own) if _misfit(records, name) is None]
        return fitting[0] if fitting else LINES
    if asked not in (*own, LINES):
        raise ConfigError(
            f"--format {asked}: predictions of {task} are written as {', '.join((*own, LINES))}"
        )
    wrong = None if asked == LINES else _misfit(records, asked)
    if wrong is not None:
        raise DataError(
            f"{wrong.source}: its id is {wrong.id!r}, and the format {asked} takes "
            f"{'whole numbers' if FORMATS[asked].ids is NUMBER else 'other ids'}"
        )
    return asked


def write_replies(path: Path, replies: Sequence[Reply], *, task: str, form: str) -> None:
    """Every reply, in one file.

    Raises:
        DataError: the file cannot be written, or an id occurs twice.
    """
    if form == LINES:
        with whole_file(path) as file:
            file.writelines(f"{json_line(_line(reply, task))}\n" for reply in replies)
        return
    rows = [(str(reply.record.id), _predicted(reply, task)) for reply in replies]
    FORMATS[form].write(path, rows, expected=[key for key, _ in rows])


def write_search(path: Path, found: SearchEvaluation) -> None:
    """The similarities (.npz), or the first ten of each query by id (.json).

    A picture's id is its record's, or else its path; its captions are numbered behind it.

    Raises:
        ConfigError: the file is to be of another kind.
        DataError: the file cannot be written, or an id occurs twice.
    """
    names = [record.id or record.image_id or record.images[0] for record in found.pictures]
    texts = [
        f"{name}#{number}"
        for name, record in zip(names, found.pictures, strict=True)
        for number in range(len(record.caption))
    ]
    writers = {".npz": submissions.write_retrieval, ".json": submissions.write_ranks}
    if path.suffix not in writers:
        raise ConfigError(f"--out {path}: search is written as .npz (scores) or .json (ranks)")
    writers[path.suffix](path, found.scores.T, text_ids=texts, image_ids=names)


def _misfit(records: Sequence[Record], form: str) -> Record | None:
    """The first record whose id the format does not take."""
    ids = FORMATS[form].ids
    return next((each for each in records if not ids.fullmatch(each.id or "")), None)


def _predicted(reply: Reply, task: str) -> Any:
    """The prediction as files hold it: boxes in the picture's own pixels."""
    if task != "ground":
        return reply.said
    width, height = reply.size
    return (np.asarray(reply.said) * [width, height, width, height]).tolist()


def _line(reply: Reply, task: str) -> dict[str, Any]:
    record = reply.record
    named = {"id": record.id, "image": record.image or record.video, "text": text_of(task, record)}
    line = {key: value for key, value in named.items() if value}
    return line | {"prediction": _predicted(reply, task), "picture_read": reply.seen}
