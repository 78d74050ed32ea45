"""Models stored in half precision, and computed with in float32."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from mplug.errors import CheckpointError
from mplug.interfaces.api import Model
from mplug.models.mplug import MPlug
from mplug.weights.layout import CONFIG, WEIGHTS
from mplug.weights.store import load_pretrained, save_pretrained, sha256_of
from tests.tiny import CARD, GENERATION, picture, save_tiny, tiny_model, tiny_tokenizer


def save_halved(folder: Path, model: MPlug) -> Path:
    return save_pretrained(
        folder,
        model=model,
        tokenizer=tiny_tokenizer(),
        generation=GENERATION,
        card=CARD,
        half=True,
    )


@pytest.fixture
def halved(tmp_path: Path) -> Path:
    return save_halved(tmp_path / "halved", tiny_model())


def replace_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / WEIGHTS)
    header = json.loads((folder / CONFIG).read_text())
    header["sha256"][WEIGHTS] = sha256_of(folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(header))


def test_matrices_are_halved_and_vectors_are_not(halved: Path) -> None:
    for name, tensor in load_file(halved / WEIGHTS).items():
        assert tensor.dtype == (torch.float16 if tensor.ndim > 1 else torch.float32), name


def test_a_halved_model_is_computed_with_in_float32(halved: Path) -> None:
    loaded = load_pretrained(halved).model.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert_close(loaded, tiny_model().state_dict(), rtol=2**-11, atol=1e-7)


def test_what_it_says_stays(halved: Path, tmp_path: Path) -> None:
    whole, images = save_tiny(tmp_path / "whole"), [picture(seed) for seed in range(10)]
    captions = Model(load_pretrained(whole)).caption(images)
    assert len(set(captions)) > 1
    assert Model(load_pretrained(halved)).caption(images) == captions


def test_the_positions_of_a_halved_model_are_resized_in_float32(halved: Path) -> None:
    resized = load_pretrained(halved, image_size=40).model.vision.positions
    assert (resized.dtype, resized.shape) == (torch.float32, (1 + 5 * 5, 20))


def test_a_weight_that_half_precision_cannot_hold_is_named_and_not_saved(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.text_projection.weight[0, 0] = 70_000.0
    with pytest.raises(CheckpointError, match=r"infinite values in text_projection\.weight"):
        save_halved(tmp_path / "halved", model)
    assert not (tmp_path / "halved").exists()


def test_weights_that_are_no_floating_point_numbers_are_named(halved: Path) -> None:
    tensors = load_file(halved / WEIGHTS)
    tensors["itm_head.bias"] = tensors["itm_head.bias"].to(torch.int32)
    replace_weights(halved, tensors)
    with pytest.raises(CheckpointError, match=r"itm_head\.bias torch\.int32 instead of"):
        load_pretrained(halved)


def test_loading_a_model_does_not_import_the_compiler_of_torch(halved: Path) -> None:
    code = (
        f"import sys; from mplug.weights.store import load_pretrained\n"
        f"load_pretrained({str(halved)!r}); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
