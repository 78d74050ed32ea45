import math

import pytest
import torch
from torch import Tensor

from mplug.inference.rank import ReleasedAnswerScore, rank_answers
from tests.inference.decoders import TableDecoder

TABLE = [[0.0, 0.6, 0.4, 0.0], [0.0, 0.3, 0.2, 0.5], [0.0, 0.05, 0.05, 0.9], [0.25] * 4]
# Start 0, end 3: "1", "2", "1 2", with padding behind.
ANSWERS = torch.tensor([[0, 1, 3, 0], [0, 2, 3, 0], [0, 1, 2, 3]])
MASK = torch.tensor([[True, True, True, False]] * 2 + [[True] * 4])
PROBABILITIES = [0.6 * 0.5, 0.4 * 0.9, 0.6 * 0.2 * 0.9]


def images(number: int) -> Tensor:
    return torch.zeros(number, 1, 1, dtype=torch.float64)


def test_answers_are_ranked_by_their_whole_probability() -> None:
    ranking = rank_answers(TableDecoder(TABLE), images(2), answers=ANSWERS, answers_mask=MASK)
    assert ranking.answers.tolist() == [[1, 0, 2]] * 2
    assert ranking.scores[0].exp().tolist() == pytest.approx([0.36, 0.3, 0.108])


def test_probabilities_are_shares_among_the_answers() -> None:
    ranking = rank_answers(TableDecoder(TABLE), images(1), answers=ANSWERS, answers_mask=MASK)
    total = sum(PROBABILITIES)
    assert ranking.probabilities[0].tolist() == pytest.approx(
        [0.36 / total, 0.3 / total, 0.108 / total]
    )


def test_only_answers_with_likely_first_words_are_scored() -> None:
    ranking = rank_answers(
        TableDecoder(TABLE), images(1), answers=ANSWERS, answers_mask=MASK, keep=2
    )
    assert ranking.answers.tolist() == [[0, 2]]


def test_the_released_rule_counts_the_first_word_twice() -> None:
    ranking = rank_answers(
        TableDecoder(TABLE),
        images(1),
        answers=ANSWERS,
        answers_mask=MASK,
        score=ReleasedAnswerScore(),
    )
    assert ranking.answers.tolist() == [[0, 1, 2]]
    assert ranking.scores[0, 0].item() == pytest.approx(math.log(0.6 * 0.6 * 0.5))


def test_answers_without_a_common_start_are_refused() -> None:
    for answers, mask in (
        (ANSWERS + torch.tensor([[0], [1], [0]]), MASK),
        (ANSWERS, MASK & torch.tensor([True, False, False, False])),
    ):
        with pytest.raises(ValueError, match="answers must share their start token"):
            rank_answers(TableDecoder(TABLE), images(1), answers=answers, answers_mask=mask)
