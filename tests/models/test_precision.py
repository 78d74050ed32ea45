import copy
from collections.abc import Callable
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.errors import ConfigError
from mplug.interfaces import commands_use
from mplug.models import precision as models_precision
from mplug.models.decoder import DecoderLayer
from mplug.models.mplug import MPlug
from mplug.models.precision import lower, require_precision, route
from mplug.nn.attention import Attention
from mplug.nn.block import FeedForward, quick_gelu
from mplug.nn.low_attention import LowAttention, LowSelfAttention
from mplug.nn.precision import PRECISIONS, Precision, has_int8_kernel, is_lowered, lowered
from tests.tiny import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:this processor has no")
CPU = torch.device("cpu")
LOW: list[Precision] = ["bfloat16", *(["int8"] if has_int8_kernel() else [])]  # type: ignore[list-item]


def low_model(precision: Precision) -> MPlug:
    model = tiny_model()
    lower(model, precision=precision)
    return model


def outputs(model: MPlug) -> dict[str, Tensor]:
    """Everything that a person gets out of it, of two pictures and two texts of other lengths."""
    torch.manual_seed(3)
    pixels = torch.randn(2, 3, 24, 24)
    ids = torch.randint(10, 40, (2, 6))
    mask = torch.arange(6) < torch.tensor([6, 4])[:, None]
    with torch.inference_mode():
        image, text = model.encode_image(pixels), model.encode_text(ids, mask)
        memory, memory_mask = model.joint_memory(text, image, mask)
        return {
            "image": model.image_embedding(image),
            "text": model.text_embedding(text),
            "match": model.match(model.fuse_text(text, image, mask)).softmax(dim=1),
            "words": model.decode(ids, mask, memory, memory_mask).log_softmax(dim=-1),
        }


@pytest.mark.parametrize("precision", LOW)
def test_what_comes_out_is_float32_and_close(precision: Precision) -> None:
    full, low = outputs(tiny_model()), outputs(low_model(precision))
    for name, expected in full.items():
        assert low[name].dtype == torch.float32, name
        error = (low[name] - expected).norm() / expected.norm()
        assert 0 < error < 0.05, (name, error)


@pytest.mark.parametrize("precision", LOW)
def test_cached_words_are_those_of_the_whole_text(precision: Precision) -> None:
    model = low_model(precision)
    torch.manual_seed(4)
    memory, ids = torch.randn(2, 5, 12), torch.randint(10, 40, (2, 4))
    with torch.inference_mode():
        cache = model.decoder.start(memory)
        for length in range(1, 5):
            found, cache = model.decoder.step(ids[:, length - 1 : length], cache)
            whole = model.decode(ids[:, :length], None, memory)[:, -1]
            # In bfloat16 a sum in another order may round to the neighbour.
            assert_close(found, whole, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("precision", LOW)
def test_what_reads_only_itself_needs_one_product(precision: Precision) -> None:
    model = low_model(precision)
    for part, kind in (
        (model.vision, LowSelfAttention),
        (model.text_encoder, LowSelfAttention),
        (model.fusion, LowAttention),
    ):
        found = {type(each) for each in part.modules() if isinstance(each, Attention)}
        assert found == {kind}
    for layer in model.decoder.layers:
        assert isinstance(layer, DecoderLayer)
        assert isinstance(layer.self_attention.attention, LowSelfAttention)
        assert isinstance(layer.cross_attention.attention, LowAttention)


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("activation", [quick_gelu, F.gelu])
def test_a_lowered_feed_forward_is_its_lowered_layers(
    precision: Precision, activation: Callable[[Tensor], Tensor]
) -> None:
    """CLIP's activation hands its factors to the matrices, any other stays what it is."""
    torch.manual_seed(5)
    full = FeedForward(16, hidden_dim=24, activation=activation)
    twin, made = copy.deepcopy(full), nn.ModuleDict({"made": copy.deepcopy(full)})
    for name, layer in list(twin.named_children()):
        assert isinstance(layer, nn.Linear)
        setattr(twin, name, lowered(layer.weight, layer.bias, precision=precision))
    lower(made, precision=precision)
    low = made["made"]
    x = 3 * torch.randn(2, 5, 16)
    before = x.clone()
    with torch.inference_mode():
        expected, error = twin(x).float(), (low(x) - twin(x)).norm()
        assert error < 0.02 * expected.norm()
        assert (expected - full(x)).norm() < 0.05 * expected.norm()
    assert torch.equal(x, before)
    if activation is F.gelu:
        assert error == 0


def test_float32_changes_nothing() -> None:
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    lower(model, precision="float32")
    assert not is_lowered(model.state_dict())
    assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("precision", LOW)
def test_a_lowered_model_is_known_as_such(precision: Precision) -> None:
    assert is_lowered(low_model(precision).state_dict())


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'fp8': it is one of float32, bfloat16, int8"):
        require_precision("fp8", device=CPU)


def test_int8_is_refused_away_from_the_cpu_and_where_torch_has_no_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match="int8 is for the CPU, not for cuda"):
        require_precision("int8", device=torch.device("cuda"))
    monkeypatch.setattr(models_precision, "has_int8_kernel", lambda: False)
    with pytest.raises(ConfigError, match="no int8 kernels"):
        require_precision("int8", device=CPU)


def test_bfloat16_is_refused_where_it_was_never_tried() -> None:
    with pytest.raises(ConfigError, match="bfloat16 is for cpu and cuda, not for mps"):
        require_precision("bfloat16", device=torch.device("mps"))


def test_a_processor_that_lacks_instructions_is_named_once(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    models_precision._say_once.cache_clear()
    monkeypatch.setattr(models_precision, "has_bfloat16", lambda _device: False)
    for _ in range(2):
        low_model("bfloat16")
    said = [str(each.message) for each in recwarn.list]
    assert len(said) == 1
    assert said[0].startswith("this processor has no bfloat16 arithmetic")
    models_precision._say_once.cache_clear()


def test_the_command_line_knows_every_precision() -> None:
    assert get_args(commands_use.Precision) == PRECISIONS


def test_a_routed_decoder_is_its_slow_twin_and_can_be_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, fast = tiny_model(), tiny_model()
    monkeypatch.setattr(models_precision, "pays", lambda _weight: True)
    layers = sum(type(module) is nn.Linear for module in slow.decoder.modules())
    assert route(fast) == layers + 1  # and the vocabulary
    assert route(fast) == 0  # once is enough
    assert fast.state_dict().keys() == slow.state_dict().keys()
    torch.manual_seed(4)
    memory, ids = torch.randn(2, 5, 12), torch.randint(10, 40, (2, 3))
    with torch.inference_mode():
        for model in (slow, fast):
            assert_close(
                model.decoder.step(ids, model.decoder.start(memory))[0],
                slow.decode(ids, None, memory)[:, -1],
                rtol=1e-5,
                atol=1e-5,
            )
    assert fast.decode(ids, None, memory).requires_grad  # as before, it can be trained


def test_a_small_model_is_not_routed() -> None:
    assert route(tiny_model()) == 0
