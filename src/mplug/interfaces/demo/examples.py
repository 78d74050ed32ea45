"""Single pictures for the report: what the model says of them as they come, and at its worst."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from mplug.data.transforms import to_image
from mplug.interfaces.demo.results import Results
from mplug.interfaces.report.content import Part
from mplug.interfaces.report.examples import (
    AskExample,
    BoxExample,
    CaptionExample,
    Picture,
    SearchExample,
    SearchResult,
)
from mplug.metrics.grounding import THRESHOLD
from mplug.metrics.objects import names_in, object_counts
from mplug.metrics.retrieval import ground_truth, order, ranks
from mplug.tasks.evaluation import Evaluation, Gallery
from mplug.tasks.failures import Failure, overlaps
from mplug.tasks.scene_clips import TASK as CLIPS
from mplug.tasks.scene_evaluation import TASKS, TaskEvaluation

CAPTIONS_SHOWN, SEARCHES_SHOWN, FOUND_SHOWN = 12, 4, 6
SHOWN_SEED = 0
ASKS_SHOWN = {"answer": 12, "ground": 12, "compare": 8, "entail": 12, CLIPS: 6}
WORST_CAPTIONS, WORST_SEARCHES = 6, 2
WORST_ASKS = {"answer": 6, "ground": 6, "compare": 4, "entail": 6, CLIPS: 2}


def captions(gallery: Gallery, evaluation: Evaluation) -> Iterator[CaptionExample]:
    """The first scenes of the gallery, which are in random order."""
    for row in range(min(CAPTIONS_SHOWN, len(gallery.scenes))):
        yield _caption(gallery, evaluation, row)


def worst_captions(gallery: Gallery, evaluation: Evaluation) -> Iterator[CaptionExample]:
    """Those of the fewest right names, of them those of the most wrong ones."""
    said = [names_in(text, gallery.names) for text in evaluation.captions]
    right, named, there = object_counts(said, gallery.objects).T
    for row in np.lexsort((right - named, right / there))[:WORST_CAPTIONS]:
        if said[row] != gallery.objects[row]:
            yield _caption(gallery, evaluation, int(row))


def searches(gallery: Gallery, evaluation: Evaluation) -> Iterator[SearchExample]:
    """The last scenes of the gallery, since the first ones are shown with their captions."""
    count = len(gallery.scenes)
    yield from _searched(gallery, evaluation, range(max(0, count - SEARCHES_SHOWN), count))


def worst_searches(gallery: Gallery, evaluation: Evaluation) -> Iterator[SearchExample]:
    """Those whose own picture comes last."""
    last = np.argsort(-_places(evaluation), kind="stable")[:WORST_SEARCHES]
    yield from _searched(gallery, evaluation, last.tolist())


def parts(results: Results) -> Iterator[Part]:
    """Every other task: some of what it asks of each split, and where it went worst."""
    for task in (*TASKS, CLIPS):
        found = [
            (evaluation, failures)
            for evaluation, failures in zip(results.asked, results.worst, strict=True)
            if evaluation.asked.task == task
        ]
        if task == "ground":
            yield Part(
                task,
                results.kinds(task),
                tuple(_box(each, row) for each, _ in found for row in _shown(each)),
                tuple(
                    _box(each, failure.row)
                    for each, worst in found
                    for failure in worst[: WORST_ASKS[task]]
                ),
            )
        else:
            yield Part(
                task,
                results.kinds(task),
                tuple(_ask(each, Failure(row)) for each, _ in found for row in _shown(each)),
                tuple(
                    _ask(each, failure)
                    for each, worst in found
                    for failure in worst[: WORST_ASKS[task]]
                ),
            )


def _shown(evaluation: TaskEvaluation) -> list[int]:
    """Asks drawn at random, in the gallery's order."""
    count = len(evaluation.asked.posed)
    wanted = min(count, ASKS_SHOWN[evaluation.asked.task])
    drawn = np.random.default_rng(SHOWN_SEED).choice(count, wanted, replace=False)
    return sorted(drawn.tolist())


def _caption(gallery: Gallery, evaluation: Evaluation, row: int) -> CaptionExample:
    each = gallery.scenes[row]
    return CaptionExample(
        _scene(gallery, row),
        gallery.split,
        evaluation.captions[row],
        (each.caption,),
        frozenset(each.scene.names),
    )


def _places(evaluation: Evaluation) -> np.ndarray:
    """At which place (from 1) each text finds its own picture."""
    table = evaluation.similarity.T
    return ranks(table, ground_truth(np.arange(len(table)), images=len(table)))


def _searched(
    gallery: Gallery, evaluation: Evaluation, rows: range | list[int]
) -> Iterator[SearchExample]:
    found, places = order(evaluation.similarity.T), _places(evaluation)
    for row in rows:
        first = found[row, :FOUND_SHOWN].tolist()
        missed = row not in first
        yield SearchExample(
            gallery.scenes[row].caption,
            gallery.split,
            tuple(
                SearchResult(_scene(gallery, place), right=place == row)
                for place in first[: FOUND_SHOWN - missed]
            ),
            place=round(float(places[row])),
            gallery=len(gallery.scenes),
            wanted=_scene(gallery, row) if missed else None,
        )


def _scene(gallery: Gallery, row: int) -> Picture:
    each = gallery.scenes[row]
    return _picture(Image.fromarray(each.scene.image), each.caption)


def _ask(evaluation: TaskEvaluation, failure: Failure) -> AskExample:
    asked, row = evaluation.asked, failure.row
    posed = asked.posed[row]
    return AskExample(
        tuple(_looked_at(evaluation, place) for place in posed.ask.pictures),
        asked.split,
        posed.ask.text,
        evaluation.said[row],
        posed.right,
        blind=evaluation.blind[row],
        sure=failure.sure,
    )


def _box(evaluation: TaskEvaluation, row: int) -> BoxExample:
    asked = evaluation.asked
    posed = asked.posed[row]
    left, top, right, bottom = map(float, evaluation.said[row])
    shared = float(overlaps(evaluation)[row])
    return BoxExample(
        _looked_at(evaluation, posed.ask.pictures[0]),
        asked.split,
        posed.ask.text,
        found=(min(left, right), min(top, bottom), max(left, right), max(top, bottom)),
        true=posed.boxes[0],
        overlap=shared,
        right=shared >= THRESHOLD,
    )


def _looked_at(evaluation: TaskEvaluation, place: int) -> Picture:
    asked = evaluation.asked
    return _picture(to_image(asked.pixels[place]), asked.shown[place])


def _picture(image: Image.Image, description: str) -> Picture:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return Picture(buffer.getvalue(), description)
