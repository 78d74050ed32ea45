import math

import pytest
import torch
from torch import Tensor

from mplug.inference import rank
from mplug.inference.rank import ReleasedAnswerScore, rank_answers
from mplug.models.decoder import DecoderCache, TextDecoder
from tests.inference.decoders import TableDecoder
from tests.models.small import small_model

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


# Start 1, end 2. Many begin alike; one is the beginning of others, one comes twice.
LISTED = [[7], [7, 8], [9, 8, 6], [7, 8, 5], [9, 8, 4, 7], [6], [9], [7, 8, 5], [9, 8, 6, 3]]


def listed() -> tuple[Tensor, Tensor]:
    written = [torch.tensor([1, *answer, 2]) for answer in LISTED]
    lengths = torch.tensor([len(answer) for answer in written])
    ids = torch.nn.utils.rnn.pad_sequence(written, batch_first=True)
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def one_by_one(decoder: TextDecoder, memory: Tensor, mask: Tensor) -> Tensor:
    """The slow twin: every answer alone, all its words at once."""
    rows = []
    for row in range(len(memory)):
        scores = []
        for answer in LISTED:
            ids = torch.tensor([[1, *answer, 2]])
            logits = decoder(ids[:, :-1], None, memory[row : row + 1], mask[row : row + 1])
            said = logits.log_softmax(dim=2).gather(2, ids[:, 1:, None])
            scores.append(said.sum())
        rows.append(torch.stack(scores))
    return torch.stack(rows)


class CountingDecoder:
    """A decoder, and how many texts it reads at each step."""

    def __init__(self, decoder: TextDecoder) -> None:
        self.decoder = decoder
        self.rows: list[int] = []

    def start(self, memory: Tensor, memory_mask: Tensor | None = None) -> DecoderCache:
        return self.decoder.start(memory, memory_mask)

    def step(self, ids: Tensor, cache: DecoderCache) -> tuple[Tensor, DecoderCache]:
        self.rows.append(len(ids))
        return self.decoder.step(ids, cache)


@pytest.mark.parametrize("rows", [1, 4, 13, 512])
@pytest.mark.parametrize("keep", [None, 5])
def test_many_answers_score_as_they_do_one_by_one(
    keep: int | None, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank, "ROWS", rows)
    decoder, (ids, mask) = small_model().decoder, listed()
    memory = torch.randn(3, 6, 18, generator=torch.Generator().manual_seed(6))
    memory_mask = torch.arange(6) < torch.tensor([[4], [6], [1]])
    ranking = rank_answers(decoder, memory, memory_mask, answers=ids, answers_mask=mask, keep=keep)
    expected = one_by_one(decoder, memory, memory_mask)
    scores = expected.gather(1, ranking.answers)
    torch.testing.assert_close(ranking.scores, scores, atol=1e-5, rtol=1e-5)
    if keep is None:
        assert ranking.answers.sort(dim=1).values.tolist() == [list(range(len(LISTED)))] * 3


def test_a_beginning_is_read_once_and_what_has_ended_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder, (ids, mask) = CountingDecoder(small_model().decoder), listed()
    memory = torch.randn(1, 6, 18)
    rank_answers(decoder, memory, answers=ids, answers_mask=mask)
    # The start; 6, 7, 9; 7 8, 9 8; 7 8 5, 9 8 4, 9 8 6; 9 8 4 7, 9 8 6 3.
    assert decoder.rows == [1, 3, 2, 3, 2]
    monkeypatch.setattr(rank, "ROWS", 4)
    rank_answers(decoder, memory.expand(2, -1, -1), answers=ids, answers_mask=mask)
    assert max(decoder.rows[5:]) <= 4
