import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.config.schema import VisionConfig
from mplug.config.schema_clip import ClipConfig, ResNetConfig
from mplug.config.sizes_clip import CLIP_SIZES, clip_size
from mplug.errors import CheckpointError
from mplug.models.clip import Clip
from mplug.weights.original_clip import clip_config, import_clip, key_table, to_original_clip
from tests.models.small import words
from tests.models.small_clip import RESNET, TRANSFORMER, pictures, small_clip
from tests.models.small_clip import clip_config as config_of

HEADS = {"transformer_heads": 3, "vision_heads": 2}


def original(vision: VisionConfig | ResNetConfig) -> tuple[Clip, dict[str, Tensor]]:
    """A model, and the file that OpenAI's code would have written of it."""
    model = small_clip(config_of(vision))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(buffer)
    state = to_original_clip(model.state_dict(), model.config)
    counters = {
        key.replace("running_mean", "num_batches_tracked"): torch.tensor(7)
        for key in state
        if key.endswith("running_mean")
    }
    facts = {"input_resolution": torch.tensor(12), "context_length": torch.tensor(9)}
    return model, state | counters | facts | {"vocab_size": torch.tensor(41)}


@pytest.fixture(params=[TRANSFORMER, RESNET], ids=["transformer", "resnet"])
def pair(request: pytest.FixtureRequest) -> tuple[Clip, dict[str, Tensor]]:
    return original(request.param)


def hints(model: Clip) -> dict[str, int]:
    return {"transformer_heads": 3, "vision_heads": model.config.vision.num_heads}


def test_a_file_comes_back_as_it_was(pair: tuple[Clip, dict[str, Tensor]]) -> None:
    model, state = pair
    made = import_clip(state, hints(model))
    assert made.model.config.model_copy(update={"temperature": 0.07}) == model.config
    assert_close(made.model.state_dict(), model.state_dict())
    assert not made.resized


def test_what_is_dropped_is_said_with_its_reason(pair: tuple[Clip, dict[str, Tensor]]) -> None:
    model, state = pair
    reasons = import_clip(state, hints(model)).dropped
    assert {"input_resolution", "context_length", "vocab_size"} <= reasons.keys()
    assert all(why for why in reasons.values())
    used = state.keys() - reasons.keys()
    assert used == {entry.theirs for entry in key_table(model.config)}


def test_half_precision_becomes_single(pair: tuple[Clip, dict[str, Tensor]]) -> None:
    model, state = pair
    made = import_clip({key: value.half() for key, value in state.items()}, hints(model)).model
    assert {value.dtype for value in made.state_dict().values()} == {torch.float32}
    assert_close(made.text_projection.weight, model.text_projection.weight, atol=1e-3, rtol=1e-3)


def test_every_missing_unexpected_and_resized_tensor_is_listed(
    pair: tuple[Clip, dict[str, Tensor]],
) -> None:
    model, state = pair
    del state["ln_final.bias"], state["transformer.resblocks.1.ln_2.weight"]
    state["visual.extra"] = torch.zeros(2)
    state["transformer.resblocks.2.mlp.c_proj.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointError) as caught:
        import_clip(state, hints(model))
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "missing: ln_final.bias",
        "missing: transformer.resblocks.1.ln_2.weight",
        "size: transformer.resblocks.2.mlp.c_proj.bias is [5], but "
        "text_encoder.blocks.2.feed_forward.narrow.bias is [18]",
        "unexpected: visual.extra",
    ]


def test_another_models_file_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="this is no original CLIP checkpoint"):
        import_clip({"bert.embeddings.word_embeddings.weight": torch.zeros(3, 4)})


def test_sizes_that_no_model_has_are_refused() -> None:
    _, state = original(TRANSFORMER)
    with pytest.raises(CheckpointError, match="hidden_size 18 is not a multiple of num_heads 4"):
        import_clip(state, {"transformer_heads": 4, "vision_heads": 2})


@pytest.mark.parametrize(("vision", "side"), [(TRANSFORMER, 20), (RESNET, 128)])
def test_positions_are_resized_for_other_pictures(
    vision: VisionConfig | ResNetConfig, side: int
) -> None:
    model, state = original(vision)
    made = import_clip(state, hints(model), image_size=side)
    assert made.model.config.vision.image_size == side
    [(key, change)] = made.resized.items()
    assert key.endswith("positional_embedding")
    assert "from 3 x 3 places to" in change
    larger = pictures(made.model.config, 2)
    assert_close(made.model.eval().encode_image(larger), model.encode_image(larger))
    assert_close(made.model.encode_text(*words(5, 3)), model.encode_text(*words(5, 3)))


@pytest.mark.parametrize("name", [name for name in CLIP_SIZES if name != "tiny"])
def test_the_published_sizes_are_read_off_their_tensors(name: str) -> None:
    config: ClipConfig = clip_size(name)
    with torch.device("meta"):
        state = to_original_clip(Clip(config).state_dict(), config)
    assert clip_config(state, {}) == config
