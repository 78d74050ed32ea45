"""The cached searches write what a decoder writes that reads everything again at every word."""

import pytest
import torch
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch, greedy
from mplug.inference.generate import Hypothesis, Search, generate
from mplug.inference.rank import rank_answers
from mplug.inference.released_beam import ReleasedBeamSearch
from mplug.inference.sampling import Sampling
from mplug.models.decoder import TextDecoder
from tests.inference.decoders import UncachedDecoder
from tests.models.small import small_model, words

END = 2
CONFIG = GenerationConfig(beams=4, min_tokens=2, max_tokens=11)
SEARCHES: dict[str, Search] = {
    "greedy": greedy(CONFIG),
    "beam": BeamSearch(CONFIG),
    "released": ReleasedBeamSearch(CONFIG),
    "sampling": Sampling(seeds=[1, 2, 3], config=CONFIG),
}


@pytest.fixture(scope="module")
def decoder() -> TextDecoder:
    decoder = small_model(seed=2).decoder
    decoder.head.bias.data[END] += 4.0  # so that texts end, at different lengths
    return decoder


@pytest.fixture(scope="module")
def memory() -> Tensor:
    return torch.randn(3, 6, 18, generator=torch.Generator().manual_seed(6)) * 3.0


MASK = torch.arange(6) < torch.tensor([[4], [6], [1]])
PROMPT = torch.tensor([[1, 9], [1, 8], [1, 9]])


def write(
    decoder: TextDecoder | UncachedDecoder,
    memory: Tensor,
    search: Search,
    *,
    rows: slice = slice(0, 3),
) -> list[list[Hypothesis]]:
    return generate(
        decoder, memory[rows], MASK[rows], prompt=PROMPT[rows], end_id=END, search=search, best=3
    )


def assert_same(made: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[text.ids for text in texts] for texts in made] == [
        [text.ids for text in texts] for texts in expected
    ]
    for texts, wanted in zip(made, expected, strict=True):
        scores = [text.score for text in wanted]
        assert [text.score for text in texts] == pytest.approx(scores, rel=1e-5, abs=1e-5)


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
