import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mplug.errors import DataError
from mplug.tasks.linear_probe import fit_probe


def clouds(*, seed: int, apart: float) -> tuple[np.ndarray, list[str]]:
    """Three clouds of points whose widths and places all differ."""
    random = np.random.default_rng(seed)
    labels = ["cat", "dog", "newt"] * 20
    centres = {"cat": (0, 0, 5), "dog": (0, apart, 5), "newt": (apart, 0, 5)}
    points = [np.array(centres[label]) + random.normal(0, [1, 2, 3]) for label in labels]
    return np.array(points, dtype=np.float32), labels


def test_what_is_apart_is_told_apart() -> None:
    features, labels = clouds(seed=0, apart=20)
    asked, truth = clouds(seed=1, apart=20)
    assert fit_probe(features, labels).predict(asked) == truth


def test_it_is_the_least_of_its_loss() -> None:
    features, labels = clouds(seed=0, apart=2)
    probe = fit_probe(features, labels, strengths=[0.1])
    rows = (torch.from_numpy(features).double() - probe.mean) / probe.scale
    targets = torch.tensor([probe.classes.index(label) for label in labels])
    weights, biases = probe.weights.clone().requires_grad_(), probe.biases.clone().requires_grad_()
    loss = F.cross_entropy(rows @ weights + biases, targets) + 0.05 * weights.square().sum()
    torch.autograd.backward(loss)
    for tensor in (weights, biases):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() < 1e-4


def test_a_constant_feature_changes_nothing() -> None:
    features, labels = clouds(seed=0, apart=3)
    asked, _ = clouds(seed=1, apart=3)
    wider, more = (np.pad(rows, ((0, 0), (0, 1)), constant_values=7) for rows in (features, asked))
    assert fit_probe(wider, labels).predict(more) == fit_probe(features, labels).predict(asked)


def test_labels_that_say_nothing_are_met_with_a_strong_penalty() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 30)).astype(np.float32)
    assert fit_probe(features, ["a"] * 40 + ["b"] * 20).strength >= 0.1


def test_one_class_is_none() -> None:
    with pytest.raises(DataError, match="every label is 'cat'"):
        fit_probe(np.zeros((2, 3), dtype=np.float32), ["cat", "cat"])
