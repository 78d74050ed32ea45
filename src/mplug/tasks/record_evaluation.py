"""A model on records: what it says to each, and figures beside what is had without seeing.

Records are asked in their own order, each once. Those that ask nothing or whose picture cannot be
read are listed with the reason. Where records do not say what is right, as in the tests that
servers score, there are predictions and no figures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mplug.data.records import Record
from mplug.errors import DataError
from mplug.tasks.asked import Ask
from mplug.tasks.asker import Asker
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Progress, silent
from mplug.tasks.record_asks import ASKS, NEEDS, SAYS, picture_of, text_of
from mplug.tasks.record_captions import caption_scores
from mplug.tasks.record_reading import FRAMES, LeftOut, Reading
from mplug.tasks.record_scores import Reply, score_replies, unusable

NOTHING_RIGHT = "no record says what is right, so there are predictions and no figures"


@dataclass(frozen=True)
class Ways:
    """How a model is asked, where there is a choice."""

    answers: tuple[str, ...] = ()  # to choose from; none: its own words
    prompt: str | None = None  # that captions begin with
    frames: int = FRAMES  # of a clip


AS_TRAINED = Ways()


@dataclass(frozen=True)
class RecordEvaluation:
    """Figures on records, every reply, and the records that were not evaluated."""

    figures: tuple[Figure, ...]
    left_out: tuple[LeftOut, ...]
    replies: tuple[Reply, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()  # what could not be computed, and why


def evaluate_records(
    asker: Asker,
    records: Sequence[Record],
    *,
    task: str,
    split: str,
    learned: Sequence[Record] = (),
    ways: Ways = AS_TRAINED,
    progress: Progress = silent,
) -> RecordEvaluation:
    """Measure a model on `task` (not retrieval); `learned` are training records, for baselines.

    Raises:
        DataError: no record asks anything of a picture that can be read.
        MissingExtraError: a record has a clip, and the library that reads clips is missing.
    """
    asked, idle = asking(one_a_picture(records) if task == "caption" else records, task)
    replies, unread = _replies(asker, asked, task=task, ways=ways, progress=progress)
    told = [each for each in replies if each.seen and SAYS[task](each.record)]
    wrong = list(unusable(told, task))
    bad = {each.source for each in wrong}
    told = [each for each in told if str(each.record.source) not in bad]
    left_out = (*idle, *unread, *wrong)
    if not told:
        return RecordEvaluation((), left_out, tuple(replies), (NOTHING_RIGHT,))
    settings = {"beams": str(asker.generation.beams)}
    if task == "caption":
        scores = caption_scores(
            [each.said for each in told],
            [each.record.caption for each in told],
            blind=told[0].blind,
            learned=[text for record in learned for text in record.caption],
            split=split,
            settings={**settings, "prompt": ways.prompt or "none"},
        )
        return RecordEvaluation(scores.figures, left_out, tuple(replies), scores.notes)
    chosen = {"answers": f"of_{len(ways.answers)}"} if ways.answers else settings
    figures = score_replies(told, task=task, learned=learned, split=split, settings=chosen)
    return RecordEvaluation(tuple(figures), left_out, tuple(replies))


def asking(records: Sequence[Record], task: str) -> tuple[list[Record], list[LeftOut]]:
    """The records that ask `task` anything, and the others.

    Raises:
        DataError: there are none.
    """
    asked = [record for record in records if ASKS[task](record)]
    reason = f"asks nothing: {task} needs {NEEDS[task]}"
    idle = [LeftOut(str(each.source), reason) for each in records if not ASKS[task](each)]
    if not asked:
        where = f", beginning at {records[0].source}," if records else ""
        raise DataError(f"none of the {len(records)} records{where} can be used: {reason}")
    return asked, idle


def one_a_picture(records: Sequence[Record]) -> list[Record]:
    """A record for each picture, with all captions that its records have."""
    known: dict[str, Record] = {}
    for record in records:
        # What asks nothing stays by itself, to be listed.
        key = picture_of(record) if ASKS["caption"](record) else str(record.source)
        before = known.get(key)
        captions = record.caption if before is None else (*before.caption, *record.caption)
        known[key] = replace(before or record, caption=captions)
    return list(known.values())


def _replies(
    asker: Asker, records: Sequence[Record], *, task: str, ways: Ways, progress: Progress
) -> tuple[list[Reply], list[LeftOut]]:
    say = _say(asker, task, ways)
    reading = Reading(records, asker.observer.model.config.vision.image_size, frames=ways.frames)
    found: dict[int, tuple[Ask, Any, tuple[int, int]]] = {}
    for seen in reading.batches():
        asks = [
            _ask(task, records[place], rows, ways)
            for place, rows in zip(seen.places, seen.rows, strict=True)
        ]
        said = say(asker.observer.images(seen.pixels), asks)
        found |= zip(seen.places, zip(asks, said, seen.sizes, strict=True), strict=True)
        progress(max(found) + 1, len(records))
    if not found:
        raise DataError(
            f"the picture of none of the {len(records)} records can be read: {reading.left_out[0]}"
        )
    asks = [
        found[place][0] if place in found else _ask(task, record, (0,) * _count(record), ways)
        for place, record in enumerate(records)
    ]
    blind = asker.blind(say, asks)
    replies = [
        Reply(record, found[place][1], nothing, found[place][2])
        if place in found
        else Reply(record, nothing, nothing, seen=False)
        for place, (record, nothing) in enumerate(zip(records, blind, strict=True))
    ]
    return replies, reading.left_out


def _count(record: Record) -> int:
    return max(1, len(record.images))


def _ask(task: str, record: Record, rows: tuple[int, ...], ways: Ways) -> Ask:
    if task == "caption":
        return Ask(rows, ways.prompt or "")
    return Ask(rows, text_of(task, record), () if task == "ground" else record.text)


def _say(asker: Asker, task: str, ways: Ways) -> Callable[..., Sequence[Any]]:
    if task == "answer" and ways.answers:
        return partial(asker.choices, answers=ways.answers)
    methods: Mapping[str, Callable[..., Any]] = {
        "caption": asker.captions,
        "answer": asker.answers,
        "ground": asker.boxes,
        "compare": asker.truths,
        "entail": asker.labels,
    }
    return methods[task]
