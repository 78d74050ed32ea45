import itertools
import math

import pytest
import torch
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch, greedy
from mplug.inference.generate import Hypothesis, generate, length_penalty
from tests.inference.decoders import TableDecoder

END = 3
# From the start (0): the word 1 is likelier than 2, but 2 ends at once and 1 does not know how.
TABLE = [
    [0.0, 0.6, 0.4, 0.0],
    [0.0, 0.4, 0.4, 0.2],
    [0.0, 0.1, 0.0, 0.9],
    [0.0, 0.5, 0.5, 0.0],
]
ONE_IMAGE = torch.zeros(1, 1, 1)
START = torch.tensor([[0]])


def search(
    decoder: TableDecoder,
    *,
    best: int = 1,
    prompt: Tensor = START,
    exponent: float = 0.0,
    **limits: int,
) -> list[Hypothesis]:
    config = GenerationConfig(length_exponent=exponent, **limits)
    memory = ONE_IMAGE.expand(len(prompt), -1, -1)
    [texts] = generate(
        decoder, memory, prompt=prompt, end_id=END, search=BeamSearch(config), best=best
    )
    return texts


def test_greedy_takes_the_likeliest_word_each_time() -> None:
    decoder = TableDecoder([[0.0, 0.6, 0.4, 0.0], [0.0, 0.1, 0.7, 0.2], TABLE[2], TABLE[3]])
    config = GenerationConfig(max_tokens=9, length_exponent=0.0)
    [[text]] = generate(decoder, ONE_IMAGE, prompt=START, end_id=END, search=greedy(config))
    assert text.ids == [0, 1, 2, END]
    assert text.score == pytest.approx(math.log(0.6 * 0.7 * 0.9))


def test_a_second_beam_finds_what_greedy_misses() -> None:
    [text] = search(TableDecoder(TABLE), beams=2, max_tokens=2)
    assert text.ids == [0, 2, END]
    assert text.score == pytest.approx(math.log(0.4 * 0.9))


def test_with_room_for_all_the_best_texts_are_found() -> None:
    decoder, longest = TableDecoder(TABLE), 3
    every = []
    for words in itertools.product((1, 2, END), repeat=longest):
        cut = words.index(END) + 1 if END in words else longest
        every.append((0, *words[:cut]))
    scores = {
        text: decoder.log_probability(list(text)) / length_penalty(len(text) - 1, exponent=0.6)
        for text in every
    }
    ranked = sorted((scores[text] for text in scores), reverse=True)
    found = search(decoder, beams=27, max_tokens=longest, best=6, exponent=0.6)
    assert [text.score for text in found] == pytest.approx(ranked[:6])
    assert [scores[tuple(text.ids)] for text in found] == pytest.approx(ranked[:6])
    assert len({tuple(text.ids) for text in found}) == 6  # some are as good as each other


def by_hand(
    decoder: TableDecoder, *, beams: int, longest: int, shortest: int
) -> list[tuple[float, tuple[int, ...]]]:
    """The slow twin: every continuation of every text is ranked."""
    texts: list[tuple[float, tuple[int, ...]]] = [(0.0, (0,))]
    for written in range(1, longest + 1):
        penalty = length_penalty(written, exponent=0.6)
        grown = []
        for score, text in texts:
            if text[-1] == END:
                grown.append((score, text))
                continue
            for word in range(decoder.logits.shape[1]):
                if word == END and written <= shortest:
                    continue
                longer = (*text, word)
                total = decoder.log_probability(list(longer))
                if total > -math.inf:
                    grown.append((total / penalty, longer))
        texts = sorted(grown, key=lambda each: -each[0])[:beams]
    return texts


@pytest.mark.parametrize("shortest", [0, 2])
@pytest.mark.parametrize("beams", [1, 2, 3, 7])
def test_the_few_best_words_of_each_text_are_enough(beams: int, shortest: int) -> None:
    generator = torch.Generator().manual_seed(beams)
    for _ in range(20):
        table = torch.rand(9, 9, generator=generator) ** 3
        decoder = TableDecoder((table / table.sum(dim=1, keepdim=True)).tolist())
        found = search(
            decoder, beams=beams, min_tokens=shortest, max_tokens=5, best=beams, exponent=0.6
        )
        wanted = by_hand(decoder, beams=beams, longest=5, shortest=shortest)
        # Some texts are as good as each other, so their scores are compared and not their words.
        assert [text.score for text in found] == pytest.approx([score for score, _ in wanted])
        for text in found:
            penalty = length_penalty(len(text.ids) - 1, exponent=0.6)
            assert text.score == pytest.approx(decoder.log_probability(text.ids) / penalty)


def test_an_ended_text_is_never_continued() -> None:
    texts = search(TableDecoder(TABLE), beams=4, max_tokens=6, best=4)
    assert len(texts) == 4
    assert all(END not in text.ids[:-1] for text in texts)


def test_an_ended_text_keeps_its_score() -> None:
    decoder = TableDecoder(TABLE)
    for text in search(decoder, beams=4, max_tokens=6, best=4, exponent=0.6):
        penalty = length_penalty(len(text.ids) - 1, exponent=0.6)
        assert text.score == pytest.approx(decoder.log_probability(text.ids) / penalty)


def test_texts_come_best_first_and_differ() -> None:
    texts = search(TableDecoder(TABLE), beams=5, max_tokens=5, best=5, exponent=0.6)
    scores = [text.score for text in texts]
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(text.ids) for text in texts}) == 5


def test_a_text_does_not_end_before_its_time() -> None:
    [text] = search(TableDecoder(TABLE), beams=3, min_tokens=3, max_tokens=8)
    assert len(text.ids) - 1 > 3


def test_a_text_is_cut_at_its_longest() -> None:
    decoder = TableDecoder([[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], TABLE[2], TABLE[3]])
    [text] = search(decoder, beams=2, max_tokens=4)
    assert text.ids == [0, 1, 1, 1, 1]


def test_the_search_stops_when_nothing_can_overtake() -> None:
    decoder = TableDecoder([[0.0, 0.05, 0.05, 0.9], [0.0, 0.5, 0.5, 0.0], TABLE[2], TABLE[3]])
    [text] = search(decoder, beams=2, min_tokens=0, max_tokens=20)
    assert text.ids == [0, END]
    assert decoder.steps == 1


def test_a_long_text_may_still_overtake_a_short_one() -> None:
    sure = [[0.0, 0.55, 0.0, 0.45], [0.0, 0.9, 0.0, 0.1], TABLE[2], TABLE[3]]
    [text] = search(TableDecoder(sure), beams=2, min_tokens=0, max_tokens=12, exponent=1.0)
    assert len(text.ids) == 13


def test_a_prompt_is_continued_and_not_scored() -> None:
    [text] = search(
        TableDecoder(TABLE), prompt=torch.tensor([[0, 1, 2]]), beams=2, min_tokens=0, max_tokens=2
    )
    assert text.ids == [0, 1, 2, END]
    assert text.score == pytest.approx(math.log(0.9))


def test_rows_may_have_prompts_of_their_own() -> None:
    decoder, prompts = TableDecoder(TABLE), torch.tensor([[0, 1], [0, 2]])
    config = GenerationConfig(beams=2, max_tokens=3)
    texts = generate(
        decoder, ONE_IMAGE.expand(2, -1, -1), prompt=prompts, end_id=END, search=BeamSearch(config)
    )
    assert [text[0].ids[:2] for text in texts] == [[0, 1], [0, 2]]


def test_impossible_texts_are_not_returned() -> None:
    only = TableDecoder([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], TABLE[2], TABLE[3]])
    assert [text.ids for text in search(only, beams=4, max_tokens=3, best=4)] == [[0, 1, END]]


def test_the_penalty_is_one_for_a_single_token() -> None:
    assert length_penalty(1, exponent=0.6) == 1.0
    assert length_penalty(7, exponent=0.5) == pytest.approx(math.sqrt(2.0))
