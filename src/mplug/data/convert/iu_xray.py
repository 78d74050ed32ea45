"""IU X-Ray (Open-i): chest radiographs with their reports, split by report."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from mplug.data.convert.archive import tar_files
from mplug.data.convert.common import (
    Conversion,
    Converter,
    Input,
    LeftOut,
    Request,
    Row,
    Rows,
    Trouble,
    in_drawn_order,
    picture_id,
)
from mplug.errors import DataError

REPORT = re.compile(r"(\d+)\.xml")
PICTURE = re.compile(r"\w[\w.-]*\.png")
IDENTITY = re.compile(r"\w[\w.-]*")
MAX_REPORT = 1 << 20  # bytes
MAX_PICTURE = 1 << 25
TEXTS = ("FINDINGS", "IMPRESSION")
# Of 100 reports; the set has no split of its own.
SHARES = {"train": 70, "validation": 10, "test": 20}
PUBLISHED = {"train+validation+test": {"images": 7_470}}


def convert_iu_xray(request: Request) -> Conversion:
    """A record a picture, captioned with the report's findings and impression.

    Pictures of one report are in one split, drawn with the seed.
    """
    reports = sorted(_reports(request.paths["reports"]))
    if not reports:
        raise DataError(f"{request.paths['reports']}: has no report <number>.xml")
    order = in_drawn_order((name for name, _ in reports), seed=request.seed)
    splits = dict(zip(order, _dealt(len(order)), strict=True))

    def read() -> Rows:
        for name, content in reports:
            yield from _report(name, content, splits[name])

    pictures = request.path("pictures")
    unpack = None if pictures is None else lambda folder: _unpack(pictures, folder)
    return Conversion(read(), published=PUBLISHED, unpack=unpack)


def _dealt(count: int) -> list[str]:
    """As many names of splits as there are reports, train first."""
    validation = count * SHARES["validation"] // 100
    test = count * SHARES["test"] // 100
    train = count - validation - test
    return ["train"] * train + ["validation"] * validation + ["test"] * test


def _reports(path: Path) -> Iterator[tuple[str, bytes]]:
    """File name and content of each report, in a folder or an archive."""
    if not path.is_dir():
        yield from tar_files(path, REPORT, max_bytes=MAX_REPORT)
        return
    for file in path.rglob("*.xml"):
        if REPORT.fullmatch(file.name):
            try:
                if file.stat().st_size > MAX_REPORT:
                    raise DataError(f"{file}: is larger than {MAX_REPORT:,} bytes: no report is")
                yield file.name, file.read_bytes()
            except OSError as error:
                raise DataError(f"{file}: cannot be read: {error.strerror}") from error


def _report(name: str, content: bytes, split: str) -> Rows:
    if b"<!ENTITY" in content:
        yield Trouble(name, "the report", None, "defines entities, which no report does")
        return
    try:
        tree = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        yield Trouble(name, "the report", None, f"not XML: {error}")
        return
    written = {
        each.get("Label", "").upper(): " ".join("".join(each.itertext()).split())
        for each in tree.iter("AbstractText")
    }
    caption = " ".join(written[label] for label in TEXTS if written.get(label))
    pictures = list(tree.iter("parentImage"))
    if not pictures:
        yield LeftOut("a report without pictures")
    elif not caption:
        yield LeftOut("a report without findings and impression")
    else:
        for number, picture in enumerate(pictures):
            yield _row(name, f"parentImage[{number}]", picture.get("id", ""), caption, split)


def _row(name: str, place: str, image: str, caption: str, split: str) -> Row | Trouble:
    if not IDENTITY.fullmatch(image):
        return Trouble(name, place, "id", f"names no picture: {image[:60]!r}")
    file = f"{image}.png"
    record = {
        "image": f"images/{file}",
        "image_id": picture_id("iu-xray", image),
        "caption": [caption],
    }
    return Row(split, image, record, name, place, elsewhere=(file, f"NLMCXR_png/{file}"))


def _unpack(archive: Path, folder: Path) -> None:
    images = folder / "images"
    images.mkdir()
    for name, content in tar_files(archive, PICTURE, max_bytes=MAX_PICTURE):
        (images / name).write_bytes(content)


IU_XRAY = Converter(
    help="IU X-Ray (Open-i): findings and impression as long captions; splits drawn by report",
    inputs=(
        Input("reports", "NLMCXR_reports.tgz, or the folder ecgen-radiology", required=True),
        Input("pictures", "NLMCXR_png.tgz, to unpack the pictures; otherwise --images"),
    ),
    pictures="the pictures <id>.png, unless pictures= brings them",
    convert=convert_iu_xray,
)
