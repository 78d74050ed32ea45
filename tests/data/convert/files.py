"""Small files in the official formats, and what became of them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from mplug.data.convert import CONVERTERS
from mplug.data.convert.common import Request
from mplug.data.convert.write import Report, write_conversion
from mplug.data.records import Record, read_records


class Converted(NamedTuple):
    """A report, and the folder written."""

    report: Report
    folder: Path

    def lines(self, name: str) -> list[dict[str, Any]]:
        """A file of JSON lines as written."""
        text = (self.folder / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def records(self, split: str) -> tuple[Record, ...]:
        """A split's records as training reads them, none of them bad."""
        return read_records(self.folder / f"{split}.jsonl").require()

    @property
    def troubles(self) -> list[str]:
        """Each broken row, its file by name alone."""
        found = self.report.troubles
        return [str(each).replace(each.file, Path(each.file).name) for each in found]


def convert(name: str, folder: Path, *, images: Path | None, **inputs: Path) -> Converted:
    """Convert to `folder`, allowing any number of broken rows."""
    return convert_drawn(name, folder, inputs, images=images, seed=0)


def convert_drawn(
    name: str, folder: Path, inputs: Mapping[str, Path], *, images: Path | None, seed: int
) -> Converted:
    """The same, with the seed of splits that are drawn."""
    converter = CONVERTERS[name]
    converter.require(name, inputs)
    conversion = converter.convert(Request(inputs, seed))
    report = write_conversion(name, conversion, folder=folder, images=images, max_bad_share=1.0)
    return Converted(report, folder)


def save(path: Path, content: Any) -> Path:
    """A JSON file, or a text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def pictures(folder: Path, names: Iterable[str], *, size: tuple[int, int] = (64, 48)) -> Path:
    """A folder of pictures with these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (200, 30, 90)).save(folder / name)
    return folder
