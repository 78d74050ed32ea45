"""Records whose pictures are regions in a folder: captions, and every task of UNITER's."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mplug.data.asking import phrase_ids, question_ids, statement_ids
from mplug.data.batch import identity
from mplug.data.dataset import usable
from mplug.data.fields import Box
from mplug.data.items import Item, Target
from mplug.data.media import ImageError, image_size
from mplug.data.records import Record
from mplug.data.regions.batch import RegionExample, RegionTaskExample
from mplug.data.regions.stored import Floats, Regions, load_regions
from mplug.data.task_records import HAS, LABELS, answer_weights
from mplug.data.text import clean_caption
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError

SUFFIX = ".npz"
ENCODER = "encoder.txt"  # beside the regions: the model that described them
RIGHT = 0.5  # intersection over union from which on a region is the one a phrase means
NAMES = {"retrieve": "retrieval"}  # what records call a task, where it is not the same


@dataclass(frozen=True)
class RegionFolder:
    """A folder with a file of regions for each picture, named as the picture is."""

    folder: Path
    confidence: float = 0.2
    at_least: int = 10
    at_most: int = 100

    def file(self, picture: str) -> Path:
        """Where the regions of a picture are: `photos/Cat.jpg` has `Cat.npz`, or `cat.npz`."""
        stem = Path(picture).stem
        file = self.folder / f"{stem}{SUFFIX}"
        lower = self.folder / f"{stem.lower()}{SUFFIX}"
        return lower if not file.is_file() and lower.is_file() else file

    def regions(self, picture: str) -> Regions:
        """The surest regions of a picture.

        Raises:
            ImageError: it has no file, or one that cannot be used.
        """
        try:
            found = load_regions(self.file(picture))
        except DataError as error:
            raise ImageError(picture, str(error)) from error
        return found.kept(confidence=self.confidence, at_least=self.at_least, at_most=self.at_most)


class RecordRegions:
    """Records with one picture and captions; an epoch visits each once, in its own order.

    Raises:
        DataError: no record has one picture and a caption.
    """

    def __init__(
        self,
        records: Iterable[Record],
        folder: RegionFolder,
        *,
        tokenizer: Tokenizer,
        max_words: int,
    ) -> None:
        self.records = [record for record in records if HAS["retrieval"](record)]
        if not self.records:
            raise DataError("no record has one picture and a caption")
        self.folder, self.tokenizer, self.max_words = folder, tokenizer, max_words

    def __len__(self) -> int:
        """Records in an epoch."""
        return len(self.records)

    def example(self, position: int, *, seed: int) -> RegionExample:
        """A picture's regions with one of its captions.

        Raises:
            DataError: neither the record nor any of many substitutes can be used.
        """
        example, skipped = usable(
            len(self),
            position=position,
            seed=seed,
            make=lambda item, random: self.captioned(self.records[item], random),
            source=lambda item: self.records[item].source,
        )
        return replace(example, skipped=skipped)

    def captioned(self, record: Record, random: np.random.Generator) -> RegionExample:
        """The regions of a record's picture, with a caption drawn among its own.

        Raises:
            ImageError: the regions cannot be read, or the caption has no words.
        """
        caption = clean_caption(record.caption[int(random.integers(len(record.caption)))])
        words = self.tokenizer.encode(caption)[: self.max_words]
        path = record.images[0]
        if not words:
            raise ImageError(path, "its caption has no words left after clean-up")
        return RegionExample(
            regions=self.folder.regions(path),
            ids=[self.tokenizer.cls_id, *words, self.tokenizer.sep_id],
            image_id=identity(record.image_id or path),
            caption_id=identity(caption),
        )


class RecordRegionTasks:
    """Records with what each task asks of their pictures; an epoch visits each once.

    `answers` gives the place of each answer in the list that the model chooses from.

    Raises:
        DataError: a task is served by no record.
    """

    def __init__(
        self,
        records: Iterable[Record],
        folder: RegionFolder,
        *,
        tasks: Collection[str],
        tokenizer: Tokenizer,
        max_words: int,
        answers: Mapping[str, int],
    ) -> None:
        records = list(records)
        self.folder, self.tokenizer, self.answers = folder, tokenizer, answers
        self.max_words = max_words
        self.records = [
            (record, served)
            for record in records
            if (served := [task for task in tasks if HAS[NAMES.get(task, task)](record)])
        ]
        unserved = set(tasks) - {task for _, served in self.records for task in served}
        if unserved:
            raise DataError(f"tasks.{min(unserved)}: no record asks for it")
        self._captions = (
            RecordRegions(records, folder, tokenizer=tokenizer, max_words=max_words)
            if "retrieve" in tasks
            else None
        )

    def __len__(self) -> int:
        """Records in an epoch."""
        return len(self.records)

    def example(self, position: int, *, seed: int) -> RegionTaskExample:
        """A record's pictures with all that it asks of them.

        Raises:
            DataError: neither the record nor any of many substitutes can be used.
        """
        example, skipped = usable(
            len(self),
            position=position,
            seed=seed,
            make=self._example,
            source=lambda item: self.records[item][0].source,
        )
        return replace(example, skipped=skipped)

    def _example(self, item: int, random: np.random.Generator) -> RegionTaskExample:
        record, served = self.records[item]
        pictures = tuple(self.folder.regions(path) for path in record.images)
        asks: dict[str, Callable[[], Item | None]] = {
            "answer": lambda: self._question(record),
            "ground": lambda: self._phrase(record, pictures[0], random),
            "compare": lambda: self._statement(record, "compare"),
            "entail": lambda: self._statement(record, "entail"),
        }
        items = {task: one for task in served if task in asks and (one := asks[task]())}
        pair = None
        if self._captions is not None and "retrieve" in served:
            pair = self._captions.captioned(record, random)
        if not items and pair is None:
            raise ImageError(record.images[0], "nothing that is asked of it can be learned from")
        return RegionTaskExample(pictures, {task: (one,) for task, one in items.items()}, pair)

    def _question(self, record: Record) -> Item | None:
        """None where no answer is on the list."""
        targets = tuple(
            Target([self.answers[text]], weight)
            for text, weight in answer_weights(record.answers).items()
            if text in self.answers
        )
        text = question_ids(self.tokenizer, record.question or "", text=record.text)
        return Item((0,), self._cut(text), targets) if targets else None

    def _phrase(self, record: Record, regions: Regions, random: np.random.Generator) -> Item | None:
        """None where no region is near the box that is meant."""
        box = record.boxes[int(random.integers(len(record.boxes)))]
        width, height = image_size(Path(record.images[0]))
        shares = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
        overlaps = overlap(regions.boxes, shares)
        if overlaps.max() < RIGHT:
            return None
        text = phrase_ids(self.tokenizer, record.phrase or "")
        return Item((0,), self._cut(text), label=int(overlaps.argmax()), box=shares)

    def _statement(self, record: Record, task: str) -> Item:
        label = LABELS[task].index((record.label or "").strip().lower())
        text = statement_ids(self.tokenizer, record.statement or "", text=record.text)
        return Item(tuple(range(len(record.images))), self._cut(text), label=label)

    def _cut(self, text: Sequence[int]) -> list[int]:
        return list(text[: self.max_words + 1])


def described_by(folder: Path) -> str:
    """The model that described a folder's regions; empty where none is named."""
    file = folder / ENCODER
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def overlap(boxes: Floats, box: Box) -> Floats:
    """Intersection over union of each of `boxes` [regions, 4] with one."""
    one = np.asarray(box, dtype=np.float32)
    sides = np.minimum(boxes[:, 2:], one[2:]) - np.maximum(boxes[:, :2], one[:2])
    shared = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (one[2:] - one[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-12), dtype=np.float32)


def common_answers(records: Iterable[Record], *, at_most: int) -> tuple[str, ...]:
    """The answers that count most over all questions, in the order of the alphabet."""
    weights: dict[str, float] = {}
    for record in records:
        for text, weight in answer_weights(record.answers).items():
            weights[text] = weights.get(text, 0.0) + weight
    chosen = sorted(weights, key=lambda text: (-weights[text], text))[:at_most]
    return tuple(sorted(chosen))
