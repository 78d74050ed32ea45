from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mplug
from mplug.errors import CheckpointError, ConfigError
from mplug.interfaces.api import Model
from mplug.interfaces.cli import app
from mplug.nn.precision import has_int8_kernel
from tests.tiny import SKILLS, picture, save_tiny

pytestmark = pytest.mark.filterwarnings("ignore:this processor has no")
LOW = ["bfloat16", *(["int8"] if has_int8_kernel() else [])]
TEXTS = ["a red trophy", "two green boats under a moon"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("saved") / "model", skills=SKILLS)


@pytest.fixture(scope="module")
def full(saved: Path) -> Model:
    return mplug.load(saved, device="cpu")


@pytest.mark.parametrize("precision", LOW)
def test_every_verb_works_and_vectors_are_float32(saved: Path, full: Model, precision: str) -> None:
    low = mplug.load(saved, device="cpu", precision=precision)
    pictures = [picture(seed) for seed in range(3)]
    for expected, found in (
        (full.embed_image(pictures), low.embed_image(pictures)),
        (full.embed_text(TEXTS), low.embed_text(TEXTS)),
    ):
        assert found.dtype == np.float32
        assert 0 < np.abs(found - expected).max() < 0.05
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert np.abs(low.match(pictures, TEXTS) - full.match(pictures, TEXTS)).max() < 0.1
    assert all(isinstance(text, str) for text in low.caption(pictures))
    assert isinstance(low.answer(pictures[0], "what is it?"), str)
    assert low.ground(pictures[0], "a moon").x0 >= 0
    assert 0 <= low.compare(pictures[0], pictures[1], TEXTS[0]) <= 1
    assert sum(low.entail(pictures[0], TEXTS[0]).values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("precision", LOW)
def test_a_model_in_lower_precision_is_not_saved(
    saved: Path, precision: str, tmp_path: Path
) -> None:
    low = mplug.load(saved, device="cpu", precision=precision)
    with pytest.raises(CheckpointError, match="loaded in lower precision"):
        low.save_pretrained(tmp_path / "copy")
    assert not (tmp_path / "copy" / "config.json").exists()


def test_vectors_of_different_precisions_are_kept_apart(saved: Path, full: Model) -> None:
    prints = [
        mplug.load(saved, device="cpu", precision=each)._compute.fingerprint() for each in LOW
    ]
    assert len({full._compute.fingerprint(), *prints}) == 1 + len(LOW)


def test_an_unknown_precision_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of float32, bfloat16, int8"):
        mplug.load(tmp_path / "no model", device="cpu", precision="float16")


@pytest.mark.parametrize("precision", LOW)
def test_the_commands_take_a_precision(saved: Path, tmp_path: Path, precision: str) -> None:
    path = tmp_path / "picture.png"
    picture(5).save(path)
    common = ["--model", str(saved), "--device", "cpu", "--precision", precision]
    for words in (["caption", str(path)], ["answer", str(path), "what is it?"]):
        result = CliRunner().invoke(app, [*words, *common])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "command",
    ["caption", "search", "rank", "answer", "ground", "compare", "entail", "classify", "evaluate"],
)
def test_the_help_of_every_command_that_uses_a_model_names_it(command: str) -> None:
    assert "--precision" in CliRunner().invoke(app, [command, "--help"], terminal_width=200).output
