"""The cached searches write what a decoder writes that reads everything again at every word."""

import pytest
import torch
from torch import Tensor

from mplug.inference.rank import rank_answers
from mplug.models.decoder import TextDecoder
from tests.inference.decoders import UncachedDecoder
from tests.inference.searches import (
    MASK,
    SEARCHES,
    assert_same,
    three_memories,
    write,
    writing_model,
)
from tests.models.small import words


@pytest.fixture(scope="module")
def decoder() -> TextDecoder:
    return writing_model().decoder


@pytest.fixture(scope="module")
def memory() -> Tensor:
    return three_memories()


@pytest.mark.parametrize("name", SEARCHES)
def test_the_slow_twin_writes_the_same(name: str, decoder: TextDecoder, memory: Tensor) -> None:
    search = SEARCHES[name]
    assert_same(write(decoder, memory, search), write(UncachedDecoder(decoder), memory, search))


@pytest.mark.parametrize("name", ["greedy", "beam", "released"])
def test_other_images_in_the_batch_change_nothing(
    name: str, decoder: TextDecoder, memory: Tensor
) -> None:
    search = SEARCHES[name]
    together = write(decoder, memory, search)
    alone = [write(decoder, memory, search, rows=slice(row, row + 1))[0] for row in range(3)]
    assert_same(together, alone)


def test_the_texts_differ_in_length(decoder: TextDecoder, memory: Tensor) -> None:
    """Or the tests above would not show that images leave the batch at different times."""
    lengths = {len(texts[0].ids) for texts in write(decoder, memory, SEARCHES["beam"])}
    assert len(lengths) > 1


def test_the_slow_twin_ranks_the_same(decoder: TextDecoder, memory: Tensor) -> None:
    answers, answers_mask = words(5, 3, 4, 2, 5)
    answers[:, 0] = 1
    fast, slow = (
        rank_answers(one, memory, MASK, answers=answers, answers_mask=answers_mask)
        for one in (decoder, UncachedDecoder(decoder))
    )
    assert torch.equal(fast.answers, slow.answers)
    torch.testing.assert_close(fast.scores, slow.scores, atol=1e-5, rtol=1e-5)
