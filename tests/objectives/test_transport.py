import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from mplug.objectives import transport

DIM, LENGTHS, COUNTS = 6, (4, 2, 5), (3, 7, 1)
TEXT_MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
REGION_MASK = torch.arange(max(COUNTS)) < torch.tensor(COUNTS)[:, None]


def states(*, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(3, max(LENGTHS), DIM, generator=generator, dtype=torch.float64)
    regions = torch.randn(3, max(COUNTS), DIM, generator=generator, dtype=torch.float64)
    return words.to(dtype), regions.to(dtype)


def distances(words: Tensor, regions: Tensor, *, steps: int = transport.STEPS) -> Tensor:
    return transport.transport_distance(
        words, regions, text_mask=TEXT_MASK, region_mask=REGION_MASK, steps=steps
    )


def slowly(words: Tensor, regions: Tensor) -> float:
    """One pair, number by number."""
    m, n = len(words), len(regions)
    cost = [[1 - cosine_similarity(x, y, dim=0).item() for y in regions] for x in words]
    kernel = [[math.exp(-one / 0.5) for one in row] for row in cost]
    plan, scale = [[1.0] * n for _ in range(m)], [1 / m] * m
    for _ in range(50):
        moved = [[kernel[i][j] * plan[i][j] for j in range(n)] for i in range(m)]
        other = [1 / (n * sum(scale[i] * moved[i][j] for i in range(m))) for j in range(n)]
        scale = [1 / (m * sum(moved[i][j] * other[j] for j in range(n))) for i in range(m)]
        plan = [[scale[i] * moved[i][j] * other[j] for j in range(n)] for i in range(m)]
    return sum(cost[i][j] * plan[i][j] for i in range(m) for j in range(n))


def test_a_padded_batch_costs_what_its_pairs_cost_one_by_one() -> None:
    words, regions = states()
    slow = [slowly(words[row, : LENGTHS[row]], regions[row, : COUNTS[row]]) for row in range(3)]
    assert distances(words, regions).tolist() == pytest.approx(slow, abs=1e-12)


def test_padding_and_the_lengths_of_vectors_mean_nothing() -> None:
    words, regions = states()
    spoilt = words.masked_fill(~TEXT_MASK[..., None], 5.0) * 3
    padded = regions.masked_fill(~REGION_MASK[..., None], -4.0)
    assert_close(distances(spoilt, padded), distances(words, regions))


def test_a_plan_shares_out_every_word_and_every_region() -> None:
    words, regions = states()
    allowed = TEXT_MASK[..., None] & REGION_MASK[:, None]
    plan = transport.plan(transport.costs(words, regions), allowed=allowed)
    assert not plan[~allowed].any()
    shares = TEXT_MASK / TEXT_MASK.sum(dim=1, keepdim=True)
    assert_close(plan.sum(dim=2), shares.double())  # exact: words come last
    shares = REGION_MASK / REGION_MASK.sum(dim=1, keepdim=True)
    assert_close(plan.sum(dim=1), shares.double(), atol=1e-2, rtol=0)  # on the way there


def test_words_that_are_their_regions_cost_next_to_nothing_in_any_order() -> None:
    words = torch.eye(4, DIM)[None]
    all_there = torch.ones(1, 4, dtype=torch.bool)
    carry = partial(transport.transport_distance, text_mask=all_there, region_mask=all_there)
    same = carry(words, words.roll(1, dims=1))
    other = carry(words, words[:, :1].expand(-1, 4, -1))
    assert same.item() == pytest.approx(0.0, abs=1e-3)
    assert other.item() == pytest.approx(0.75)


def test_a_pair_without_words_or_regions_costs_nothing_and_has_a_gradient() -> None:
    words, regions = (one[:1].clone().requires_grad_() for one in states())
    empty, full = torch.zeros(1, 7, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool)
    distance = transport.transport_distance(words, regions, text_mask=full, region_mask=empty)
    distance.sum().backward()  # type: ignore[no-untyped-call]
    assert distance.tolist() == [0.0]
    assert words.grad is not None
    assert not words.grad.any()


def test_the_gradient_takes_the_plan_as_given() -> None:
    words, regions = states()
    words.requires_grad_()
    [gradient] = torch.autograd.grad(distances(words, regions).sum(), words)
    allowed = TEXT_MASK[..., None] & REGION_MASK[:, None]
    cost = transport.costs(words, regions)
    plan = transport.plan(cost.detach(), allowed=allowed)
    [expected] = torch.autograd.grad((plan * cost).sum(), words)
    assert_close(gradient, expected)


def test_half_precision_is_not_let_in() -> None:
    words, regions = states(dtype=torch.float32)
    exact = distances(words, regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(distances(words, regions), exact, atol=0.0, rtol=0.0)
    assert distances(words.bfloat16(), regions.bfloat16()).dtype == torch.float32


def test_alignment_draws_matched_pairs_together_and_others_apart() -> None:
    costs = torch.tensor([0.2, 0.5, 0.9], requires_grad=True)
    loss = transport.alignment(costs, torch.tensor([True, False, True]))
    assert loss.item() == pytest.approx((0.2 - 0.5 + 0.9) / 3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert costs.grad is not None
    assert costs.grad.tolist() == pytest.approx([1 / 3, -1 / 3, 1 / 3])
