"""A lookup that sends back rows learns as `nn.Embedding` does; all gradients are dense."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from mplug.nn import word_lookup
from mplug.nn.word_lookup import WordLookup
from mplug.training.distributed import Processes
from tests.training.workers import codes, start_world

VOCAB, DIM = 19, 6
IDS = torch.tensor([[3, 3, 7], [0, 16, 3]])


@pytest.fixture(autouse=True)
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_lookup, "LARGE", 0)


def table(kind: type[nn.Embedding]) -> nn.Embedding:
    torch.manual_seed(0)
    return kind(VOCAB, DIM)


def loss(words: nn.Embedding, *, lookups: int, scores: bool) -> Tensor:
    states = sum(words(IDS + place) for place in range(lookups)) if lookups else torch.ones(2, DIM)
    assert isinstance(states, Tensor)
    total = states.square().sum()
    return total + (states @ words.weight.T).logsumexp(dim=-1).sum() if scores else total


@pytest.mark.parametrize(("lookups", "scores"), [(1, False), (3, False), (1, True), (2, True)])
def test_it_learns_as_the_plain_table_does(lookups: int, scores: bool) -> None:
    found, wanted = table(WordLookup), table(nn.Embedding)
    for _ in range(2):  # a second pass adds to the first one's gradient
        for words in (found, wanted):
            loss(words, lookups=lookups, scores=scores).backward()  # type: ignore[no-untyped-call]
    assert found.weight.grad is not None
    assert not found.weight.grad.is_sparse
    assert_close(found.weight.grad, wanted.weight.grad)
    assert_close(found(IDS), wanted(IDS))


def test_a_copy_learns_too() -> None:
    first = table(WordLookup)
    loss(first, lookups=1, scores=False).backward()  # type: ignore[no-untyped-call]
    second = copy.deepcopy(first)
    second.zero_grad()
    loss(second, lookups=1, scores=False).backward()  # type: ignore[no-untyped-call]
    assert_close(second.weight.grad, first.weight.grad)


def test_autocast_and_a_fused_update_see_nothing_of_it() -> None:
    found, wanted = table(WordLookup), table(nn.Embedding)
    for words in (found, wanted):
        optimizer = torch.optim.AdamW(words.parameters(), lr=0.1, fused=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            total = loss(words, lookups=2, scores=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert_close(found.weight, wanted.weight)


class Reader(nn.Module):
    """Two lookups of its own rows; with `scores`, the table scores words too."""

    def __init__(self, words: nn.Embedding, *, scores: bool) -> None:
        super().__init__()
        self.words, self.scores = words, scores

    def forward(self, ids: Tensor) -> Tensor:
        states = self.words(ids) + self.words(ids + 1)
        total = states.square().sum()
        scored = (states @ self.words.weight.T).logsumexp(dim=-1).sum()
        return total + scored if self.scores else total


def learn_as_one_of_two(together: Processes, folder: Path) -> None:
    word_lookup.LARGE = 0
    for scores in (True, False):
        reader = Reader(table(WordLookup), scores=scores)
        joined = DistributedDataParallel(
            reader, find_unused_parameters=True, gradient_as_bucket_view=True
        )
        for _ in range(2):  # the second time into the first one's buffers
            reader.zero_grad()
            joined(IDS[together.rank :][:1]).backward()
        gradient = reader.words.weight.grad
        torch.save(gradient, folder / f"gradient-{scores}-{together.rank}")


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    assert codes(start_world(2, learn_as_one_of_two, tmp_path)) == [0, 0]
    for scores in (True, False):
        alone = Reader(table(nn.Embedding), scores=scores)
        alone(IDS).backward()
        for rank in range(2):
            found = torch.load(tmp_path / f"gradient-{scores}-{rank}", weights_only=True)
            assert alone.words.weight.grad is not None
            assert_close(found, alone.words.weight.grad / 2)  # the mean of both processes'


def test_what_does_not_learn_and_what_is_small_goes_the_plain_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    embedding = F.embedding

    def noting(ids: Tensor, weight: Tensor, *options: Any, **named: Any) -> Tensor:
        asked.append(bool(named.get("sparse")))
        return embedding(ids, weight, *options, **named)

    monkeypatch.setattr(F, "embedding", noting)
    words = table(WordLookup)
    words(IDS)
    assert asked == [True]
    with torch.no_grad():
        words(IDS)
    words.requires_grad_(False)
    words(IDS)
    monkeypatch.setattr(word_lookup, "LARGE", VOCAB * DIM + 1)
    words.requires_grad_(True)
    words(IDS)
    assert not any(asked[1:])
