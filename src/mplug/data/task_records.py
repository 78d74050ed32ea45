"""Records to examples of every task: one record's pictures with everything that is asked of them.

What a record asks, by task: to be captioned or found (`caption`), a `question`, the box of a
`phrase`, whether a `statement` is true of two pictures, and whether one picture entails it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from mplug.data.asking import answer_ids, phrase_ids, question_ids, statement_ids
from mplug.data.batch import Example, identity
from mplug.data.check import BOX_SLACK
from mplug.data.dataset import usable
from mplug.data.fields import Answer, Box
from mplug.data.items import ENTAILMENT, TRUTH, Item, Target, TaskExample
from mplug.data.media import MAX_PIXELS, ImageError, load_image
from mplug.data.records import LISTED, Record
from mplug.data.task_augment import TaskAugmentation
from mplug.data.text import clean_caption, lower_caption
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import Pixels, to_array
from mplug.data.video import read_frames
from mplug.errors import ConfigError, DataError

LONGEST_READ = 80  # pieces of a question with what follows it, as released
LABELS = {"compare": TRUTH, "entail": ENTAILMENT}

# What each task needs of a record, and whether a record has it.
NEEDS = {
    "retrieval": "one image and a caption",
    "caption": "one image or clip and a caption",
    "answer": "one image or clip, a question and answers that count",
    "ground": "one image, a phrase and boxes",
    "compare": "two images, a statement and a label",
    "entail": "one image, a statement and a label",
}
HAS: dict[str, Callable[[Record], bool]] = {
    "retrieval": lambda record: bool(len(record.images) == 1 and record.caption),
    "caption": lambda record: bool(_shows_one(record) and record.caption),
    "answer": lambda record: bool(
        _shows_one(record) and record.question and answer_weights(record.answers)
    ),
    "ground": lambda record: bool(len(record.images) == 1 and record.phrase and record.boxes),
    "compare": lambda record: bool(len(record.images) == 2 and record.statement and record.label),
    "entail": lambda record: bool(len(record.images) == 1 and record.statement and record.label),
}


class TaskRecords:
    """Examples of the tasks that records serve; an epoch visits each once, in its own order.

    Where captions are learned, a record counts once for each of them. Of several boxes, and of
    several captions for retrieval alone, one is drawn each time. A picture or clip that cannot be
    used is named in the example's `skipped`, and another record takes its place.

    Args:
        tasks: which of retrieval, caption, answer, ground, compare and entail to ask for.
        max_words: pieces of a caption or an answer, without [CLS] and [SEP].
        augmentation: changes pictures and what is asked of them; None leaves them as they are.
        prompt: what every caption to be written begins with.
        frames: that are read of a clip.
        longest_read: pieces that the text encoder is given of anything else, [CLS] among them.

    Raises:
        ConfigError: a task is unknown or missing.
        DataError: a record serves none of the tasks or has a label that does not exist, or a task
            is served by no record.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        tasks: Collection[str],
        tokenizer: Tokenizer,
        image_size: int,
        max_words: int,
        augmentation: TaskAugmentation | None = None,
        prompt: str = "",
        frames: int = 8,
        max_pixels: int = MAX_PIXELS,
        longest_read: int = LONGEST_READ,
    ) -> None:
        unknown = sorted(set(tasks) - set(NEEDS))
        if unknown or not tasks:
            raise ConfigError(
                f"{', '.join(unknown) or 'no task'}: records can serve {', '.join(NEEDS)}"
            )
        self.tasks = tuple(task for task in NEEDS if task in tasks)
        _require_work(records, self.tasks)
        self.records = records
        self.tokenizer = tokenizer
        self.image_size = image_size
        self.max_words = max_words
        self.augmentation = augmentation
        self.prompt = prompt
        self.frames = frames
        self.max_pixels = max_pixels
        self.longest_read = longest_read
        self._places = _one_per_caption(records, expand="caption" in self.tasks)
        self._references: defaultdict[str, list[str]] = defaultdict(list)
        if "caption" in self.tasks:
            for record in records:
                self._references[_picture(record)].extend(record.caption)

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._places)

    def example(self, position: int, *, seed: int) -> TaskExample:
        """The example at `position`, counted over all epochs.

        Raises:
            DataError: neither the record nor any of many substitutes can be used.
            MissingExtraError: it shows a clip, and PyAV is not installed.
        """
        example, skipped = usable(
            len(self),
            position=position,
            seed=seed,
            make=self._example,
            source=lambda item: self.records[int(self._places[item, 0])].source,
        )
        return replace(example, skipped=skipped)

    def _example(self, item: int, random: np.random.Generator) -> TaskExample:
        place, caption = (int(each) for each in self._places[item])
        record = self._asked(self.records[place], caption=caption, random=random)
        images = self._images(record)
        if record.boxes:
            box = _inside(record.boxes[0], images[0].size, name=record.images[0])
            record = replace(record, boxes=(box,))
        shown = images
        if self.augmentation is not None:
            shown, record = self.augmentation(images, record, random=random)
        arrays = tuple(to_array(image, size=self.image_size) for image in shown)
        items = {
            task: (self._item(task, record, shown),)
            for task in self._served(record)
            if task != "retrieval"
        }
        pairs = self._pairs(record, arrays[0]) if "retrieval" in self._served(record) else ()
        return TaskExample(arrays, items, pairs)

    def _served(self, record: Record) -> tuple[str, ...]:
        return tuple(task for task in self.tasks if HAS[task](record))

    def _asked(self, record: Record, *, caption: int, random: np.random.Generator) -> Record:
        """The record without what these tasks do not ask, one caption and one box drawn.

        Its caption is followed by all references, where it is to be written.
        """
        served = self._served(record)
        captions: tuple[str, ...] = ()
        if "caption" in served:
            captions = (record.caption[caption], *self._references[_picture(record)])
        elif "retrieval" in served:
            captions = (record.caption[int(random.integers(len(record.caption)))],)
        boxes: tuple[Box, ...] = ()
        if "ground" in served:
            boxes = (record.boxes[int(random.integers(len(record.boxes)))],)
        said = "compare" in served or "entail" in served
        return replace(
            record,
            caption=captions,
            question=record.question if "answer" in served else None,
            answers=record.answers if "answer" in served else (),
            phrase=record.phrase if boxes else None,
            boxes=boxes,
            statement=record.statement if said else None,
        )

    def _images(self, record: Record) -> tuple[Image.Image, ...]:
        if record.video is not None:
            return tuple(read_frames(record.video, frames=self.frames))
        return tuple(load_image(path, max_pixels=self.max_pixels) for path in record.images)

    def _item(self, task: str, record: Record, images: Sequence[Image.Image]) -> Item:
        """What one task asks of the pictures, all of which it looks at."""
        places = tuple(range(len(images)))
        if task == "caption":
            target = Target(self._written(lower_caption(f"{self.prompt} {record.caption[0]}")))
            return Item(
                places, [self.tokenizer.cls_id], (target,), references=tuple(record.caption[1:])
            )
        if task == "answer":
            text = question_ids(self.tokenizer, record.question or "", text=record.text)
            return Item(places, text[: self.longest_read], self._answers(record.answers))
        if task == "ground":
            text = phrase_ids(self.tokenizer, record.phrase or "")
            box = _shares(record.boxes[0], images[0].size)
            return Item(places, text[: self.longest_read], box=box)
        text = statement_ids(self.tokenizer, record.statement or "", text=record.text)
        label = LABELS[task].index(_label(record))
        return Item(places, text[: self.longest_read], label=label)

    def _written(self, text: str) -> list[int]:
        pieces = self.tokenizer.encode(text)[: self.max_words]
        return [self.tokenizer.cls_id, *pieces, self.tokenizer.sep_id]

    def _answers(self, answers: Sequence[Answer]) -> tuple[Target, ...]:
        end = self.tokenizer.sep_id
        return tuple(
            Target([*answer_ids(self.tokenizer, text)[:-1][: self.max_words + 1], end], weight)
            for text, weight in answer_weights(answers).items()
        )

    def _pairs(self, record: Record, pixels: Pixels) -> tuple[Example, ...]:
        """The picture with its caption, as in pretraining."""
        caption = clean_caption(record.caption[0])
        words = self.tokenizer.encode(caption)[: self.max_words]
        path = record.images[0]
        if not words:
            raise ImageError(path, "its caption has no words left after clean-up")
        ids = [self.tokenizer.cls_id, *words, self.tokenizer.sep_id]
        return (Example(pixels, ids, identity(record.image_id or path), identity(caption)),)


def answer_weights(answers: Sequence[Answer]) -> dict[str, float]:
    """How much each different answer counts: the sum of its weights.

    Without weights (all are 1) it is the share of people who gave it (paper, section 4.2). What
    counts nothing is left out.
    """
    weights: defaultdict[str, float] = defaultdict(float)
    people = len(answers) if all(answer.weight == 1 for answer in answers) else 1
    for answer in answers:
        weights[lower_caption(answer.text)] += answer.weight / people
    return {text: weight for text, weight in weights.items() if weight > 0}


def _shows_one(record: Record) -> bool:
    return len(record.images) == 1 or record.video is not None


def _picture(record: Record) -> str:
    return record.image_id or record.video or record.images[0]


def _label(record: Record) -> str:
    return (record.label or "").strip().lower()


def _one_per_caption(records: Sequence[Record], *, expand: bool) -> np.ndarray:
    """Places of records and of their captions [examples, 2]."""
    written = HAS["caption"]
    counts = np.array(
        [len(record.caption) if expand and written(record) else 1 for record in records]
    )
    first = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.arange(counts.sum())
    return np.stack([np.repeat(np.arange(len(records)), counts), places - first], axis=1)


def _inside(box: Box, size: tuple[int, int], *, name: str) -> Box:
    """The part of a box that is in the picture; rounding may have put it a little outside."""
    (x0, y0, x1, y1), (width, height) = box, size
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    out = max(abs(a - b) for a, b in zip(box, inside, strict=True)) > BOX_SLACK
    if out or inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise ImageError(name, f"{list(box)} is outside the picture, which is {width} x {height}")
    return inside


def _shares(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    (x0, y0, x1, y1), (width, height) = box, size
    return x0 / width, y0 / height, x1 / width, y1 / height


def _require_work(records: Sequence[Record], tasks: Sequence[str]) -> None:
    """Every record serves a task, and every task is served."""
    if not records:
        raise DataError("there are no records to learn from")
    idle: list[str] = []
    served: set[str] = set()
    for record in records:
        mine = [task for task in tasks if HAS[task](record)]
        served.update(mine)
        wrong = next(_unknown_labels(record, mine), None)
        if wrong or not mine:
            idle.append(f"  {record.source}: {wrong or 'asks nothing that these tasks need'}")
    if idle:
        more = [f"  ... and {len(idle) - LISTED} more"] if len(idle) > LISTED else []
        needs = [f"  {task} needs {NEEDS[task]}" for task in tasks]
        raise DataError(
            "\n".join(
                [
                    f"{len(idle)} of {len(records)} records cannot be learned from:",
                    *idle[:LISTED],
                    *more,
                    *needs,
                ]
            )
        )
    unserved = [task for task in tasks if task not in served]
    if unserved:
        first = unserved[0]
        raise DataError(
            f"none of the {len(records)} records beginning at {records[0].source} serves "
            f"{first}, which needs {NEEDS[first]}: name other records as tasks.{first}.train and "
            f"tasks.{first}.validation"
        )


def _unknown_labels(record: Record, tasks: Sequence[str]) -> Iterator[str]:
    for task in tasks:
        if task in LABELS and _label(record) not in LABELS[task]:
            yield f"label: is {record.label!r}, not one of {', '.join(LABELS[task])}"
