"""The wheel, installed where nothing can be written, without Java, on a German machine."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tiny import picture

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PROJECT = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
ODD = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}
PLAIN = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}
REFERENCES = {
    "annotations": [
        {"image_id": number, "caption": text}
        for number, text in enumerate(["a red trophy", "an Ägyptian cat, asleep", "two boats"])
    ]
}
PREDICTIONS = [
    {"image_id": number, "caption": text}
    for number, text in enumerate(["a trophy that is red", "a cat is asleep", "two green boats"])
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive, built from a copy without a network."""
    copy = tmp_path_factory.mktemp("project")
    for name in PROJECT:
        shutil.copy(ROOT / name, copy)
    shutil.copytree(SOURCE, copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(copy / "dist")]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    return copy / "dist"


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The site-packages of a fresh environment that holds the wheel alone, and may not be written.

    What mplug needs is found where this test's own Python finds it.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    needed = sysconfig.get_path("purelib")
    (packages / "needed.pth").write_text(f"{needed}\n", encoding="utf-8")
    set_writable(packages, False)
    yield packages
    set_writable(packages, True)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with pictures and files to score."""
    folder = tmp_path_factory.mktemp("work")
    for number in range(3):
        picture(number).resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    (folder / "references.json").write_text(json.dumps(REFERENCES), encoding="utf-8")
    (folder / "predictions.json").write_text(json.dumps(PREDICTIONS), encoding="utf-8")
    return folder


def set_writable(folder: Path, writable: bool) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o200 if writable else mode & ~0o222)


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of every file: a superuser may write in spite of permissions."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def run(site: Path, work: Path, *words: str, machine: Mapping[str, str]) -> tuple[Any, str]:
    """What the installed `mplug WORDS --json` prints, and says besides."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **machine}
    command = [str(site.parents[2] / "bin" / "mplug"), *words, "--json"]
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, check=True, encoding="utf-8"
    )
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a German machine whose PATH leads to nothing."""
    return {**ODD, "PATH": str(tmp_path_factory.mktemp("no programs"))}


def test_wheel_and_source_archive_hold_every_file_of_the_package(built: Path) -> None:
    wanted = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "mplug").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wanted if "weights/assets/mplug-tiny/" in name}
    (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        assert wanted <= set(file.namelist())
    with tarfile.open(archive) as tar:
        assert wanted <= {name.partition("/src/")[2] for name in tar.getnames()}


def test_the_wheel_is_what_runs(site: Path, work: Path, odd: dict[str, str]) -> None:
    python = site.parents[2] / "bin" / "python"
    code = "import mplug; print(mplug.__file__)"
    done = subprocess.run(
        [str(python), "-c", code], cwd=work, env=odd, capture_output=True, check=True, text=True
    )
    assert done.stdout == f"{site / 'mplug' / '__init__.py'}\n"


def test_captions_are_the_same_there_and_nothing_is_written(
    site: Path, work: Path, odd: dict[str, str]
) -> None:
    before = state(site)
    images = [f"{number}.png" for number in range(3)]
    told, said = run(site, work, "caption", *images, machine=odd)
    assert [each["image"] for each in told["captions"]] == images
    assert all(each["caption"] for each in told["captions"])
    assert told == run(site, work, "caption", *images, machine=PLAIN)[0]
    assert said.startswith("mplug-tiny: 200 drawn things")
    assert len(said.splitlines()) == 1
    assert state(site) == before


def test_scores_are_the_same_there_and_it_says_why_meteor_is_missing(
    site: Path, work: Path, odd: dict[str, str]
) -> None:
    before = state(site)
    words = ("metrics", "captions", "references.json", "predictions.json")
    told, _ = run(site, work, *words, machine=odd)
    plain, _ = run(site, work, *words, machine=PLAIN)
    by_java = {"meteor", "spice"}
    assert told["figures"] == [each for each in plain["figures"] if each["metric"] not in by_java]
    assert {each["metric"] for each in told["figures"]} >= {"bleu_4", "rouge_l", "cider_d"}
    assert any("METEOR" in reason and "Java" in reason for reason in told["missing"])
    assert state(site) == before
