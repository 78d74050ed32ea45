"""A frozen model probed on records that have a picture and a label, beside what needs no model."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mplug.data.media import ImageError
from mplug.data.records import Record, read_records
from mplug.errors import DataError
from mplug.inference import zero_shot
from mplug.interfaces.api import load
from mplug.interfaces.embedding import Embedding
from mplug.interfaces.measure import score_of
from mplug.interfaces.report.content import Score
from mplug.metrics.bootstrap import mean_parts
from mplug.metrics.signature import accuracy_signature
from mplug.tasks.figures import Figure, figure_of
from mplug.tasks.linear_probe import fit_probe


def probe_file(
    source: str,
    *,
    train: Path,
    data: Path,
    templates: Sequence[str] = zero_shot.TEMPLATES,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> tuple[Score, ...]:
    """Accuracies on `data`: of a linear probe that learned on `train`, and by the labels' text.

    Raises:
        DataError: a file cannot be read, or holds no pictures with labels.
        CheckpointError: there is no such model.
    """
    if train.resolve() == data.resolve():
        raise DataError(f"{data}: is what the probe learns from: name another file to measure on")
    model: Embedding = load(source, device=device)
    learned, known = _features(model, train, report=report)
    asked, labels = _features(model, data, report=report)
    probe = fit_probe(learned, known)
    common = Counter(known).most_common(1)[0][0]
    beside = {
        "chance": 1 / len(probe.classes),
        "most_frequent": float(np.mean([label == common for label in labels])),
    }
    names = list(probe.classes)
    classes = zero_shot.class_vectors(names, templates=templates, embed=model.embed_text)
    nearest = [names[place] for place in (asked @ classes.T).argmax(axis=1)]
    split, strength = data.stem, f"{probe.strength:g}"
    settings = {"classes": str(len(names))}
    figures = (
        _figure(
            "linear_probe_accuracy",
            probe.predict(asked),
            labels,
            split=split,
            beside=beside,
            settings={**settings, "examples": str(len(known)), "l2": strength},
        ),
        _figure(
            "zero_shot_accuracy",
            nearest,
            labels,
            split=split,
            beside=beside,
            settings={**settings, "templates": str(len(templates))},
        ),
    )
    return tuple(score_of(figure, split=split) for figure in figures)


def _figure(
    metric: str,
    said: Sequence[str],
    labels: Sequence[str],
    *,
    split: str,
    beside: dict[str, float],
    settings: dict[str, str],
) -> Figure:
    right = [float(one == other) for one, other in zip(said, labels, strict=True)]
    signature = accuracy_signature(
        metric, split=split, counts={"pictures": len(labels)}, settings=settings
    )
    return figure_of("probe", signature, mean_parts(right), baselines=beside)


def _features(
    model: Embedding, file: Path, *, report: Callable[[str], None]
) -> tuple[np.ndarray, list[str]]:
    """Vectors and labels of the records that have both a label and a picture that can be read."""
    rows: list[np.ndarray] = []
    labels: list[str] = []
    for record in read_records(file).records:
        if record.label is None or len(record.images) != 1:
            continue
        try:
            rows.append(model.embed_image(record.images[0]))
        except ImageError as error:
            report(f"left out: {_place(record)}: {error}")
            continue
        labels.append(record.label)
    if not rows:
        raise DataError(f"{file}: holds no record with one picture and a label")
    report(f"{file}: {len(rows):,} pictures with labels")
    return np.stack(rows), labels


def _place(record: Record) -> str:
    return str(record.source)
