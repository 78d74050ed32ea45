import math

import pytest
import torch

from mplug.config.schema import GenerationConfig
from mplug.inference.generate import Hypothesis, generate
from mplug.inference.sampling import Sampling, draw
from tests.inference.decoders import TableDecoder

END = 3
TABLE = [[0.0, 0.5, 0.3, 0.2], [0.0, 0.6, 0.3, 0.1], [0.0, 0.2, 0.3, 0.5], [0.25] * 4]


def sample(
    sampling: Sampling, *, table: list[list[float]] = TABLE, best: int = 1
) -> list[list[Hypothesis]]:
    images = len(sampling.seeds)
    return generate(
        TableDecoder(table),
        torch.zeros(images, 1, 1),
        prompt=torch.zeros(images, 1, dtype=torch.long),
        end_id=END,
        search=sampling,
        best=best,
    )


def test_the_same_seed_gives_the_same_texts() -> None:
    assert sample(Sampling(seeds=[5, 6]), best=3) == sample(Sampling(seeds=[5, 6]), best=3)
    assert sample(Sampling(seeds=[5, 6]), best=3) != sample(Sampling(seeds=[7, 8]), best=3)


def test_other_images_in_the_batch_change_nothing() -> None:
    assert sample(Sampling(seeds=[4, 5, 6]))[1] == sample(Sampling(seeds=[5]))[0]


def test_words_come_as_often_as_they_are_likely() -> None:
    config = GenerationConfig(max_tokens=1, min_tokens=0)
    [texts] = sample(Sampling(seeds=[0], config=config), best=4000)
    shares = [sum(text.ids[1] == word for text in texts) / 4000 for word in range(4)]
    assert shares == pytest.approx(TABLE[0], abs=0.03)  # four standard deviations
    assert shares[0] == 0.0


def test_a_low_temperature_is_greedy() -> None:
    [[text]] = sample(Sampling(seeds=[3], temperature=0.01, config=GenerationConfig(max_tokens=4)))
    assert text.ids == [0, 1, 1, 1, 1]


def test_only_the_likeliest_words_are_drawn() -> None:
    config = GenerationConfig(max_tokens=1)
    [texts] = sample(Sampling(seeds=[0], top_k=2, config=config), best=200)
    assert {text.ids[1] for text in texts} == {1, 2}


@pytest.mark.parametrize(
    ("share", "words"), [(0.3, {1}), (0.5, {1}), (0.6, {1, 2}), (0.9, {1, 2, END})]
)
def test_the_fewest_words_that_hold_the_share_are_drawn(share: float, words: set[int]) -> None:
    config = GenerationConfig(max_tokens=1, min_tokens=0)
    [texts] = sample(Sampling(seeds=[0], top_p=share, config=config), best=300)
    assert {text.ids[1] for text in texts} == words


def test_a_text_does_not_end_before_its_time() -> None:
    config = GenerationConfig(min_tokens=3, max_tokens=9)
    [texts] = sample(Sampling(seeds=[0], config=config), best=50)
    assert min(len(text.ids) - 1 for text in texts) == 4


def test_nothing_follows_an_end() -> None:
    [texts] = sample(Sampling(seeds=[0]), best=50)
    assert all(END not in text.ids[:-1] for text in texts)


def test_the_score_is_the_models_own_whatever_is_cut() -> None:
    config = GenerationConfig(max_tokens=1, length_exponent=0.0)
    [[text]] = sample(Sampling(seeds=[0], top_k=1, temperature=9.0, config=config))
    assert text.score == pytest.approx(math.log(0.5))


def test_a_draw_lands_where_its_share_of_the_distribution_lies() -> None:
    scores = torch.tensor([[0.2, 0.0, 0.3, 0.5]]).log().expand(5, -1)
    drawn = draw(scores, torch.tensor([0.0, 0.19, 0.21, 0.49, 0.999]))
    assert drawn.tolist() == [0, 0, 2, 2, 3]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(settings: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sampling(seeds=[0], **settings)  # type: ignore[arg-type]


def test_every_image_needs_its_seed() -> None:
    with pytest.raises(ValueError, match="1 seeds for 2 prompts"):
        generate(
            TableDecoder(TABLE),
            torch.zeros(2, 1, 1),
            prompt=torch.zeros(2, 1, dtype=torch.long),
            end_id=END,
            search=Sampling(seeds=[0]),
        )
