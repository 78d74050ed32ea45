"""Matching: which negatives may be drawn, how often, and what a pair costs."""

import math

import pytest
import torch
from torch.testing import assert_close

from mplug.objectives import matching

ROWS, BANK = 5, 7
SCORES = torch.randn(ROWS, BANK, generator=torch.Generator().manual_seed(0))
FORBIDDEN = torch.eye(ROWS, BANK, dtype=torch.bool)
ALMOST_ONE = 1 - 2**-24  # the largest number that torch.rand gives


def drawn(scores: torch.Tensor, forbidden: torch.Tensor, uniform: float) -> list[int]:
    uniforms = torch.full((len(scores),), uniform)
    return matching.hard_negatives(scores, forbidden=forbidden, uniforms=uniforms).indices.tolist()


@pytest.mark.parametrize("uniform", [0.0, 0.5, ALMOST_ONE])
@pytest.mark.parametrize("sharpness", [0.0, 1.0, 1000.0])
def test_a_forbidden_candidate_is_never_drawn(uniform: float, sharpness: float) -> None:
    forbidden = torch.rand(ROWS, BANK, generator=torch.Generator().manual_seed(1)) < 0.6
    forbidden[:, 3] = False
    forbidden[0] = torch.arange(BANK) != 3  # one is left
    indices = drawn(SCORES * sharpness, forbidden, uniform)
    assert not any(forbidden[row, index] for row, index in enumerate(indices))
    assert indices[0] == 3


def test_the_draw_is_a_function_of_its_uniform_number() -> None:
    scores = torch.tensor([[math.log(1), math.log(5), math.log(2), math.log(2)]])
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    edges = {0.0: 0, 0.09: 0, 0.11: 1, 0.59: 1, 0.61: 2, 0.79: 2, 0.81: 3, ALMOST_ONE: 3}
    assert {uniform: drawn(scores, nothing, uniform)[0] for uniform in edges} == edges
    only_two = torch.tensor([[True, False, True, False]])  # 5 : 2
    edges = {0.0: 1, 0.71: 1, 0.72: 3, ALMOST_ONE: 3}
    assert {uniform: drawn(scores, only_two, uniform)[0] for uniform in edges} == edges


def test_candidates_are_drawn_as_often_as_their_softmax_says() -> None:
    count = 40_000
    scores = SCORES[:1].expand(count, BANK)
    forbidden = FORBIDDEN[:1].expand(count, BANK)
    uniforms = torch.rand(count, generator=torch.Generator().manual_seed(2))
    found = matching.hard_negatives(scores, forbidden=forbidden, uniforms=uniforms).indices
    shares = torch.bincount(found, minlength=BANK) / count
    expected = SCORES[0].masked_fill(FORBIDDEN[0], -torch.inf).softmax(dim=0)
    assert_close(shares, expected, atol=4 * 0.5 / math.sqrt(count), rtol=0)


def test_without_hardness_every_candidate_is_as_likely() -> None:
    def entropies(hardness: float) -> list[float]:
        found = matching.hard_negatives(
            SCORES, forbidden=FORBIDDEN, uniforms=torch.zeros(ROWS), hardness=hardness
        )
        return found.entropy.tolist()

    assert entropies(0.0) == pytest.approx([math.log(BANK - 1)] * ROWS)
    assert all(soft > hard for soft, hard in zip(entropies(0.5), entropies(1.0), strict=True))


def test_the_entropy_says_how_hard_the_choice_is() -> None:
    scores = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 50.0]])
    forbidden = torch.tensor([[True, False, False, False]]).expand(2, 4)
    found = matching.hard_negatives(scores, forbidden=forbidden, uniforms=torch.zeros(2))
    assert_close(found.entropy, torch.tensor([math.log(3), 0.0]))


def test_a_row_without_candidates_is_not_counted() -> None:
    forbidden = FORBIDDEN.clone()
    forbidden[2] = True
    found = matching.hard_negatives(SCORES, forbidden=forbidden, uniforms=torch.rand(ROWS))
    assert found.valid.tolist() == [True, True, False, True, True]
    assert torch.isfinite(found.entropy).all()
    labels = matching.labels(found.valid, torch.ones(ROWS, dtype=torch.bool))
    assert labels.tolist() == [1, 1, 1, 1, 1, 0, 0, -100, 0, 0, 0, 0, 0, 0, 0]
    losses = matching.matching(torch.zeros(3 * ROWS, 2), labels)
    assert losses[7] == 0
    assert_close(losses[labels >= 0], torch.full((14,), math.log(2)))


def test_no_gradient_reaches_the_scores() -> None:
    scores = SCORES.clone().requires_grad_()
    found = matching.hard_negatives(scores, forbidden=FORBIDDEN, uniforms=torch.rand(ROWS))
    assert not found.entropy.requires_grad


def test_a_pair_costs_the_cross_entropy_of_its_label() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    losses = matching.matching(logits, torch.tensor([1, 0]))
    no, yes = math.log(1 + math.e), math.log(1 + math.e) - 1
    assert_close(losses, torch.tensor([yes, no]))


@pytest.mark.parametrize(("matched", "pairs"), [(1, 3), (1, 2), (2, 3)])
def test_a_model_that_only_knows_the_share_of_matched_pairs_pays_the_blind_loss(
    matched: int, pairs: int
) -> None:
    labels = torch.tensor([1] * matched + [0] * (pairs - matched))
    best_guess = torch.tensor([0.0, math.log(matched / (pairs - matched))]).expand(pairs, 2)
    loss = matching.matching(best_guess, labels).mean()
    assert_close(loss, matching.blind_loss(torch.tensor(matched / pairs)))


def test_who_sees_only_matched_pairs_pays_nothing() -> None:
    assert matching.blind_loss(torch.tensor(1.0)) == 0
