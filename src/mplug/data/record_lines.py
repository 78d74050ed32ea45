"""Records back to lines, wherever the file is to lie."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mplug.data.records import Record
from mplug.data.whole_file import whole_file


def as_fields(record: Record, *, folder: Path) -> dict[str, Any]:
    """The fields of a record, with its files relative to a folder; empty ones are left out."""
    paths = [relative(name, folder=folder) for name in record.images]
    fields = {
        "id": record.id,
        "image": paths if isinstance(record.image, tuple) else next(iter(paths), None),
        "video": relative(record.video, folder=folder) if record.video else None,
        "image_id": record.image_id,
        "caption": list(record.caption),
        "question": record.question,
        "answers": [{"text": each.text, "weight": each.weight} for each in record.answers],
        "phrase": record.phrase,
        "boxes": [list(box) for box in record.boxes],
        "statement": record.statement,
        "label": record.label,
        "objects": [{"name": each.name, "box": list(each.box)} for each in record.objects],
        "text": list(record.text),
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def relative(name: str, *, folder: Path) -> str:
    """A path from a folder, with forward slashes."""
    return Path(os.path.relpath(os.path.abspath(name), folder.resolve())).as_posix()


def write_records(records: Iterable[Record], path: Path) -> int:
    """Write a .jsonl file, whole or not at all; gives the number of records.

    Raises:
        DataError: it cannot be written.
    """
    count = 0
    with whole_file(path) as file:
        for record in records:
            fields = as_fields(record, folder=path.parent)
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")
            count += 1
    return count
