import math

import pytest
import torch

from mplug.config.schema import GenerationConfig
from mplug.inference.generate import Hypothesis, generate
from mplug.inference.released_beam import ReleasedBeamSearch
from tests.inference.decoders import TableDecoder

END = 3
ONE_IMAGE = torch.zeros(1, 1, 1)
START = torch.tensor([[0]])


def search(decoder: TableDecoder, *, best: int, **limits: int) -> list[Hypothesis]:
    config = GenerationConfig(length_exponent=0.0, **limits)
    [texts] = generate(
        decoder, ONE_IMAGE, prompt=START, end_id=END, search=ReleasedBeamSearch(config), best=best
    )
    return texts


def test_an_ended_text_that_is_not_the_best_is_continued() -> None:
    decoder = TableDecoder(
        [
            [0.0, 0.6, 0.0, 0.4],  # not the best: the end, with 0.4
            [0.0, 0.4, 0.3, 0.3],
            [0.0, 0.5, 0.0, 0.5],
            [0.0, 0.0, 0.1, 0.9],  # an end goes on to an end, with 0.36 in all
        ]
    )
    texts = search(decoder, best=3, beams=2, min_tokens=0, max_tokens=9)
    assert [text.ids for text in texts] == [[0, END], [0, END, END], [0, 1, 1]]
    assert [text.score for text in texts] == pytest.approx(
        [math.log(0.4), math.log(0.36), math.log(0.24)]
    )


def test_when_the_best_has_ended_even_texts_without_an_end_are_listed() -> None:
    decoder = TableDecoder([[0.0, 0.3, 0.0, 0.7], [0.0, 0.4, 0.3, 0.3]] * 2)
    texts = search(decoder, best=2, beams=2, min_tokens=0, max_tokens=9)
    assert [text.ids for text in texts] == [[0, END], [0, 1]]


def test_everything_ends_at_the_longest() -> None:
    decoder = TableDecoder([[0.0, 0.5, 0.5, 0.0]] * 4)
    texts = search(decoder, best=5, beams=3, min_tokens=0, max_tokens=2)
    assert [len(text.ids) for text in texts] == [3, 3, 3]
