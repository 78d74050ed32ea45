"""Searches over a small decoder whose texts differ in length, and how results are compared."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch, greedy
from mplug.inference.generate import Hypothesis, Search, generate
from mplug.inference.released_beam import ReleasedBeamSearch
from mplug.inference.sampling import Sampling
from mplug.models.mplug import MPlug
from tests.models.small import small_model

END = 2
CONFIG = GenerationConfig(beams=4, min_tokens=2, max_tokens=11)
SEARCHES: dict[str, Search] = {
    "greedy": greedy(CONFIG),
    "beam": BeamSearch(CONFIG),
    "released": ReleasedBeamSearch(CONFIG),
    "sampling": Sampling(seeds=[1, 2, 3], config=CONFIG),
}
MASK = torch.arange(6) < torch.tensor([[4], [6], [1]])
PROMPT = torch.tensor([[1, 9], [1, 8], [1, 9]])


def writing_model() -> MPlug:
    model = small_model(seed=2)
    model.decoder.head.bias.data[END] += 4.0  # so that texts end, at different lengths
    return model


def three_memories() -> Tensor:
    return torch.randn(3, 6, 18, generator=torch.Generator().manual_seed(6)) * 3.0


def write(
    decoder: Any,
    memory: Tensor,
    search: Search,
    *,
    rows: slice = slice(0, 3),
    mask: Tensor | None = MASK,
) -> list[list[Hypothesis]]:
    mask = None if mask is None else mask[rows]
    prompt = PROMPT[rows]
    return generate(decoder, memory[rows], mask, prompt=prompt, end_id=END, search=search, best=3)


def assert_same(made: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[text.ids for text in texts] for texts in made] == [
        [text.ids for text in texts] for texts in expected
    ]
    for texts, wanted in zip(made, expected, strict=True):
        scores = [text.score for text in wanted]
        assert [text.score for text in texts] == pytest.approx(scores, rel=1e-5, abs=1e-5)
