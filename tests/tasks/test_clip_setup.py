"""How a CLIP run's model begins: anew, with an image encoder that others trained, or refused."""

from pathlib import Path

import pytest
import torch

from mplug.config.edit import derive
from mplug.config.recipes import any_recipe
from mplug.config.schema_clip import ClipConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.errors import ConfigError
from mplug.tasks.clip_setup import make_model
from mplug.weights.clip_folder import save_clip
from tests.models.small_clip import RESNET, TRANSFORMER, clip_config, small_clip
from tests.tiny import CARD, tiny_tokenizer


def run_of(config: ClipConfig, **changes: object) -> ClipRun:
    run = any_recipe("clip-vit-b32")
    assert isinstance(run, ClipRun)
    return derive(run, {"model": config, **changes})


def test_a_run_begins_with_anothers_image_encoder_and_its_own_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"vocab_size": tiny_tokenizer().vocab_size}
    config = clip_config(TRANSFORMER)
    config = config.model_copy(update={"text": config.text.model_copy(update=words)})
    there = small_clip(config, seed=5)
    save_clip(tmp_path / "other", model=there, tokenizer=tiny_tokenizer(), card=CARD)
    plain = make_model(run_of(config), tokenizer=tiny_tokenizer(), start=None)
    made = make_model(
        run_of(config, **{"init.vision": str(tmp_path / "other")}),
        tokenizer=tiny_tokenizer(),
        start=None,
    )
    assert "init.vision=" in capsys.readouterr().out
    for name, tensor in made.state_dict().items():
        same = there if name.startswith("vision.") else plain
        assert torch.equal(tensor, same.state_dict()[name]), name

    vision = TRANSFORMER.model_copy(update={"hidden_size": 2 * TRANSFORMER.hidden_size})
    for other, problem in ((vision, "model.vision.hidden_size"), (RESNET, "image encoder is none")):
        run = run_of(clip_config(other), **{"init.vision": str(tmp_path / "other")})
        with pytest.raises(ConfigError, match=problem):
            make_model(run, tokenizer=tiny_tokenizer(), start=None)


def test_a_run_begins_from_one_thing() -> None:
    with pytest.raises(ConfigError, match=r"start_from brings the image encoder"):
        run_of(clip_config(TRANSFORMER), **{"init.vision": "a", "start_from": "b"})
