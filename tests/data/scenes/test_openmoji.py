import io
import json
import tarfile
from pathlib import Path

import pytest

from mplug.data.scenes import world
from mplug.data.scenes.iconify import read_json
from mplug.data.scenes.openmoji import use_openmoji
from mplug.errors import DataError

SQUARE = '<rect x="10" y="20" width="40" height="20" fill="#ff0000"/>'


def package(path: Path, *, icon: str) -> Path:
    """An npm archive with one icon, a red rectangle twice as wide as high."""
    files = {
        "icons.json": {"icons": {icon: {"body": SQUARE}}, "width": 72, "height": 72},
        "info.json": {
            "name": "OpenMoji",
            "author": {"name": "OpenMoji", "url": "https://github.com/hfg-gmuend/openmoji"},
            "license": {"spdx": "CC-BY-SA-4.0"},
        },
        "package.json": {"name": "@iconify-json/openmoji", "version": "1.2.29"},
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def known_artists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Artists added in a test are forgotten after it."""
    index = json.loads(json.dumps(world._index()))
    monkeypatch.setattr(world, "_index", lambda: index)
    monkeypatch.setattr(world, "_added", {})


@pytest.mark.usefixtures("known_artists")
def test_a_package_becomes_an_artist_with_its_licence(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    artist = use_openmoji(package(tmp_path / "openmoji.tgz", icon="horse"))
    pixels = world.drawing(artist, "horse")
    assert pixels.shape == (32, 64, 4)
    assert pixels[16, 32].tolist() == [255, 0, 0, 255]
    assert world.credit(artist).licence == "CC-BY-SA-4.0"
    assert world.artists_with("horse", ["noto", artist]) == ("noto", artist)
    assert world.artists_with("taxi", ["noto", artist]) == ("noto",)


@pytest.mark.usefixtures("known_artists")
def test_a_package_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="draws none of the concepts"):
        use_openmoji(package(tmp_path / "other.tgz", icon="spreadsheet"))


def test_a_file_that_is_no_package_is_named(tmp_path: Path) -> None:
    path = tmp_path / "page.tgz"
    path.write_text("<html>not found</html>")
    with pytest.raises(DataError, match=r"page\.tgz: cannot be read as an npm package"):
        use_openmoji(path)
    with pytest.raises(DataError, match=r"gone\.tgz"):
        use_openmoji(tmp_path / "gone.tgz")


def test_an_archive_without_the_file_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no chars\.json"):
        read_json(package(tmp_path / "some.tgz", icon="horse"), "chars.json")


def test_without_npm_it_says_how_to_fetch_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="npm pack @iconify-json/openmoji"):
        use_openmoji()
