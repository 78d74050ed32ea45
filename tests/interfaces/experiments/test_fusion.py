import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mplug.config.edit import derive
from mplug.config.recipes import recipe
from mplug.config.schema import RunConfig
from mplug.errors import ConfigError
from mplug.interfaces.commands_experiment import fusion as command
from mplug.interfaces.experiments import fusion, fusion_page
from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.experiments.fusion import Extent, FusionExperiment, steps_in_time
from mplug.weights.store import load_pretrained

LITTLE = {
    "model.vision.image_size": 32,
    "model.vision.hidden_size": 12,
    "model.vision.num_heads": 3,
    "model.vision.intermediate_size": 20,
    "model.vision.stem_channels": (4, 8, 12),
    "model.text.hidden_size": 12,
    "model.text.num_heads": 3,
    "model.text.intermediate_size": 20,
    "model.fusion.num_layers": 3,
    "model.fusion.connected_at": (1,),
    "model.decoder.num_layers": 1,
    "model.embed_dim": 6,
    "data.scenes.concepts": 10,
    "data.scenes.held_out_pairs": 15,
    "data.validation_examples": 4,
    "optim.batch_size": 4,
    "train.log_every": 1,
    "generation.beams": 1,
    "generation.max_tokens": 3,
}
LENGTHS = {"encoder_steps": 2, "steps": 3, "task_steps": 2, "scenes": 4}


def little(name: str) -> RunConfig:
    return derive(recipe(name), LITTLE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two schemes at the same steps, and one of them in the same time."""
    folder = tmp_path_factory.mktemp("experiment")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fusion, "recipe", little)
        patched.setattr(fusion, "REMEMBERED", 4)
        patched.setattr(fusion, "SCHEMES", ("skip", "connected"))
        patched.setattr(fusion, "PACE_STEPS", 1)
        patched.setattr(fusion, "PACE_ROUNDS", 1)
        run(folder, cell=["encoders", "skip/steps/0", "connected/steps/0"])
        # In so few steps a pace is noise, even below nothing: what follows from it is not.
        run(folder, cell=["pace"])
        paces = table(folder)["cells"]["pace"]["seconds_per_step"]
        assert {scheme: len(rounds) for scheme, rounds in paces.items()} == {
            "skip": 1,
            "connected": 1,
        }
        patched.setattr(fusion, "steps_in_time", lambda *_, **__: 2)
        run(folder, cell=["connected/time/0"])
    return folder


def run(folder: Path, **options: Any) -> None:
    command(out=folder, runs=folder / "runs", seeds=1, **{**LENGTHS, **options})


def table(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "fusion-experiment.json").read_text("utf-8"))
    return content


@pytest.mark.slow
def test_a_cell_holds_scores_of_both_tasks_beside_what_sees_nothing(made: Path) -> None:
    cells = table(made)["cells"]
    for name in ("skip/steps/0", "connected/steps/0", "connected/time/0"):
        cell = cells[name]
        kinds = {(score["metric"], score["split"]) for score in cell["scores"]}
        assert kinds == {tuple(column) for column in fusion_page.COLUMNS}
        assert all(score["baselines"] for score in cell["scores"])
        assert cell["seconds_per_step"] > 0
    assert cells["skip/steps/0"]["steps"] == cells["connected/steps/0"]["steps"] == 3
    assert (
        cells["skip/steps/0"]["fusion_parameters"] > cells["connected/steps/0"]["fusion_parameters"]
    )


@pytest.mark.slow
def test_all_schemes_begin_with_the_same_encoders_and_a_fusion_of_their_own(made: Path) -> None:
    encoders = load_pretrained(made / "runs" / "encoders" / "model").model.state_dict()
    start = load_pretrained(made / "runs" / "connected" / "steps" / "0" / "start")
    assert start.config.fusion.scheme == "connected"
    for name, value in start.model.state_dict().items():
        if name.startswith(("vision.", "text_encoder.", "image_projection.", "temperature")):
            assert value.equal(encoders[name]), name


@pytest.mark.slow
def test_the_image_encoder_is_the_same_at_the_end(made: Path) -> None:
    encoders = load_pretrained(made / "runs" / "encoders" / "model").model
    for scheme in ("skip", "connected"):
        trained = load_pretrained(made / "runs" / scheme / "steps" / "0" / "tasks" / "model").model
        for name, value in trained.vision.named_parameters():
            assert value.equal(encoders.vision.get_parameter(name)), name


@pytest.mark.slow
def test_the_page_shows_what_there_is_and_the_picture_too(made: Path) -> None:
    page = (made / "fusion-experiment.md").read_text(encoding="utf-8")
    assert page.count("| skip-connected | 1 | 3 |") == 2  # its own time is that of its steps
    assert page.count("| connected attention | 1 |") == 4  # twice itself, twice the difference
    assert "co-attention | 1 |" not in page
    ET.fromstring((made / "fusion-experiment.svg").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_same_command_again_measures_what_is_missing_alone(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fusion, "recipe", little)
    before = table(made)
    run(made, cells=0, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["done"] == []
    assert set(found["missing"]) == {
        f"{scheme}/{mode}/0"
        for scheme in ("co_attention", "asymmetric")
        for mode in ("steps", "time")
    }
    assert table(made) == before


@pytest.mark.slow
def test_checkpoints_of_finished_cells_are_gone(made: Path) -> None:
    assert not list((made / "runs").rglob("checkpoints"))


def cells_of(folder: Path, paces: dict[str, list[float]] | None = None) -> Cells:
    cells = Cells(folder / "cells.json", experiment="fusion", settings={})
    if paces:
        cells.add("pace", {"seconds_per_step": paces})
    return cells


def test_a_slower_scheme_takes_fewer_steps_in_the_same_time(tmp_path: Path) -> None:
    # a busy round: the median does not mind
    cells = cells_of(tmp_path, {"skip": [0.5, 9.0, 0.6], "connected": [1.2, 1.2, 1.2]})
    assert steps_in_time(cells, "connected", steps=100) == 50


def test_a_time_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="measure 'pace' first"):
        steps_in_time(cells_of(tmp_path), "connected", steps=100)


@pytest.mark.parametrize("name", ["other/steps/0", "skip/later/0", "skip/steps/x", "skip", ""])
def test_an_unknown_cell_is_refused(tmp_path: Path, name: str) -> None:
    asked = FusionExperiment(Extent(**LENGTHS), folder=tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="there is no cell"):
        asked.measure(name, cells_of(tmp_path))


def test_every_scheme_and_seed_has_its_cells_and_the_baselines_time_is_not_run_twice() -> None:
    asked = FusionExperiment(Extent(**LENGTHS), folder=Path("runs"), device="cpu")
    names = asked.names(seeds=3)
    assert len(names) == len(set(names)) == 2 + 4 * 3 + 3 * 3
    assert names[:3] == ["encoders", "skip/steps/0", "connected/steps/0"]
    assert not any(name.startswith("skip/time") for name in names)
