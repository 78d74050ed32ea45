"""A linear probe: how well a linear classifier reads classes off a frozen model's vectors.

Radford et al., arXiv 2103.00020, appendix A.3: multinomial logistic regression by L-BFGS, its L2
strength chosen on a part of the training examples, then fitted to all of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mplug.errors import DataError

STRENGTHS = tuple(10.0**power for power in range(-6, 3))  # of L2, per example
HELD_BACK = 5  # every fifth example of a class chooses the strength
ITERATIONS = 300  # of L-BFGS, at most

Features = npt.NDArray[np.float32]


class Probe(NamedTuple):
    """A fitted classifier: standardised features times weights, plus biases."""

    classes: tuple[str, ...]
    mean: Float[Tensor, "dim"]
    scale: Float[Tensor, "dim"]
    weights: Float[Tensor, "dim classes"]
    biases: Float[Tensor, "classes"]
    strength: float  # of L2, as chosen

    def predict(self, features: Features) -> list[str]:
        """The likeliest class of each row."""
        rows = (_tensor(features) - self.mean) / self.scale
        best = (rows @ self.weights + self.biases).argmax(dim=1)
        return [self.classes[place] for place in best.tolist()]


def fit_probe(
    features: Features, labels: Sequence[str], *, strengths: Sequence[float] = STRENGTHS
) -> Probe:
    """A probe of rows of features [examples, dim] with their labels.

    Raises:
        DataError: all labels are the same.
    """
    classes = tuple(dict.fromkeys(sorted(labels)))
    if len(classes) < 2:
        raise DataError(f"a probe tells classes apart, and every label is {classes[0]!r}")
    rows = _tensor(features)
    mean, scale = rows.mean(dim=0), rows.std(dim=0, unbiased=False)
    scale = torch.where(scale > 0, scale, 1.0)
    rows = (rows - mean) / scale
    targets = torch.tensor([classes.index(label) for label in labels])
    strength = _choose(rows, targets, classes=len(classes), strengths=strengths)
    weights, biases = _fit(rows, targets, classes=len(classes), strength=strength)
    return Probe(classes, mean, scale, weights, biases, strength)


def _choose(
    rows: Float[Tensor, "examples dim"],
    targets: Int[Tensor, "examples"],
    *,
    classes: int,
    strengths: Sequence[float],
) -> float:
    """The strength that errs least on examples held back; of equals, the strongest.

    Of a class with fewer than `HELD_BACK` examples, all are learned from.
    """
    held = torch.zeros(len(rows), dtype=torch.bool)
    for number in range(classes):
        places = torch.nonzero(targets == number).flatten()
        held[places[HELD_BACK - 1 :: HELD_BACK]] = True
    if len(strengths) == 1 or not bool(held.any()):
        return max(strengths)
    scores = {}
    for strength in sorted(strengths, reverse=True):
        weights, biases = _fit(rows[~held], targets[~held], classes=classes, strength=strength)
        right = (rows[held] @ weights + biases).argmax(dim=1) == targets[held]
        scores[strength] = float(right.float().mean())
    return max(scores, key=lambda strength: scores[strength])


def _fit(
    rows: Float[Tensor, "examples dim"],
    targets: Int[Tensor, "examples"],
    *,
    classes: int,
    strength: float,
) -> tuple[Float[Tensor, "dim classes"], Float[Tensor, "classes"]]:
    """Weights and biases of the least cross-entropy plus half the strength times the squares."""
    weights = torch.zeros(rows.shape[1], classes, dtype=rows.dtype, requires_grad=True)
    biases = torch.zeros(classes, dtype=rows.dtype, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights, biases], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        value = F.cross_entropy(rows @ weights + biases, targets)
        value = value + strength / 2 * weights.square().sum()
        torch.autograd.backward(value)
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), biases.detach()


def _tensor(features: Features) -> Float[Tensor, "examples dim"]:
    return torch.from_numpy(np.asarray(features, dtype=np.float64))
