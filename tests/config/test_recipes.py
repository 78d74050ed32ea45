import pytest

from mplug.config.edit import derive
from mplug.config.recipes import RECIPES, recipe, summary
from mplug.errors import ConfigError


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_carries_its_name(name: str) -> None:
    assert recipe(name).name == name


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_is_for_in_a_line(name: str) -> None:
    assert 20 < len(summary(name)) < 100


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith("-caption")])
def test_captioning_starts_from_its_pretraining_and_keeps_its_model(name: str) -> None:
    captioning = recipe(name)
    pretraining = recipe(name.replace("caption", "pretrain"))
    assert captioning.start_from == f"runs/{pretraining.name}"
    same_size = {"model.vision.image_size": pretraining.model.vision.image_size}
    assert derive(captioning, same_size).model == pretraining.model


def test_base_keeps_the_papers_settings() -> None:
    """Section 4 and appendix of the paper, and its released pretraining configuration."""
    optim = recipe("base-pretrain").optim
    assert (optim.lr, optim.vision_lr, optim.batch_size) == (1e-4, 1e-5, 1024)
    assert (optim.betas, optim.weight_decay, optim.warmup_steps) == ((0.9, 0.999), 0.02, 1000)
    objectives = recipe("base-pretrain").objectives
    assert (objectives.queue_size, objectives.momentum) == (65536, 0.995)


def test_deriving_checks_the_whole_run_again() -> None:
    with pytest.raises(ConfigError, match="not a multiple of patch_size"):
        derive(recipe("tiny-pretrain"), {"model.vision.image_size": 65})
