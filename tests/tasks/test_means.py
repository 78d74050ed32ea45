"""Means over a batch, and validation figures with their verdicts."""

import pytest
import torch

from mplug.tasks.means import global_mean, summarise
from tests.tasks.little import ALONE


def test_one_process_has_the_plain_mean() -> None:
    assert global_mean(torch.tensor([1.0, 2.0, 6.0]), processes=ALONE) == 3.0


def test_without_terms_the_mean_is_nothing_and_still_has_a_gradient() -> None:
    terms = torch.zeros(0, requires_grad=True)
    mean = global_mean(terms, processes=ALONE)
    assert mean.detach() == 0
    assert mean.requires_grad


def test_only_counted_terms_make_the_mean_and_learn() -> None:
    terms = torch.tensor([1.0, torch.inf, 6.0], requires_grad=True)
    mean = global_mean(terms, processes=ALONE, counted=torch.tensor([True, False, True]))
    torch.autograd.backward(mean)
    assert mean.detach() == 3.5
    assert terms.grad is not None
    assert terms.grad.tolist() == [0.5, 0, 0.5]
    nothing = torch.zeros(3, dtype=torch.bool)
    assert global_mean(terms.detach(), processes=ALONE, counted=nothing) == 0


def test_figures_are_means_over_batches_beside_their_blind_values() -> None:
    pairs = {"itc": [(1.0, 2.0), (1.2, 2.2)], "mlm": [(3.0, 3.0), (3.1, 3.1)]}
    words = {"itc": "at chance", "mlm": "no better than blind"}
    assert summarise(pairs, otherwise=words) == pytest.approx(
        {
            "validation_itc": 1.1,
            "validation_itc_blind": 2.1,
            "learned_itc": 1,
            "validation_mlm": 3.05,
            "validation_mlm_blind": 3.05,
            "learned_mlm": 0,
        }
    )
