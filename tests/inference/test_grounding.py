import itertools

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.inference.generate import Decoder
from mplug.inference.grounding import FoundBoxes, find_boxes
from mplug.models.decoder import TextDecoder
from tests.inference.decoders import TableDecoder, UncachedDecoder
from tests.models.small import enliven, small_config

START, BINS = 6, range(9, 16)  # seven bins, among 41 tokens


@pytest.fixture
def decoder() -> TextDecoder:
    config = small_config()
    decoder = TextDecoder(config.text, config.decoder).eval()
    enliven(decoder)
    return decoder


@pytest.fixture
def memory() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    mask = torch.arange(8) < torch.tensor([8, 5, 3])[:, None]
    return torch.randn(3, 8, 18, generator=generator), mask


def find(
    decoder: Decoder, memory: Tensor, mask: Tensor | None, *, beams: int = 1, apart: int = 1
) -> FoundBoxes:
    return find_boxes(
        decoder,
        memory,
        mask,
        start_id=START,
        box_ids=BINS,
        beams=beams,
        best=beams,
        apart=apart,
    )


def all_boxes(decoder: TextDecoder, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Every box there is, and its log-probability for one image, without cache or search."""
    bins = torch.tensor(list(itertools.product(range(len(BINS)), repeat=4)))
    ids = torch.cat([torch.full((len(bins), 1), START), bins[:, :3] + BINS.start], dim=1)
    rows = len(bins)
    logits = decoder(ids, None, memory.expand(rows, -1, -1), mask.expand(rows, -1))
    said = logits[..., BINS.start : BINS.stop].log_softmax(dim=-1)
    return bins, said.gather(2, bins[:, :, None])[..., 0].sum(dim=1)


@pytest.mark.parametrize(("beams", "apart"), [(1, 1), (3, 1), (3, 2)])
def test_cached_and_uncached_search_find_the_same_boxes(
    decoder: TextDecoder, memory: tuple[Tensor, Tensor], beams: int, apart: int
) -> None:
    cached = find(decoder, *memory, beams=beams, apart=apart)
    uncached = find(UncachedDecoder(decoder), *memory, beams=beams, apart=apart)
    assert cached.bins.shape == (3, beams, 4)
    assert torch.equal(cached.bins, uncached.bins)
    assert_close(cached.scores, uncached.scores, atol=1e-4, rtol=1e-4)


def test_a_wide_search_finds_the_likeliest_boxes_of_all(
    decoder: TextDecoder, memory: tuple[Tensor, Tensor]
) -> None:
    found = find(decoder, *memory, beams=7**3)
    for row in range(3):
        one = slice(row, row + 1)
        bins, scores = all_boxes(decoder, memory[0][one], memory[1][one])
        best = scores.topk(5)
        assert torch.equal(found.bins[row, :5], bins[best.indices])
        assert_close(found.scores[row, :5], best.values)


def test_other_images_and_padding_change_nothing(
    decoder: TextDecoder, memory: tuple[Tensor, Tensor]
) -> None:
    together = find(decoder, *memory, beams=2)
    for row, length in enumerate((8, 5, 3)):
        alone = find(decoder, memory[0][row : row + 1, :length], None, beams=2)
        assert torch.equal(alone.bins[0], together.bins[row])
        assert_close(alone.scores[0], together.scores[row], atol=1e-5, rtol=1e-5)


def test_nothing_but_coordinates_is_written() -> None:
    # After any token, the word 0 is by far the likeliest; of the bins 1, 2 and 3 the last.
    table = TableDecoder([[0.9, 0.02, 0.03, 0.05]] * 4)
    memory = torch.zeros(2, 1, 1, dtype=torch.float64)
    found = find_boxes(table, memory, start_id=0, box_ids=range(1, 4))
    assert found.bins.tolist() == [[[2, 2, 2, 2]]] * 2
    assert found.scores[0].exp().item() == pytest.approx(0.5**4)


def test_boxes_kept_apart_are_no_neighbours(
    decoder: TextDecoder, memory: tuple[Tensor, Tensor]
) -> None:
    found = find(decoder, *memory, beams=5, apart=3)
    for boxes in found.bins:
        for first, second in itertools.combinations(boxes, 2):
            assert (first - second).abs().max() >= 3


def test_where_no_further_box_is_far_enough_away_its_score_says_so() -> None:
    table = TableDecoder([[0.25] * 4] * 4)
    memory = torch.zeros(1, 1, 1, dtype=torch.float64)
    found = find_boxes(table, memory, start_id=0, box_ids=range(1, 4), beams=2, best=2, apart=9)
    assert found.scores.isinf().tolist() == [[False, True]]
