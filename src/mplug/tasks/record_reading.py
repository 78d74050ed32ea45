"""The pictures of records in the records' order, each once; those that cannot be read are noted.

An evaluation never puts another record in the place of a broken one.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mplug.data.media import ImageError, load_scaled
from mplug.data.records import Record
from mplug.data.transforms import to_array
from mplug.data.video import read_frames
from mplug.tasks.asked import Pixels

RECORDS = 32  # whose pictures are in memory at once
READERS = 4  # threads that decode pictures
FRAMES = 8  # of a clip, where nobody asks for another number


class Shown(NamedTuple):
    """A picture or a frame as models read it, and its own width and height in pixels."""

    pixels: Pixels
    size: tuple[int, int]


Pictures = tuple[Shown, ...]


class LeftOut(NamedTuple):
    """A record that is not evaluated: where it is written, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        """For messages."""
        return f"{self.source}: {self.reason}"


class Seen(NamedTuple):
    """A few records whose pictures could be read; all have as many pictures or frames."""

    places: list[int]  # among all records
    pixels: Pixels  # each picture once [pictures, 3, size, size]
    rows: list[tuple[int, ...]]  # of each record's pictures
    sizes: list[tuple[int, int]]  # width and height of each record's first picture, in pixels


@dataclass
class Reading:
    """Reads records' pictures, a few records at a time; `left_out` grows meanwhile."""

    records: Sequence[Record]
    image_size: int
    frames: int = FRAMES
    left_out: list[LeftOut] = field(default_factory=list)

    def batches(self) -> Iterator[Seen]:
        """All records that can be read.

        Raises:
            MissingExtraError: a record has a clip, and the library that reads clips is missing.
        """
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(self.records), RECORDS):
                places = range(start, min(start + RECORDS, len(self.records)))
                yield from self._seen(places, pool)

    def _seen(self, places: range, pool: ThreadPoolExecutor) -> Iterator[Seen]:
        sources = dict.fromkeys(key for place in places for key in _sources(self.records[place]))
        read = dict(zip(sources, pool.map(self._read, sources), strict=True))
        alike: dict[int, list[int]] = {}
        for place in places:
            shown = [read[source] for source in _sources(self.records[place])]
            broken = next((each for each in shown if isinstance(each, ImageError)), None)
            if broken is None:
                alike.setdefault(sum(map(len, shown)), []).append(place)  # type: ignore[arg-type]
            else:
                self._leave(place, f"{broken.name}: {broken.reason}")
        for chosen in alike.values():
            yield self._stacked(chosen, read)

    def _stacked(
        self, places: list[int], read: dict[tuple[str, bool], Pictures | ImageError]
    ) -> Seen:
        pictures: list[Shown] = []
        first: dict[tuple[str, bool], range] = {}
        rows, sizes = [], []
        for place in places:
            sources = _sources(self.records[place])
            for source in sources:
                shown = read[source]
                if source not in first and not isinstance(shown, ImageError):
                    first[source] = range(len(pictures), len(pictures) + len(shown))
                    pictures += shown
            rows.append(tuple(row for source in sources for row in first[source]))
            sizes.append(pictures[rows[-1][0]].size)
        pixels = np.stack([each.pixels for each in pictures])
        return Seen(places, pixels, rows, sizes)

    def _read(self, source: tuple[str, bool]) -> Pictures | ImageError:
        path, is_clip = source
        try:
            if not is_clip:
                image, size = load_scaled(path, side=self.image_size)
                return (Shown(to_array(image, size=self.image_size), size),)
            frames = read_frames(path, frames=self.frames)
            return tuple(Shown(to_array(each, size=self.image_size), each.size) for each in frames)
        except ImageError as error:
            return error

    def _leave(self, place: int, reason: str) -> None:
        self.left_out.append(LeftOut(str(self.records[place].source), reason))


def _sources(record: Record) -> list[tuple[str, bool]]:
    """The files of a record, and whether each is a clip."""
    if record.video is not None:
        return [(record.video, True)]
    return [(path, False) for path in record.images]
