"""Classes by their names alone: a picture belongs to the name whose sentences are nearest.

Radford et al., arXiv 2103.00020, section 3.1: a name is put into several sentences (prompts), and
stands for the mean of their vectors.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mplug.errors import ConfigError, DataError

PLACE = "{}"
TEMPLATES = ("a photo of a {}.", "a picture of the {}.", "a drawing of a {}.", "{}")
MOST_TEMPLATES = 1000


def class_vectors(
    labels: Sequence[str],
    *,
    templates: Sequence[str],
    embed: Callable[[Sequence[str]], np.ndarray],
) -> np.ndarray:
    """Unit vectors [labels, dim]: of each label's sentences the mean of their unit vectors.

    `embed` gives the unit vectors of texts.

    Raises:
        ConfigError: there are no labels, or a template has no place for one.
    """
    if not labels or not templates:
        raise ConfigError(f"classifying takes {'templates' if labels else 'labels'}, one at least")
    wrong = [template for template in templates if PLACE not in template]
    if wrong:
        raise ConfigError(f"the template {wrong[0]!r} has no {PLACE}, the place of the label")
    sentences = [template.replace(PLACE, label) for label in labels for template in templates]
    vectors = np.asarray(embed(sentences), dtype=np.float64)
    means = vectors.reshape(len(labels), len(templates), -1).mean(axis=1)
    return normalised(means)


def probabilities(pictures: np.ndarray, classes: np.ndarray, *, logit_scale: float) -> np.ndarray:
    """How likely each class is for each picture [pictures, classes], from their unit vectors.

    `logit_scale` is the model's own: one over its temperature.
    """
    logits = logit_scale * (np.asarray(pictures, dtype=np.float64) @ classes.T)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def ranked(labels: Sequence[str], shares: np.ndarray) -> Mapping[str, float]:
    """The labels with their probabilities, likeliest first."""
    order = np.argsort(-shares, kind="stable")
    return {labels[place]: float(shares[place]) for place in order}


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.where(lengths > 0, lengths, 1.0)
    return unit


def read_templates(file: Path) -> tuple[str, ...]:
    """Templates from a text file, one a line.

    Raises:
        DataError: it cannot be read, or holds none or far too many.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    templates = tuple(line.strip() for line in lines if line.strip())
    if not 0 < len(templates) <= MOST_TEMPLATES:
        raise DataError(f"{file}: holds {len(templates)} templates, not 1 to {MOST_TEMPLATES}")
    return templates
