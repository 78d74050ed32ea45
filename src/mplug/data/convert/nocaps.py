"""nocaps: captions of things that COCO has no captions of, in three domains."""

from collections import defaultdict
from collections.abc import Mapping
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
    identity,
    picture_id,
)
from mplug.data.convert.reading import load_object, placed
from mplug.data.fields import path as file_name
from mplug.data.fields import text

PUBLISHED = {"val": {"images": 4_500}, "test": {"images": 10_600}}


def convert_nocaps(request: Request) -> Conversion:
    """A record a picture; its `id` is the one that submissions take, its label the domain."""

    def read() -> Rows:
        for split, path in request.paths.items():
            yield from _read(split, path)

    return Conversion(read(), published=PUBLISHED)


def _read(split: str, path: Path) -> Rows:
    content = load_object(path, "images", optional=("annotations",))
    captions: dict[str, list[str]] = defaultdict(list)
    images = {str(image.get("id")) for image in content["images"] if isinstance(image, dict)}

    def take_caption(place: str, row: Mapping[str, Any]) -> Rows:
        image = get(row, "image_id", identity)
        if image not in images:
            raise Broken("image_id", f"there is no image {image}")
        captions[image].append(get(row, "caption", text).strip())
        return ()

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        image, name = get(row, "id", identity), get(row, "file_name", file_name)
        shown = picture_id("openimages", get(row, "open_images_id", identity))
        record: dict[str, Any] = {"image": name, "image_id": shown}
        if image in captions:
            record["caption"] = captions[image]
        elif "annotations" in content:
            raise Broken(None, f"image {image} has no caption")
        if row.get("domain") is not None:  # the first files published have none
            record["label"] = get(row, "domain", text)
        yield Row(split, image, record, str(path), place, elsewhere=(f"{split}/{name}",))

    annotations = content.get("annotations", [])
    yield from each(path, placed("annotations", annotations), take_caption)
    yield from each(path, placed("images", content["images"]), convert)


NOCAPS = Converter(
    help="nocaps: val with or without captions, test without",
    inputs=(
        Input("val", "nocaps_val_4500_captions.json or nocaps_val_image_info.json"),
        Input("test", "nocaps_test_image_info.json"),
    ),
    pictures="the Open Images pictures, <16 hexadecimal digits>.jpg, in it or in val and test",
    convert=convert_nocaps,
    licence="pictures CC BY",
)
