"""The schedule, the groups and the clipping, against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from mplug.training import optim
from mplug.training.optim import (
    build_optimizer,
    check_groups,
    clip_gradients,
    gradient_norm,
    learning_rate,
    set_learning_rate,
)
from mplug.training.task import Group

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (8, 0.55), (12, 0.1), (99, 0.1)],
)
def test_the_rate_climbs_then_follows_half_a_cosine(step: int, expected: float) -> None:
    rate = learning_rate(step, base=1.0, warmup_steps=4, steps=12, final_share=0.1)
    assert rate == pytest.approx(expected)


def test_without_warm_up_the_first_rate_is_the_peak() -> None:
    assert learning_rate(0, base=3.0, warmup_steps=0, steps=10, final_share=0.0) == 3.0


def test_a_run_shorter_than_its_warm_up_only_climbs() -> None:
    rates = [
        learning_rate(step, base=1.0, warmup_steps=10, steps=4, final_share=0.0)
        for step in range(4)
    ]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 3)
        self.linear = nn.Linear(3, 2)
        self.temperature = nn.Parameter(torch.tensor(0.07))
        self.frozen = nn.Linear(3, 2).requires_grad_(False)


def decays(net: Net) -> dict[str, float]:
    group = Group("all", list(net.named_parameters()), 0.1, frozenset({"words.weight"}))
    optimizer = build_optimizer([group], weight_decay=0.5, betas=(0.9, 0.99), device=CPU)
    return {
        name: split["weight_decay"] for split in optimizer.param_groups for name in split["names"]
    }


def test_weight_decay_spares_vectors_scalars_and_named_tables_and_frozen_stay_out() -> None:
    assert decays(Net()) == {
        "linear.weight": 0.5,
        "words.weight": 0.0,
        "linear.bias": 0.0,
        "temperature": 0.0,
    }


def test_each_group_follows_the_schedule_at_its_own_peak() -> None:
    net = Net()
    groups = [
        Group("slow", list(net.words.named_parameters()), 0.1),
        Group("fast", list(net.linear.named_parameters()), 0.4),
    ]
    optimizer = build_optimizer(groups, weight_decay=0.0, betas=(0.9, 0.99), device=CPU)
    largest = set_learning_rate(optimizer, step=0, warmup_steps=2, steps=9, final_share=0.0)
    assert largest == pytest.approx(0.2)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.05, 0.2, 0.2])  # words; then matrix and bias of the linear


def test_a_parameter_in_no_group_or_in_two_is_named() -> None:
    net = Net()
    trainable = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    twice = Group("again", [("linear.bias", net.linear.bias)], 0.1)
    with pytest.raises(ValueError, match=r"no group: \['temperature'\].*one: \['linear.bias'\]"):
        check_groups([Group("all", trainable[1:], 0.1), twice], trainable=trainable)
    check_groups([Group("all", trainable, 0.1)], trainable=trainable)


@pytest.mark.parametrize(("fused", "scaling"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize(("max_norm", "scale"), [(1.0, 0.2), (5.0, 1.0), (9.0, 1.0)])
def test_clipping_scales_all_gradients_together(
    max_norm: float, scale: float, fused: bool, scaling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optim, "FUSED_DEVICES", ("cpu",) if fused else ())
    monkeypatch.setattr(optim, "SCALING_DEVICES", ("cpu",) if scaling else ())
    first, second = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1, 1))
    unused = nn.Parameter(torch.zeros(2))
    group = Group("all", [("first", first), ("second", second), ("unused", unused)], 0.1)
    optimizer = build_optimizer([group], weight_decay=0.1, betas=(0.9, 0.99), device=CPU)
    set_learning_rate(optimizer, step=0, warmup_steps=0, steps=9, final_share=0.0)
    first.grad, second.grad = torch.tensor([3.0]), torch.tensor([[4.0]])
    norm = gradient_norm(optimizer)
    assert norm == 5.0
    clip_gradients(optimizer, norm=norm, max_norm=max_norm)
    optimizer.step()
    averages = [float(optimizer.state[each]["exp_avg"]) for each in (first, second)]
    assert averages == pytest.approx([0.1 * 3 * scale, 0.1 * 4 * scale], rel=1e-5)
    # Adam's first update is a whole rate whatever the scale; the matrix decays besides.
    values = [float(first.detach()), float(second.detach())]
    assert values == pytest.approx([1 - 0.1, 1 - 0.1 - 0.1 * 0.1], rel=1e-5)
    assert unused.grad is None


def test_the_norm_of_many_small_gradients_is_exact() -> None:
    torch.manual_seed(0)
    table, rest = nn.Parameter(torch.zeros(8_000, 768)), nn.Parameter(torch.zeros(5, 4, 3))
    optimizer = build_optimizer(
        [Group("all", [("table", table), ("rest", rest)], 0.1)],
        weight_decay=0.0,
        betas=(0.9, 0.99),
        device=CPU,
    )
    assert gradient_norm(optimizer) == 0.0
    table.grad = torch.randn_like(table) * 1e-3
    rest.grad = torch.randn(4, 5, 3).transpose(0, 1)
    wanted = sum(each.double().square().sum() for each in (table.grad, rest.grad)) ** 0.5
    assert float(gradient_norm(optimizer)) == pytest.approx(float(wanted), rel=1e-4)
