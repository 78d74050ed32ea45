"""COCO captions: the official annotation files, and Karpathy's split of the 2014 pictures."""

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
    Trouble,
    each,
    get,
    identity,
    picture_id,
    rows,
    split_name,
)
from mplug.data.convert.reading import load_object, placed
from mplug.data.fields import path as file_name
from mplug.data.fields import text

# Files of one year and part: the input, the split and the folder of pictures have its name.
PARTS = {
    "train2014": {"images": 82_783, "captions": 414_113},
    "val2014": {"images": 40_504, "captions": 202_654},
    "test2014": {"images": 40_775},
    "test2015": {"images": 81_434},
    "train2017": {"images": 118_287, "captions": 591_753},
    "val2017": {"images": 5_000, "captions": 25_014},
    "test2017": {"images": 40_670},
}
KARPATHY = {
    "train": {"images": 82_783},
    "restval": {"images": 30_504},
    "val": {"images": 5_000},
    "test": {"images": 5_000, "captions": 25_010},
    "train+restval": {"images": 113_287},
    "train+restval+val+test": {"images": 123_287, "captions": 616_767},
}
KARPATHY_SPLITS = ("train", "restval", "val", "test")


def convert_coco(request: Request) -> Conversion:
    """A record a picture, with all its captions; none in the test files."""

    def read() -> Rows:
        for part, path in request.paths.items():
            yield from _read_part(part, path)

    return Conversion(read(), published=PARTS)


def _read_part(part: str, path: Path) -> Rows:
    content = load_object(path, "images", optional=("annotations",))
    captions: dict[str, list[str]] = defaultdict(list)
    images = {str(image.get("id")) for image in content["images"] if isinstance(image, dict)}
    seen: set[str] = set()

    def take_caption(place: str, row: Mapping[str, Any]) -> Rows:
        image, annotation = get(row, "image_id", identity), get(row, "id", identity)
        if image not in images:
            raise Broken("image_id", f"there is no image {image}")
        if annotation in seen:
            raise Broken("id", f"{annotation} occurs twice")
        seen.add(annotation)
        captions[image].append(get(row, "caption", text).strip())
        return ()

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        image, name = get(row, "id", identity), get(row, "file_name", file_name)
        record: dict[str, Any] = {"image": f"{part}/{name}", "image_id": picture_id("coco", image)}
        if has_captions:
            if image not in captions:
                raise Broken(None, f"image {image} has no caption")
            record["caption"] = captions[image]
        yield Row(part, image, record, str(path), place, elsewhere=(name,))

    has_captions = "annotations" in content
    if has_captions:
        annotations = content["annotations"]
        yield from each(path, placed("annotations", annotations), take_caption)
    yield from each(path, placed("images", content["images"]), convert)


def convert_karpathy(request: Request) -> Conversion:
    """A record a picture, with all its captions as they were written (`raw`)."""
    path = request.paths["split"]

    def convert(place: str, row: Mapping[str, Any]) -> Rows:
        image = get(row, "cocoid", identity)
        split = get(row, "split", lambda value: split_name(value, KARPATHY_SPLITS))
        folder, name = get(row, "filepath", file_name), get(row, "filename", file_name)
        captions, troubles = sentences(path, place, row)
        yield from troubles
        record = {
            "image": f"{folder}/{name}",
            "image_id": picture_id("coco", image),
            "caption": captions,
        }
        yield Row(split, image, record, str(path), place, elsewhere=(name,))

    images = load_object(path, "images")["images"]
    return Conversion(
        each(path, placed("images", images), convert),
        published=KARPATHY,
        joined={"train+restval": ("train", "restval")},
    )


def sentences(path: Path, place: str, row: Mapping[str, Any]) -> tuple[list[str], list[Trouble]]:
    """The captions of a picture in a file of Karpathy's, and those that cannot be used.

    Raises:
        Broken: there are none.
    """
    captions, troubles = [], []
    for number, sentence in enumerate(get(row, "sentences", rows)):
        where = f"{place}.sentences[{number}]"
        if not isinstance(sentence, dict):
            troubles.append(Trouble(str(path), where, None, "must be an object"))
            continue
        try:
            captions.append(get(sentence, "raw", text).strip())
        except Broken as broken:
            troubles.append(Trouble(str(path), where, broken.field, str(broken)))
    if not captions:
        raise Broken("sentences", "holds no caption")
    return captions, troubles


COCO = Converter(
    help="COCO captions, the official files of 2014 and 2017",
    inputs=tuple(
        Input(part, f"the captions or image_info file of {part}, a JSON file") for part in PARTS
    ),
    pictures="the folders train2014, val2014 and so on",
    convert=convert_coco,
)
COCO_KARPATHY = Converter(
    help="COCO captions in Karpathy's split: train, restval, val, test and train+restval",
    inputs=(Input("split", "dataset_coco.json", required=True),),
    pictures="the folders train2014 and val2014",
    convert=convert_karpathy,
)
