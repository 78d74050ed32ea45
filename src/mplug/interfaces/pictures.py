"""What people hand over as a picture or a clip, read and scaled for a model; lists of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from mplug.data.media import Scaled, load_scaled
from mplug.data.transforms import to_array
from mplug.data.video import is_video, read_frames
from mplug.errors import DataError

FRAMES = 8  # of a clip, where nobody asks for another number

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture or a clip that was read once, to be used any number of times."""

    pixels: np.ndarray  # float32 [frames, 3, size, size], normalised; a picture is one frame
    size: tuple[int, int]  # width and height as it came, in pixels

    @property
    def is_clip(self) -> bool:
        """Whether there are several frames."""
        return len(self.pixels) > 1


ImageSource = str | Path | bytes | Image.Image | np.ndarray | Picture


def read_picture(
    source: ImageSource, *, size: int, name: str | None = None, frames: int | None = None
) -> Picture:
    """A picture, or `frames` (`FRAMES`) frames of a clip, resized to a square of side `size`.

    Raises:
        DataError: it is no usable picture or clip; says which (`name`) and why.
        MissingExtraError: it is a clip, and the library that reads clips is not installed.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | Path) and is_video(source):
        return join_frames(
            [
                _picture(Scaled(frame, frame.size), side=size)
                for frame in read_frames(source, frames=frames or FRAMES)
            ]
        )
    return _picture(load_scaled(source, side=size, name=name), side=size)


def join_frames(frames: Sequence[Picture]) -> Picture:
    """One clip of all the frames of these pictures and clips.

    Raises:
        DataError: there are none.
    """
    if not frames:
        raise DataError("a clip needs at least one frame")
    return Picture(np.concatenate([frame.pixels for frame in frames]), size=frames[0].size)


def _picture(read: Scaled, *, side: int) -> Picture:
    return Picture(to_array(read.image, size=side)[None], size=read.size)


def as_list(images: ImageSource | Sequence[ImageSource]) -> tuple[list[ImageSource], bool]:
    """The pictures, and whether it was a single one; an array of four axes is a batch."""
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images), False
    if isinstance(images, ImageSource):
        return [images], True
    return list(images), False


def named(sources: Sequence[ImageSource]) -> Iterator[tuple[ImageSource, str | None]]:
    """Each source with what errors call it; None where it is a path, which names itself."""
    for place, source in enumerate(sources, start=1):
        is_path = isinstance(source, str | Path)
        yield source, None if is_path else f"picture {place} of {len(sources)}"


def as_texts(texts: str | Sequence[str]) -> tuple[list[str], bool]:
    """The texts, and whether it was a single one."""
    return ([texts], True) if isinstance(texts, str) else (list(texts), False)


def paired(
    lists: dict[str, tuple[list[Any], bool]],
) -> tuple[list[tuple[Any, ...]], bool]:
    """Lists of one length side by side, what is single repeated; and whether all were single.

    `lists` has for each kind of thing, named for errors, the things and whether it was a single.

    Raises:
        DataError: the lists differ in length.
    """
    lengths = {name: len(things) for name, (things, single) in lists.items() if not single}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise DataError(f"{counts}: give as many of each, or a single one for all")
    rows = next(iter(lengths.values()), 1)
    columns = [things * rows if single else things for things, single in lists.values()]
    return list(zip(*columns, strict=True)), not lengths
