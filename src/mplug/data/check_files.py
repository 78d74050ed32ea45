"""Looks at every file of a data set: pictures whole, clips at a few places."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from mplug.data.media import ImageError, load_image
from mplug.data.records import Record
from mplug.data.video import read_clip

THUMBNAIL = 200  # pixels, the longer side
CLIP_FRAMES = 3  # decoded of every clip; its thumbnail is the one in the middle

Progress = Callable[[int, int], None]  # files done, of all


class File(NamedTuple):
    """A picture or a clip; an animated GIF may be either."""

    path: str
    is_clip: bool


@dataclass(frozen=True)
class Look:
    """What a file is like, or what is wrong with it."""

    size: tuple[int, int] = (0, 0)
    digest: str = ""
    thumbnail: Image.Image | None = None
    problem: str | None = None
    frames: int = 1
    seconds: float | None = None  # of a clip that keeps times


def files_of(record: Record) -> tuple[File, ...]:
    """What a record is about: one picture, several, or a clip."""
    if record.video is not None:
        return (File(record.video, is_clip=True),)
    return tuple(File(path, is_clip=False) for path in record.images)


def look_at_all(
    files: Sequence[File],
    *,
    keep: Collection[File],
    max_pixels: int,
    progress: Progress | None = None,
) -> Iterator[tuple[File, Look]]:
    """Decode every file once, on all processors: decoding happens outside the interpreter's lock.

    Thumbnails are kept of the files of `keep`.

    Raises:
        MissingExtraError: there is a clip, and PyAV is not installed.
    """
    threads = os.cpu_count() or 1
    chunk = 16 * threads  # so that files to do are not queued by the million
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(files), chunk):
            some = files[first : first + chunk]
            looks = pool.map(lambda file: _look_at(file, file in keep, max_pixels), some)
            yield from zip(some, looks, strict=True)
            if progress is not None:
                progress(first + len(some), len(files))


def _look_at(file: File, keep: bool, max_pixels: int) -> Look:
    frames, seconds = 1, None
    try:
        if file.is_clip:
            clip = read_clip(file.path, frames=CLIP_FRAMES)
            image, frames, seconds = clip.frames[CLIP_FRAMES // 2], clip.length, clip.seconds
        else:
            image = load_image(file.path, max_pixels=max_pixels)
        with open(file.path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except ImageError as error:
        return Look(problem=error.reason)
    except OSError as error:  # gone or unreadable since it was decoded
        return Look(problem=f"cannot be read: {error.strerror}")
    size = image.size
    if keep:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
    return Look(size, digest, image if keep else None, None, frames, seconds)
