"""Masked words: which are asked for, what stands in their place, and what an answer costs."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.objectives import masked_lm

ROWS, WORDS, VOCAB = 300, 41, 19
MASK, SPECIALS = 4, 6  # ids 0..5 are special tokens
ORDINARY = torch.arange(SPECIALS, VOCAB)


def masked(seed: int = 0) -> tuple[Tensor, Tensor, masked_lm.MaskedWords]:
    """Many random texts, a fifth of them special tokens, and their corruption."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(SPECIALS, VOCAB, (ROWS, WORDS), generator=generator)
    special = torch.rand(ROWS, WORDS, generator=generator) < 0.2
    ids = torch.where(special, torch.randint(0, SPECIALS, ids.shape, generator=generator), ids)
    found = masked_lm.mask_words(
        ids,
        maskable=~special,
        share=0.15,
        mask_id=MASK,
        replacements=ORDINARY,
        uniforms=torch.rand(ROWS, WORDS, 3, generator=generator),
    )
    return ids, special, found


def bounds(expected: float, count: int) -> float:
    """Four standard errors of a share among `count`."""
    return 4 * math.sqrt(expected * (1 - expected) / count)


def test_fifteen_of_a_hundred_words_are_asked_for() -> None:
    _, special, found = masked()
    words = int((~special).sum())
    assert found.asked.sum() / words == pytest.approx(0.15, abs=bounds(0.15, words))


def test_of_those_asked_for_eighty_are_masked_ten_replaced_and_ten_kept() -> None:
    ids, _, found = masked()
    asked = int(found.asked.sum())
    before, after = ids[found.asked], found.ids[found.asked]
    hidden, kept = after == MASK, after == before
    # A random word is the right one now and then.
    by_luck = 0.1 / len(ORDINARY)
    assert hidden.sum() / asked == pytest.approx(0.8, abs=bounds(0.8, asked))
    assert kept.sum() / asked == pytest.approx(0.1 + by_luck, abs=bounds(0.1, asked))


def test_special_tokens_are_never_asked_for_and_never_a_random_word() -> None:
    ids, special, found = masked()
    assert not (found.asked & special).any()
    random = found.asked & (found.ids != MASK)
    assert found.ids[random].min() >= SPECIALS
    assert set(found.ids[random].tolist()) == set(ORDINARY.tolist())


def test_words_that_are_not_asked_for_stay() -> None:
    ids, _, found = masked()
    assert_close(found.ids[~found.asked], ids[~found.asked])


def test_the_draw_is_a_function_of_its_uniform_numbers() -> None:
    ids = torch.tensor([[6, 7, 8, 9, 10]])
    first = [0.1499, 0.1499, 0.1499, 0.1501, 0.0]
    second = [0.7999, 0.8999, 0.9, 0.0, 0.9]
    third = [0.5, 0.5, 0.0, 0.5, 1 - 2**-24]
    found = masked_lm.mask_words(
        ids,
        maskable=torch.ones_like(ids, dtype=torch.bool),
        share=0.15,
        mask_id=MASK,
        replacements=torch.tensor([11, 12, 13]),
        uniforms=torch.tensor([first, second, third]).T[None],
    )
    assert found.ids.tolist() == [[MASK, 7, 11, 9, 13]]
    assert found.asked.tolist() == [[True, True, True, False, True]]


LOGITS = torch.tensor([[math.log(3), 0.0, 0.0], [0.0, 0.0, math.log(2)]])  # 3:1:1, 1:1:2
ASKED = torch.tensor([0, 1])


def test_a_word_costs_its_cross_entropy() -> None:
    losses = masked_lm.word_losses(LOGITS, ASKED)
    assert_close(losses, torch.tensor([-math.log(3 / 5), -math.log(1 / 4)]))


def test_distillation_asks_for_the_teachers_distribution_over_the_vocabulary() -> None:
    teacher = torch.tensor([[0.0, math.log(2), 0.0], [0.0, 0.0, 0.0]])  # 1:2:1, 1:1:1
    losses = masked_lm.distilled_word_losses(LOGITS, ASKED, teacher_logits=teacher, share=0.4)
    said = [[math.log(share) for share in row] for row in ((0.6, 0.2, 0.2), (0.25, 0.25, 0.5))]
    taught = [
        -(0.25 * said[0][0] + 0.5 * said[0][1] + 0.25 * said[0][2]),
        -(said[1][0] + said[1][1] + said[1][2]) / 3,
    ]
    expected = [
        0.6 * -said[0][0] + 0.4 * taught[0],
        0.6 * -said[1][1] + 0.4 * taught[1],
    ]
    assert_close(losses, torch.tensor(expected))


def test_without_a_share_for_the_teacher_distillation_is_the_plain_loss() -> None:
    teacher = torch.randn(2, 3, generator=torch.Generator().manual_seed(3))
    losses = masked_lm.distilled_word_losses(LOGITS, ASKED, teacher_logits=teacher, share=0.0)
    assert_close(losses, masked_lm.word_losses(LOGITS, ASKED))
