"""A data set with every kind of odd and broken picture, through records, dataset and loader."""

import json
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mplug.data.batch import Batch, collate
from mplug.data.check import check
from mplug.data.dataset import RecordExamples
from mplug.data.loader import Loader
from mplug.data.records import read_records
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, size=(24, 36, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(), "JPEG", exif=exif)


def bomb() -> bytes:
    """A BMP header that promises 20,000 x 20,000 pixels."""
    content = bytearray(encoded(Image.new("L", (1, 1)), "BMP"))
    content[18:26] = (20_000).to_bytes(4, "little") * 2
    return bytes(content)


JPEG = encoded(noise(), "JPEG")
ODD: dict[str, Callable[[], bytes]] = {
    "alpha.png": lambda: encoded(noise("RGBA"), "PNG"),
    "animated.gif": lambda: encoded(
        noise("P"), "GIF", save_all=True, append_images=[Image.new("P", (36, 24))]
    ),
    "bad profile.jpg": lambda: encoded(noise(), "JPEG", icc_profile=b"none"),
    "cmyk.jpg": lambda: encoded(noise("CMYK"), "JPEG"),
    "exif.jpg": turned,
    "grey.png": lambda: encoded(noise("L"), "PNG"),
    "long.png": lambda: encoded(Image.new("RGB", (1, 60_000)), "PNG"),
    "palette.png": lambda: encoded(noise("P"), "PNG"),
    "pixel.png": lambda: encoded(Image.new("RGB", (1, 1)), "PNG"),
    "sixteen bits.png": lambda: encoded(Image.fromarray(np.ones((4, 4), np.uint16)), "PNG"),
    "wrong extension.jpg": lambda: encoded(noise(), "PNG"),
}
BROKEN: dict[str, Callable[[], bytes]] = {
    "bomb.bmp": bomb,
    "cut at 10.jpg": lambda: JPEG[: len(JPEG) // 10],
    "cut at 50.jpg": lambda: JPEG[: len(JPEG) // 2],
    "cut at 99.jpg": lambda: JPEG[: len(JPEG) * 99 // 100],
    "drawing.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "empty.jpg": lambda: b"",
    "page.jpg": lambda: b"<!doctype html><title>404</title>",
    "postscript.tif": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "zeros.jpg": lambda: bytes(5000),
}
WHOLE = 80  # ordinary pictures around them


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of a hundred pictures: 80 ordinary, 11 odd, 9 broken."""
    folder = tmp_path_factory.mktemp("set")
    for number in range(WHOLE):
        (folder / f"{number}.jpg").write_bytes(JPEG)
    for name, make in (ODD | BROKEN).items():
        (folder / name).write_bytes(make())
    rows = [{"image": path.name, "caption": path.stem} for path in sorted(folder.iterdir())]
    records = folder / "all.jsonl"
    records.write_text("\n".join(json.dumps(row) for row in rows))
    return records


def loader(file: Path, *, workers: int, max_bad_share: float) -> Loader[Batch]:
    records = read_records(file).require()
    tokenizer = Tokenizer.train([record.caption[0] for record in records], vocab_size=600)
    examples = RecordExamples(records, tokenizer=tokenizer, image_size=8, max_words=10)
    return Loader(
        examples,
        collate=collate,
        batch_size=10,
        seed=0,
        workers=workers,
        max_bad_share=max_bad_share,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_names_every_broken_picture_once_and_drops_no_other(
    file: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    training = loader(file, workers=workers, max_bad_share=0.1)
    with caplog.at_level(logging.WARNING):
        assert len(list(training.batches(steps=20))) == 20  # two epochs
    named = [message.split(" (")[0].removeprefix("skipped ") for message in caplog.messages]
    assert sorted(Path(name).name for name in named) == sorted(BROKEN)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stricter_limit_ends_the_run_and_lists_what_was_met(file: Path, workers: int) -> None:
    training = loader(file, workers=workers, max_bad_share=0.03)
    with pytest.raises(DataError, match=r"of 100 training items have a picture") as error:
        list(training.batches(steps=20))
    assert sum(name in str(error.value) for name in BROKEN) >= 4


def test_the_check_finds_the_same_pictures_and_says_what_they_are(file: Path) -> None:
    report = check(file)
    found = {
        Path(p.reason.split(": ")[0]).name: p.reason.split(": ", 1)[1] for p in report.problems
    }
    assert sorted(found) == sorted(BROKEN)
    assert (report.good_rows, report.images) == (WHOLE + len(ODD), WHOLE + len(ODD))
    assert found["bomb.bmp"].startswith("too many pixels")
    assert found["empty.jpg"] == "the file is empty"
    assert found["page.jpg"] == "an HTML page, not an image"
    assert found["cut at 50.jpg"] == "truncated: the file ends too early"
