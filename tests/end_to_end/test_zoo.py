"""A tiny model of the field from scenes to one that is asked, and a run that goes on from it."""

from pathlib import Path

import pytest

import mplug
from mplug.config.edit import derive
from mplug.config.recipes import any_recipe
from mplug.config.schema_zoo_run import JointObjectives, ZooRun
from mplug.errors import ConfigError
from mplug.interfaces.training import run_training
from mplug.interfaces.zoo_api import ZooModel
from tests.tiny import picture, save_tiny, tiny_config


def little(name: str, folder: Path, **changes: object) -> ZooRun:
    run = any_recipe(name)
    assert isinstance(run, ZooRun)
    return derive(
        run,
        {
            "model.text.hidden_size": 16,
            "model.text.num_layers": 1,
            "model.text.intermediate_size": 20,
            "data.encoder": str(folder / "encoder"),
            "data.regions": str(folder / "regions"),
            "data.pictures": 24,
            "data.validation_examples": 8,
            "data.scenes.concepts": 30,
            "data.scenes.held_out_pairs": 200,
            "optim.steps": 2,
            "optim.batch_size": 4,
            "optim.warmup_steps": 1,
            **changes,
        },
    )


def test_a_run_goes_on_from_another_and_knows_what_both_taught(tmp_path: Path) -> None:
    words = JointObjectives(mlm=1)
    first, second = tmp_path / "first", tmp_path / "second"
    run_training(little("vilt-scenes", tmp_path, objectives=words), run_dir=first, device="cpu")
    model = mplug.load(first, device="cpu")
    assert isinstance(model, ZooModel)
    assert model.verbs == ("fill",)

    pairs = JointObjectives(itm=1)
    going_on = little("vilt-scenes", tmp_path, objectives=pairs, start_from=str(first))
    run_training(derive(going_on, {"optim.lr": 1e-12}), run_dir=second, device="cpu")
    grown = mplug.load(second, device="cpu")
    assert grown.verbs == ("match", "fill")
    assert 0 < grown.match(picture(0), "a boat") < 1
    before, after = (each.fill(picture(0), "a [MASK]")[0] for each in (model, grown))
    assert after == pytest.approx(before, abs=1e-3)  # it learned next to nothing since

    wide = derive(going_on, {"model.text.intermediate_size": 24})
    with pytest.raises(ConfigError, match="its sizes or heads are not those"):
        run_training(wide, run_dir=tmp_path / "wide", device="cpu")


def test_a_model_of_regions_describes_pictures_as_its_scenes_were(tmp_path: Path) -> None:
    save_tiny(tmp_path / "encoder")
    run = little(
        "lxmert-scenes",
        tmp_path,
        **{
            "model.image.feature_size": tiny_config().vision.hidden_size,
            "model.image.classes": 32,
        },
    )
    run_training(run, run_dir=tmp_path / "run", device="cpu")
    model = mplug.load(tmp_path / "run", device="cpu")
    assert model.verbs == ("match", "fill", "answer")
    assert model.answer(picture(0), "what is it?") in model.answers
    seen = model.read(picture(0), boxes=[(0, 0, 20, 20), (15, 5, 37, 29)])
    assert 0 < model.match(seen, "a boat") < 1
