"""Reading a memory as it is gives what projecting it first gives."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.nn import attention as attention_module
from mplug.nn.attention import Attention
from mplug.nn.unprojected import pays_unprojected, read_unprojected
from tests.models.small import enliven

BATCH, QUERIES, KEYS, DIM, MEMORY, HEADS, HEADS_DIM = 3, 2, 41, 12, 10, 4, 24


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    made = Attention(DIM, num_heads=HEADS, memory_dim=MEMORY, heads_dim=HEADS_DIM)
    enliven(made)
    return made.eval()


def given() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, QUERIES, DIM, generator=generator)
    return x, torch.randn(BATCH, KEYS, MEMORY, generator=generator)


def masks(kind: str) -> Tensor | None:
    row = torch.arange(KEYS) < torch.tensor([KEYS, 7, 1])[:, None, None]
    if kind == "none":
        return None
    if kind == "keys":
        return row
    return row & (torch.rand(BATCH, QUERIES, KEYS) < 0.5) | (torch.arange(KEYS) == 0)


@pytest.mark.parametrize("kind", ["none", "keys", "queries"])
def test_it_is_its_slow_twin(attention: Attention, kind: str) -> None:
    x, memory = given()
    mask = masks(kind)
    found = attention.output(
        read_unprojected(attention.ask(x), memory, mask, key=attention.key, value=attention.value)
    )
    assert_close(found, attention.read(x, attention.project(memory), mask), atol=1e-5, rtol=1e-5)


def test_projections_without_a_bias_will_do(attention: Attention) -> None:
    x, memory = given()
    key, value = (nn.Linear(MEMORY, HEADS_DIM, bias=False) for _ in range(2))
    attention.key, attention.value = key, value
    found = read_unprojected(attention.ask(x), memory, None, key=key, value=value)
    wanted = attention.read(x, attention.project(memory), None)
    assert_close(attention.output(found), wanted, atol=1e-5, rtol=1e-5)


def key_calls(attention: Attention) -> list[int]:
    rows: list[int] = []
    attention.key.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    return rows


def test_few_queries_go_the_short_way_and_nobody_sees(attention: Attention) -> None:
    x, memory = given()
    rows = key_calls(attention)
    long = attention(x, memory, masks("keys"))
    assert rows == [BATCH]
    with torch.no_grad():
        short = attention(x, memory, masks("keys"))
    assert rows == [BATCH]
    assert_close(short, long.detach(), atol=1e-5, rtol=1e-5)


def test_many_queries_and_what_learns_go_the_long_way(attention: Attention) -> None:
    _, memory = given()
    rows = key_calls(attention)
    with torch.no_grad():
        attention(torch.randn(BATCH, KEYS, DIM), memory)
    assert rows == [BATCH]
    attention(*given())
    assert rows == [BATCH] * 2
    attention.train()
    attention.dropout = 0.5
    with torch.no_grad():
        attention(*given())
    assert rows == [BATCH] * 3


def test_it_pays_where_arithmetic_says(monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"keys": 257, "heads": 12, "memory_dim": 768, "heads_dim": 768}
    assert pays_unprojected(queries=1, **base)
    assert pays_unprojected(queries=25, **base)
    assert not pays_unprojected(queries=40, **base)
    assert not pays_unprojected(queries=16, **base | {"keys": 40})
    # A layer whose matrices are no plain float32 ones cannot be taken apart.
    made = Attention(DIM, num_heads=HEADS).eval()
    made.key = nn.Sequential(made.key)  # type: ignore[assignment]
    monkeypatch.setattr(attention_module, "pays_unprojected", lambda **_sizes: True)
    with torch.no_grad():
        made(torch.randn(1, 1, DIM), torch.randn(1, 5, DIM))
