"""MSVD: captions of clips in their common copy, and MSVD-QA."""

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
    picture_id,
)
from mplug.data.convert.msrvtt import questions, video_number
from mplug.data.convert.reading import text_lines
from mplug.data.fields import Refused, texts
from mplug.data.safe_pickle import read_plain
from mplug.errors import DataError

LISTS = ("train", "val", "test")
PUBLISHED = {
    "train": {"images": 1_200},
    "val": {"images": 100},
    "test": {"images": 670},
    "qa-train": {"questions": 30_933, "images": 1_200},
    "qa-val": {"questions": 6_415, "images": 250},
    "qa-test": {"questions": 13_157, "images": 520},
}


def convert_msvd(request: Request) -> Conversion:
    """A record a clip with its captions, or a question.

    Raises:
        DataError: lists of clips come without captions, or the other way round.
    """
    listed = any(split in request.paths for split in LISTS)
    captions = request.path("captions")
    if listed != (captions is not None):
        raise DataError("msvd: captions= and the lists train=, val=, test= go together")

    def read() -> Iterator[Any]:
        numbers = _Mapping(request.path("mapping"))
        yield from numbers.troubles
        if captions is not None:
            spoken = _captions(captions)
            for split in LISTS:
                if split in request.paths:
                    yield from _listed(split, request.paths[split], spoken, numbers)
        for split in LISTS:
            if f"qa_{split}" in request.paths:
                yield from questions(f"qa-{split}", request.paths[f"qa_{split}"], numbers.clip)

    return Conversion(read(), published=PUBLISHED)


class _Mapping:
    """The two names of a clip, `<youtube>_<start>_<end>` and `vid<n>`, where a file tells them."""

    def __init__(self, path: Path | None) -> None:
        self.numbered: dict[str, str] = {}  # clip -> vid<n>
        self.clips: dict[str, str] = {}
        self.troubles: list[Trouble] = []
        for place, line in text_lines(path) if path is not None else ():
            if isinstance(line, Trouble):
                self.troubles.append(line)
            elif line.strip():
                self._add(line.split(), str(path), place)

    def _add(self, words: list[str], path: str, place: str) -> None:
        if len(words) != 2 or not words[1].startswith("vid"):
            reason = "must be the name of a clip and its vid<number>"
            self.troubles.append(Trouble(path, place, None, reason))
        elif words[0] in self.numbered or words[1] in self.clips:
            self.troubles.append(Trouble(path, place, None, "a name occurs twice"))
        else:
            self.numbered[words[0]] = words[1]
            self.clips[words[1]] = words[0]

    def clip(self, value: object) -> tuple[str, tuple[str, ...], str]:
        """The names of the file of a question's clip, and its id, the same as captions have."""
        number = f"vid{video_number(value)}"
        if not self.clips:
            return f"{number}.avi", (), picture_id("msvd", number)
        if number not in self.clips:
            raise Broken("video_id", f"{number} is not in the mapping")
        clip = self.clips[number]
        return f"{number}.avi", (f"{clip}.avi",), picture_id("msvd", clip)


def _captions(path: Path) -> Mapping[str, Any]:
    content = read_plain(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected captions by the name of their clip")
    return content


def _listed(split: str, path: Path, spoken: Mapping[str, Any], numbers: _Mapping) -> Rows:
    for place, line in text_lines(path):
        if isinstance(line, Trouble):
            yield line
            continue
        clip = line.strip()
        if not clip:
            continue
        if clip not in spoken:
            yield Trouble(str(path), place, None, f"no captions are known of {clip[:60]!r}")
            continue
        try:
            sentences = [_sentence(words) for words in _listed_captions(spoken[clip])]
        except Refused as refused:
            yield Trouble(str(path), place, "captions", f"those of {clip}: {refused}")
            continue
        record = {
            "video": f"{clip}.avi",
            "image_id": picture_id("msvd", clip),
            "caption": sentences,
        }
        number = numbers.numbered.get(clip)
        elsewhere = () if number is None else (f"{number}.avi",)
        yield Row(split, clip, record, str(path), place, elsewhere=elsewhere)


def _listed_captions(value: object) -> list[Any]:
    """The captions of a clip, which must be some."""
    if not isinstance(value, list) or not value:
        raise Refused("must be a list of captions")
    return value


def _sentence(words: object) -> str:
    """A caption, which the file holds as a list of words."""
    return " ".join(texts(words)).strip()


MSVD = Converter(
    help="MSVD: captions of clips, and MSVD-QA, whose splits differ",
    inputs=(
        Input("captions", "raw-captions.pkl"),
        *(Input(split, f"{split}_list.txt") for split in LISTS),
        *(Input(f"qa_{split}", f"{split}_qa.json") for split in LISTS),
        Input("mapping", "youtube_mapping.txt: clips have the same id in captions and questions"),
    ),
    pictures="<youtube>_<start>_<end>.avi or vid<n>.avi",
    convert=convert_msvd,
    licence="research only",
)
