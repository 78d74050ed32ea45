import math

import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close

from mplug.config.schema_clip import BagOfWordsConfig, ClipConfig, ResNetConfig
from mplug.models.clip import Clip
from mplug.models.clip_text import BagOfWordsEncoder, CausalTextEncoder
from tests.models.small import words
from tests.models.small_clip import (
    BAG,
    CAUSAL,
    EMBED,
    RESNET,
    TRANSFORMER,
    clip_config,
    pictures,
    small_clip,
)

CONFIGS = [clip_config(vision, text) for vision in (TRANSFORMER, RESNET) for text in (CAUSAL, BAG)]
NAMES = [f"{type(c.vision).__name__}-{type(c.text).__name__}" for c in CONFIGS]


@pytest.fixture(params=CONFIGS, ids=NAMES)
def model(request: pytest.FixtureRequest) -> Clip:
    return small_clip(request.param)


def test_features_and_logits_have_their_shapes(model: Clip) -> None:
    images = model.encode_image(pictures(model.config, 2))
    texts = model.encode_text(*words(6, 3, 4))
    assert (images.shape, texts.shape) == ((2, EMBED), (3, EMBED))
    assert model.logits(images, texts).shape == (2, 3)


def test_logits_are_cosines_over_the_temperature(model: Clip) -> None:
    images = model.encode_image(pictures(model.config, 2))
    texts = model.encode_text(*words(6, 3, 4))
    unit = model.image_embedding(images), model.text_embedding(texts)
    assert_close(unit[0].norm(dim=1), torch.ones(2))
    assert_close(unit[1].norm(dim=1), torch.ones(3))
    assert_close(model.logits(images, texts), unit[0] @ unit[1].T * model.logit_scale.exp())


def test_other_pairs_in_the_batch_change_nothing(model: Clip) -> None:
    pixels, (ids, mask) = pictures(model.config, 3), words(6, 3, 5)
    assert_close(
        model.encode_image(pixels)[1:2], model.encode_image(pixels[1:2]), atol=1e-4, rtol=1e-4
    )
    alone = model.encode_text(ids[1:2, :3], mask[1:2, :3])
    assert_close(model.encode_text(ids, mask)[1:2], alone, atol=1e-4, rtol=1e-4)


def test_whatever_stands_at_padding_counts_for_nothing(model: Clip) -> None:
    ids, mask = words(6, 3, 5)
    assert_close(model.encode_text(ids, mask), model.encode_text(ids.masked_fill(~mask, 7), mask))


def test_a_new_model_starts_at_its_temperature() -> None:
    model = Clip(clip_config().model_copy(update={"temperature": 0.05}))
    assert model.logit_scale.item() == pytest.approx(math.log(20))
    assert model.logit_scale.shape == ()


def test_every_parameter_learns(model: Clip) -> None:
    images = model.encode_image(pictures(model.config, 2))
    logits = model.logits(images, model.encode_text(*words(6, 3)))
    logits.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_causal_text_encoder_never_looks_ahead() -> None:
    encoder = small_clip().text_encoder
    assert isinstance(encoder, CausalTextEncoder)
    ids, _ = words(6)
    later = ids.clone()
    later[:, 4:] = 3
    assert_close(encoder.states(ids)[:, :4], encoder.states(later)[:, :4])
    assert not torch.allclose(encoder.states(ids)[:, 4:], encoder.states(later)[:, 4:])


def test_a_text_longer_than_the_positions_is_refused() -> None:
    with pytest.raises(ValueError, match="10 tokens, but the model has 9 positions"):
        small_clip().encode_text(*words(10))


def test_a_bag_of_words_is_the_mean_of_what_stands_between_start_and_end() -> None:
    encoder = small_clip(clip_config(text=BAG)).text_encoder
    assert isinstance(encoder, BagOfWordsEncoder)
    ids = torch.tensor([[1, 8, 9, 2, 0], [1, 8, 9, 9, 2], [1, 2, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype=torch.bool)
    table = encoder.words.weight
    means = torch.stack([(table[8] + table[9]) / 2, (table[8] + 2 * table[9]) / 3, 0 * table[8]])
    assert_close(encoder(ids, mask), encoder.output_norm(means))


def test_the_order_of_a_bag_of_words_does_not_matter() -> None:
    model = small_clip(clip_config(text=BAG))
    ids, mask = torch.tensor([[1, 8, 9, 7, 2]]), torch.ones(1, 5, dtype=torch.bool)
    assert_close(model.encode_text(ids, mask), model.encode_text(ids[:, [0, 3, 1, 2, 4]], mask))


def test_a_config_survives_being_written_and_read() -> None:
    for config in CONFIGS:
        assert ClipConfig.model_validate(config.model_dump(mode="json")) == config


def test_an_error_speaks_of_the_encoder_that_was_meant() -> None:
    wrong = clip_config(RESNET).model_dump() | {"vision": {"stages": [1, 1, 1], "width": 2}}
    with pytest.raises(ValidationError) as caught:
        ClipConfig.model_validate(wrong)
    places = {error["loc"][:2] for error in caught.value.errors()}
    assert places == {("vision", "resnet")}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 100}, "image_size 100 is not a multiple of 32"),
        ({"width": 3}, "width 3 is odd"),
        ({"num_heads": 5}, "64 channels .* are not a multiple of num_heads 5"),
    ],
)
def test_resnet_sizes_that_do_not_fit_are_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ResNetConfig.model_validate(RESNET.model_dump() | fields)


def test_a_resnet_takes_no_pooling_of_tokens() -> None:
    with pytest.raises(ValidationError, match="a ResNet pools by attention"):
        ClipConfig(
            vision=RESNET,
            text=BagOfWordsConfig(vocab_size=5, hidden_size=3),
            embed_dim=2,
            image_pooling="max",
        )
