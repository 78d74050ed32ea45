"""Captions of pictures on the web (SBU, CC3M, CC12M): addresses are published, pictures are not.

So each takes `downloaded`: which picture was saved as what. Many are gone; they are listed as
missing, by address.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from mplug.data.convert.common import (
    Conversion,
    Converter,
    Input,
    Request,
    Row,
    Rows,
    Trouble,
)
from mplug.data.convert.reading import load_json, load_object, text_lines
from mplug.errors import DataError

ADDRESS = re.compile(r"https?://\S+")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PUBLISHED_SBU = {"train": {"captions": 1_000_000}}
PUBLISHED_CC3M = {"train": {"captions": 3_318_333}, "validation": {"captions": 15_840}}
PUBLISHED_CC12M = {"train": {"captions": 12_423_374}}
DOWNLOADED = Input(
    "downloaded",
    "lines of ADDRESS<TAB>FILE, files relative to --images; or the folder that img2dataset wrote "
    "(pictures with .json files beside them), which is then --images too",
    required=True,
)


def convert_sbu(request: Request) -> Conversion:
    """A record a picture.

    Raises:
        DataError: the two lists are not equally long.
    """
    path = request.paths["captions"]
    content = load_object(path, "image_urls", "captions")
    addresses, captions = content["image_urls"], content["captions"]
    if len(addresses) != len(captions):
        raise DataError(
            f"{path}: {len(addresses)} image_urls and {len(captions)} captions: "
            "nothing says which belong together"
        )

    def read() -> Rows:
        saved = yield from _downloaded(request.paths["downloaded"])
        pairs = zip(addresses, captions, strict=True)
        for number, (address, caption) in enumerate(pairs):
            yield _row("train", address, caption, saved, path, f"[{number}]")

    return Conversion(read(), published=PUBLISHED_SBU)


def convert_cc3m(request: Request) -> Conversion:
    """A record a line `caption<TAB>address`."""
    return Conversion(_tables(request, address_column=1), published=PUBLISHED_CC3M)


def convert_cc12m(request: Request) -> Conversion:
    """A record a line `address<TAB>caption`: the other way round than CC3M."""
    return Conversion(_tables(request, address_column=0), published=PUBLISHED_CC12M)


def _tables(request: Request, *, address_column: int) -> Rows:
    saved = yield from _downloaded(request.paths["downloaded"])
    for split, path in request.paths.items():
        if split == "downloaded":
            continue
        for place, line in text_lines(path):
            if isinstance(line, Trouble):
                yield line
                continue
            columns = line.split("\t")  # quotes mean nothing here: captions hold single ones
            if len(columns) != 2:
                reason = f"has {len(columns)} columns, not a caption and an address"
                yield Trouble(str(path), place, None, reason)
                continue
            address, caption = columns[address_column], columns[1 - address_column]
            yield _row(split, address, caption, saved, path, place)


def _row(
    split: str, address: Any, caption: Any, saved: Mapping[str, str], path: Path, place: str
) -> Row | Trouble:
    address = address.strip() if isinstance(address, str) else address
    if not isinstance(address, str) or not ADDRESS.fullmatch(address):
        reason = f"must be a web address, not {str(address)[:60]!r}: are columns swapped?"
        return Trouble(str(path), place, "address", reason)
    if not isinstance(caption, str) or not caption.strip():
        return Trouble(str(path), place, "caption", "is empty")
    record = {"image": saved.get(address, address), "caption": [caption.strip()]}
    return Row(split, None, record, str(path), place)


def _downloaded(path: Path) -> Generator[Trouble, None, dict[str, str]]:
    """Yields what is wrong with the list; returns files by address."""
    saved: dict[str, str] = {}
    for found in _sidecars(path) if path.is_dir() else _lines(path):
        if isinstance(found, Trouble):
            yield found
        else:
            saved[found[0]] = found[1]
    if not saved:
        raise DataError(f"{path}: names no downloaded picture: it takes {DOWNLOADED.help}")
    return saved


def _lines(path: Path) -> Iterator[tuple[str, str] | Trouble]:
    for place, line in text_lines(path):
        if isinstance(line, Trouble):
            yield line
        elif line.strip():
            address, _, name = line.partition("\t")
            if ADDRESS.fullmatch(address.strip()) and name.strip():
                yield address.strip(), name.strip()
            else:
                yield Trouble(str(path), place, None, "must be ADDRESS<TAB>FILE")


def _sidecars(folder: Path) -> Iterator[tuple[str, str] | Trouble]:
    """The pictures below a folder, each with a .json file of its name that has its `url`."""
    for file in sorted(folder.rglob("*.json")):
        picture = next(filter(Path.is_file, map(file.with_suffix, SUFFIXES)), None)
        if picture is None:
            continue  # not saved, or the statistics of a shard
        content = load_json(file)
        address = content.get("url") if isinstance(content, dict) else None
        if isinstance(address, str) and ADDRESS.fullmatch(address.strip()):
            yield address.strip(), picture.relative_to(folder).as_posix()
        else:
            yield Trouble(str(file), "the object", "url", "must be a web address")


SBU = Converter(
    help="SBU captioned photos, one split",
    inputs=(Input("captions", "sbu-captions-all.json", required=True), DOWNLOADED),
    pictures="the downloaded pictures",
    convert=convert_sbu,
    licence="none is stated",
)
CC3M = Converter(
    help="Conceptual Captions 3M: train, validation",
    inputs=(
        Input("train", "Train_GCC-training.tsv"),
        Input("validation", "Validation_GCC-1.1.0-Validation.tsv"),
        DOWNLOADED,
    ),
    pictures="the downloaded pictures",
    convert=convert_cc3m,
    licence="free with attribution",
)
CC12M = Converter(
    help="Conceptual 12M, one split",
    inputs=(Input("train", "cc12m.tsv", required=True), DOWNLOADED),
    pictures="the downloaded pictures",
    convert=convert_cc12m,
    licence="free with attribution",
)
