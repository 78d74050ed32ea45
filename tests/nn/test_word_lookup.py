"""A lookup that sends back rows learns as `nn.Embedding` does; all gradients are dense."""

import copy
from pathlib import Path
from typing import TypeVar

import pytest
import torch
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


Table = TypeVar("Table", bound=nn.Embedding)


def table(kind: type[Table]) -> Table:
    torch.manual_seed(0)
    return kind(VOCAB, DIM)


def scoring(words: nn.Embedding) -> Tensor:
    return words.scoring_weight() if isinstance(words, WordLookup) else words.weight


def loss(words: nn.Embedding, *, lookups: int, scores: int) -> Tensor:
    states = sum(words(IDS + place) for place in range(lookups)) if lookups else torch.ones(2, DIM)
    assert isinstance(states, Tensor)
    total = states.square().sum()
    for time in range(1, scores + 1):
        total = total + (time * states @ scoring(words).T).logsumexp(dim=-1).sum()
    return total


SOME = [(0, 1), (1, 0), (3, 0), (1, 1), (2, 1), (3, 2)]


@pytest.mark.parametrize(("lookups", "scores"), SOME)
def test_it_learns_as_the_plain_table_does(lookups: int, scores: int) -> None:
    found, wanted = table(WordLookup), table(nn.Embedding)
    for _ in range(2):  # a second pass adds to the first one's gradient
        for words in (found, wanted):
            loss(words, lookups=lookups, scores=scores).backward()  # type: ignore[no-untyped-call]
    assert found.weight.grad is not None
    assert not found.weight.grad.is_sparse
    assert_close(found.weight.grad, wanted.weight.grad)
    assert_close(found(IDS), wanted(IDS))


@pytest.mark.parametrize(("lookups", "scores"), SOME)
def test_a_gradient_that_is_asked_for_is_whole(lookups: int, scores: int) -> None:
    found, wanted = (
        torch.autograd.grad(loss(words, lookups=lookups, scores=scores), words.weight)[0]
        for words in (table(WordLookup), table(nn.Embedding))
    )
    assert_close(found.to_dense(), wanted)


@pytest.mark.parametrize("first_looked_up", [True, False])
def test_lookups_and_scores_may_come_in_any_order_and_through_the_plain_weight(
    first_looked_up: bool,
) -> None:
    gradients = []
    for words in (table(WordLookup), table(nn.Embedding)):
        scored = [scoring(words).square().sum(), words.weight.sum()]
        looked_up = [words(IDS).square().sum(), words(IDS).sum()]
        order = looked_up + scored if first_looked_up else scored + looked_up
        torch.stack(order).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append(words.weight.grad)
    assert_close(*gradients)


def test_a_pass_that_failed_leaves_nothing_to_the_next() -> None:
    words, wanted = table(WordLookup), table(nn.Embedding)
    states = words(IDS)
    states.register_hook(_fail)  # after the scores' gradient, before its own rows
    with pytest.raises(RuntimeError, match="on purpose"):
        (words(IDS) @ scoring(words).T + states.sum()).sum().backward()
    assert words.weight.grad is None
    for each in (words, wanted):
        loss(each, lookups=2, scores=1).backward()  # type: ignore[no-untyped-call]
    assert_close(words.weight.grad, wanted.weight.grad)


def _fail(gradient: Tensor) -> None:
    raise RuntimeError("on purpose")


def test_no_table_is_copied_to_add_rows() -> None:
    words = table(WordLookup)
    total = loss(words, lookups=3, scores=1)
    with torch.profiler.profile(record_shapes=True) as profile:
        total.backward()  # type: ignore[no-untyped-call]
    made = [
        event.name
        for event in profile.events() or ()
        if event.input_shapes and event.input_shapes[0] == [VOCAB, DIM]
    ]
    assert "aten::index_add_" in made
    assert not {"aten::add", "aten::clone", "aten::copy_"} & set(made)


def test_a_copy_learns_too() -> None:
    first = table(WordLookup)
    for scores in (0, 1):
        first.zero_grad()
        loss(first, lookups=1, scores=scores).backward()  # type: ignore[no-untyped-call]
        second = copy.deepcopy(first)
        second.zero_grad()
        loss(second, lookups=1, scores=scores).backward()  # type: ignore[no-untyped-call]
        assert_close(second.weight.grad, first.weight.grad)


def test_autocast_and_a_fused_update_see_nothing_of_it() -> None:
    found, wanted = table(WordLookup), table(nn.Embedding)
    for words in (found, wanted):
        optimizer = torch.optim.AdamW(words.parameters(), lr=0.1, fused=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            total = loss(words, lookups=2, scores=1)
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
        scored = (states @ scoring(self.words).T).logsumexp(dim=-1).sum()
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
    words = table(WordLookup)
    assert made_by(words(IDS)) == "_LookupBackward"
    with torch.no_grad():
        assert made_by(words(IDS)) is None
        assert words.scoring_weight() is words.weight
    words.requires_grad_(False)
    assert made_by(words(IDS)) is None
    assert words.scoring_weight() is words.weight
    monkeypatch.setattr(word_lookup, "LARGE", VOCAB * DIM + 1)
    words.requires_grad_(True)
    assert made_by(words(IDS)) == "EmbeddingBackward0"
    assert words.scoring_weight() is words.weight


def made_by(x: Tensor) -> str | None:
    return x.grad_fn.name() if x.grad_fn else None
