"""Clips to evaluate on: grouped from records, read and encoded a few at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mplug.data.records import Record
from mplug.data.transforms import to_array
from mplug.data.video import read_frames
from mplug.errors import DataError
from mplug.tasks.observer import Progress, silent
from mplug.tasks.video import CLIPS, ClipObserver, Clips

Asked = tuple[str, dict[str, float]]
"""A question, and the weight of every answer."""


@dataclass(frozen=True)
class ClipTest:
    """The clips of one split, and what its records say of each."""

    paths: tuple[str, ...]
    records: tuple[tuple[Record, ...], ...]  # of each clip
    split: str
    frames: int  # of a clip that the model is shown

    @classmethod
    def of(cls, records: Sequence[Record], *, split: str, frames: int) -> Self:
        """Group records by their clip; those without one are left out.

        Raises:
            DataError: no record has a clip.
        """
        owned: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.video is not None:
                owned[record.video].append(record)
        if not owned:
            raise DataError("no record has a video, so there are no clips to evaluate on")
        return cls(tuple(owned), tuple(map(tuple, owned.values())), split, frames)

    @property
    def captions(self) -> list[list[str]]:
        """The captions of each clip.

        Raises:
            DataError: a clip has none.
        """
        texts = [[text for record in each for text in record.caption] for each in self.records]
        for each, captions in zip(self.records, texts, strict=True):
            if not captions:
                raise DataError(f"{each[0].source}: a clip without a caption; each needs one here")
        return texts

    @property
    def questions(self) -> list[list[Asked]]:
        """The questions of each clip.

        Raises:
            DataError: there is no question with an answer.
        """
        asked = [questions_of(each) for each in self.records]
        if not any(asked):
            raise DataError(
                "no record has a video, a question and answers, so nothing can be asked"
            )
        return asked

    def watched(
        self, observer: ClipObserver, *, progress: Progress = silent
    ) -> Iterator[tuple[slice, Clips]]:
        """The clips encoded, a few at a time, and which of them they are.

        Raises:
            ImageError: a clip cannot be read; says which and why.
        """
        size = observer.observer.model.config.vision.image_size
        for start in range(0, len(self.paths), CLIPS):
            rows = slice(start, min(start + CLIPS, len(self.paths)))
            pixels = [
                [to_array(frame, size=size) for frame in read_frames(path, frames=self.frames)]
                for path in self.paths[rows]
            ]
            yield rows, observer.clips(np.array(pixels, dtype=np.float32))
            progress(rows.stop, len(self.paths))

    def blank(self, observer: ClipObserver) -> Clips:
        """One clip that shows nothing."""
        size = observer.observer.model.config.vision.image_size
        return observer.clips(np.zeros((1, self.frames, 3, size, size), dtype=np.float32))

    def settings(self, **others: str) -> dict[str, str]:
        """What decides the figures besides the records."""
        return {"frames": str(self.frames), **others}


def questions_of(records: Sequence[Record]) -> list[Asked]:
    """The questions of those records that ask one and answer it."""
    return [
        (record.question, {answer.text: answer.weight for answer in record.answers})
        for record in records
        if record.question is not None and record.answers
    ]
