"""What a call costs, counted in calls and rows: faster or slower machines change nothing here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.interfaces.compute import Compute
from mplug.interfaces.pictures import Picture, read_picture
from mplug.models.decoder import DecoderCache, TextDecoder
from mplug.models.mplug import MPlug
from tests.tiny import SKILLS, picture, tiny_model, tiny_tokenizer

BEAMS, WORDS, PICTURES = 3, 6, 2
TOKENS = 10  # of a picture: 3 x 3 patches and the class token
SEARCH = BeamSearch(GenerationConfig(beams=BEAMS, min_tokens=WORDS, max_tokens=WORDS))


@dataclass
class Counts:
    """What went through a network."""

    vision: list[int] = field(default_factory=list)  # pictures of each call
    decoder: list[int] = field(default_factory=list)  # texts of each call
    memory: int = 0  # rows through the decoder's projections of what it reads


@contextmanager
def counted(network: MPlug) -> Iterator[Counts]:
    counts = Counts()

    def add_rows(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        counts.memory += given[0].shape[:-1].numel()

    hooks = [
        network.vision.register_forward_pre_hook(
            lambda _, given: counts.vision.append(len(given[0]))
        ),
        network.decoder.embeddings.register_forward_pre_hook(
            lambda _, given: counts.decoder.append(len(given[0]))
        ),
    ]
    for name, module in network.decoder.named_modules():
        if name.endswith(("cross_attention.attention.key", "cross_attention.attention.value")):
            hooks.append(module.register_forward_pre_hook(add_rows))
    yield counts
    for hook in hooks:
        hook.remove()


@pytest.fixture(scope="module")
def compute() -> Compute:
    return Compute(
        tiny_model(skills=SKILLS), tokenizer=tiny_tokenizer(), device=torch.device("cpu")
    )


def pictures(number: int) -> list[Picture]:
    return [read_picture(picture(seed), size=24) for seed in range(number)]


def test_a_caption_call_sees_and_projects_each_picture_once(compute: Compute) -> None:
    layers = len(compute.network.decoder.layers)
    with counted(compute.network) as counts:
        compute.write(pictures(PICTURES), prompt=[compute.tokenizer.cls_id], search=SEARCH)
    assert counts.vision == [PICTURES]
    assert counts.memory == 2 * layers * PICTURES * TOKENS  # keys and values
    # The prompt is read once for each picture, and the last word is never read.
    assert counts.decoder == [PICTURES] + [PICTURES * BEAMS] * (WORDS - 1)


def test_an_answer_call_sees_each_picture_once_and_projects_each_question_once(
    compute: Compute,
) -> None:
    shown, layers = pictures(1) * 2, len(compute.network.decoder.layers)
    questions = [[1, 9, 8, 7], [1, 6]]
    with counted(compute.network) as counts:
        compute.answer(shown, questions, search=SEARCH)
    assert counts.vision == [1]
    assert counts.memory == 2 * layers * len(questions) * (TOKENS + 4)
    assert counts.decoder == [2] + [2 * BEAMS] * (WORDS - 1)


def test_matching_sees_each_picture_once_for_all_texts(compute: Compute) -> None:
    with counted(compute.network) as counts:
        compute.match(pictures(3), ["two boats", "an avocado", "moon"])
    assert counts.vision == [3]


class Watched:
    """A decoder that notes where the picture's keys lie at each step."""

    def __init__(self, decoder: TextDecoder) -> None:
        self.decoder = decoder
        self.places: list[int] = []

    def start(self, memory: Tensor, memory_mask: Tensor | None = None) -> DecoderCache:
        return self.decoder.start(memory, memory_mask)

    def step(self, ids: Tensor, cache: DecoderCache) -> tuple[Tensor, DecoderCache]:
        self.places.append(cache.memory[0].keys.data_ptr())
        return self.decoder.step(ids, cache)


def test_beams_share_the_pictures_keys_which_never_move(compute: Compute) -> None:
    watched, memory = Watched(compute.network.decoder), torch.randn(PICTURES, TOKENS, 12)
    prompt = torch.full((PICTURES, 1), compute.tokenizer.cls_id)
    generate(watched, memory, prompt=prompt, end_id=compute.tokenizer.sep_id, search=SEARCH)
    assert len(watched.places) == WORDS
    assert len(set(watched.places)) == 1
