"""Prefix language modelling: where captions are cut, and what is on either side."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.testing import assert_close

from mplug.models.decoder import shifted
from mplug.objectives import prefix_lm

PAD, CLS, SEP = 0, 2, 3
COUNT = 20_000


def lengths(words: int, *, empty_share: float) -> torch.Tensor:
    return prefix_lm.split_lengths(
        torch.full((COUNT,), words),
        empty_share=empty_share,
        uniforms=torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(words)),
    )


@pytest.mark.parametrize("words", [2, 3, 7])
def test_a_quarter_of_the_prefixes_is_empty_and_the_others_are_equally_likely(words: int) -> None:
    found = torch.bincount(lengths(words, empty_share=0.25), minlength=words) / COUNT
    assert len(found) == words  # a word is always left to write
    others = [0.75 / (words - 1)] * (words - 1)
    tolerance = 4 * 0.5 / math.sqrt(COUNT)
    assert_close(found, torch.tensor([0.25, *others]), atol=tolerance, rtol=0)


def test_a_caption_of_one_word_has_no_prefix() -> None:
    assert not lengths(1, empty_share=0.25).any()


def test_all_prefixes_can_be_empty() -> None:
    assert not lengths(5, empty_share=1.0).any()


def test_the_largest_uniform_number_still_leaves_a_word() -> None:
    almost_one = torch.full((28, 2), 1 - 2**-24)
    words = torch.arange(2, 30)
    found = prefix_lm.split_lengths(words, empty_share=0.25, uniforms=almost_one)
    assert_close(found, words - 1)


def test_a_caption_is_cut_by_hand() -> None:
    ids = torch.tensor([[CLS, 11, 12, 13, 14, SEP], [CLS, 21, 22, SEP, PAD, PAD]])
    cut = prefix_lm.split(ids, ids != PAD, prefix_words=torch.tensor([3, 0]), pad_id=PAD)
    assert cut.prefix.tolist() == [[CLS, 11, 12, 13], [CLS, PAD, PAD, PAD]]
    assert cut.prefix_mask.int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert cut.rest.tolist() == [[CLS, 14, SEP, PAD], [CLS, 21, 22, SEP]]
    assert cut.rest_mask.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert cut.empty.tolist() == [False, True]


captions = some.lists(some.integers(1, 9), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(captions, some.integers(0, 3), some.randoms(use_true_random=False))
def test_every_word_is_on_exactly_one_side(counts: list[int], padding: int, random: object) -> None:
    choose = getattr(random, "randrange")  # noqa: B009 - hypothesis' own random.Random
    width = max(counts) + 2 + padding
    ids, prefix_words = (
        torch.full((len(counts), width), PAD),
        torch.zeros(len(counts), dtype=torch.int64),
    )
    for row, count in enumerate(counts):
        words = [100 * (row + 1) + place for place in range(count)]
        ids[row, : count + 2] = torch.tensor([CLS, *words, SEP])
        prefix_words[row] = choose(count)
    cut = prefix_lm.split(ids, ids != PAD, prefix_words=prefix_words, pad_id=PAD)
    for row in range(len(counts)):
        prefix = cut.prefix[row][cut.prefix_mask[row]].tolist()
        rest = cut.rest[row][cut.rest_mask[row]].tolist()
        assert prefix[0] == rest[0] == CLS  # the rest begins again, at position 0
        assert prefix[1:] + rest[1:] == ids[row][ids[row] != PAD].tolist()[1:]
        assert len(prefix) == 1 + prefix_words[row]
        assert rest[-1] == SEP
        assert len(rest) > 2
    assert (cut.prefix[~cut.prefix_mask] == PAD).all()
    assert (cut.rest[~cut.rest_mask] == PAD).all()
    assert cut.prefix_mask.any(dim=0).all()  # no column is all padding
    assert cut.rest_mask.any(dim=0).all()


def test_the_end_is_the_last_target_and_padding_is_none() -> None:
    rest = torch.tensor([[CLS, 14, SEP, PAD], [CLS, 21, 22, SEP]])
    ids, mask, targets = shifted(rest, rest != PAD)
    assert ids.tolist() == [[CLS, 14, SEP], [CLS, 21, 22]]
    assert targets.tolist() == [[14, SEP, -100], [21, 22, SEP]]
    assert mask.tolist() == [[True, True, True], [True, True, True]]


def test_a_word_to_be_written_costs_its_cross_entropy() -> None:
    logits = torch.tensor([[math.log(3), 0.0, 0.0, 0.0]])  # 3:1:1:1
    losses = prefix_lm.next_word_losses(logits, torch.tensor([0]))
    assert losses.item() == pytest.approx(math.log(2))
    smooth = prefix_lm.next_word_losses(logits, torch.tensor([0]), label_smoothing=0.4)
    # 0.6 + 0.1 for the word, 0.1 for each of the three others.
    assert smooth.item() == pytest.approx(0.7 * math.log(2) + 0.3 * math.log(6))
