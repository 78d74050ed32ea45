"""VATEX: ten English captions a clip."""

import re
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
    each,
    get,
    picture_id,
)
from mplug.data.convert.reading import load_json, placed
from mplug.data.fields import text, texts
from mplug.errors import DataError

PUBLISHED = {
    "train": {"images": 25_991, "captions": 259_910},
    "val": {"images": 3_000, "captions": 30_000},
    "test": {"images": 6_000},
}
FILES = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "test": "vatex_public_test_english_v1.1.json",
    "private_test": "vatex_private_test_without_annotations.json",
}
CLIP = re.compile(r"(?P<video>.{11})_\d{6}_\d{6}")  # the video's own name may have _ and -


def convert_vatex(request: Request) -> Conversion:
    """A record a clip with its English captions; the private test has none."""

    def read() -> Iterator[Any]:
        for split, path in request.paths.items():
            content = load_json(path)
            if not isinstance(content, list):
                raise DataError(f"{path}: expected a list of clips")
            yield from each(path, placed("", content), _row(split, path))

    return Conversion(read(), published=PUBLISHED)


def _row(split: str, path: Path) -> Any:
    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        clip = get(row, "videoID", text)
        if not CLIP.fullmatch(clip):
            raise Broken("videoID", f"is not <video>_<start>_<end>: {clip[:60]!r}")
        record: dict[str, Any] = {"video": f"{clip}.mp4", "image_id": picture_id("vatex", clip)}
        if split != "private_test":
            record["caption"] = [caption.strip() for caption in get(row, "enCap", texts)]
        yield Row(split, clip, record, str(path), place)

    return convert


VATEX = Converter(
    help="VATEX: ten English captions a clip; the private test has none",
    inputs=tuple(Input(split, name) for split, name in FILES.items()),
    pictures="<videoID>.mp4, clips of ten seconds",
    convert=convert_vatex,
    licence="CC BY 4.0",
)
