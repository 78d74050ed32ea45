"""The name of the model that mplug brings, and what may hide it."""

from pathlib import Path

import pytest

import mplug
from mplug.config.load import load_config
from mplug.errors import CheckpointError
from mplug.interfaces.locate import require_model, run_config
from mplug.weights import shipped
from mplug.weights.store import load_pretrained
from tests.tiny import SKILLS, save_brought, save_tiny


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shipped, "FOLDER", save_brought(tmp_path / "package" / "mplug-tiny"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return shipped.FOLDER


@pytest.mark.parametrize("name", ["mplug-tiny", Path("mplug-tiny")])
def test_its_name_is_enough(brought: Path, name: str | Path) -> None:
    assert load_pretrained(name).config.skills == SKILLS
    assert mplug.load(name).config.skills == SKILLS


def test_a_model_of_ones_own_that_is_called_so_comes_first(brought: Path) -> None:
    save_tiny(Path("mplug-tiny"))
    assert mplug.load("mplug-tiny").config.skills == ()
    assert load_pretrained("mplug-tiny").config.skills == ()


def test_a_folder_that_is_called_so_and_has_no_model_is_named(brought: Path) -> None:
    Path("mplug-tiny").mkdir()
    with pytest.raises(CheckpointError, match="hides the one that mplug brings: rename it"):
        require_model("mplug-tiny")


def test_its_last_stage_says_which_scenes_it_knows(brought: Path) -> None:
    file = run_config("mplug-tiny")
    assert file is not None
    assert load_config(file).name == "scenes-200-tasks"


def test_a_saved_model_is_of_no_run(brought: Path) -> None:
    save_tiny(Path("saved"))
    assert run_config("saved") is None


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_an_installation_that_lacks_it_says_how_to_mend_that(brought: Path, missing: str) -> None:
    (brought / missing).unlink()
    with pytest.raises(CheckpointError, match="missing from this installation: pip install"):
        mplug.load("mplug-tiny")


@pytest.mark.parametrize("content", ["", "{}", "\x00"])
def test_what_it_knows_cannot_be_told_from_a_damaged_file(brought: Path, content: str) -> None:
    (brought / "about.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"about\.json: cannot be read"):
        shipped.introduction()
