"""Small npm archives, as icon sets and words come in."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mplug.data.scenes.emoji import ARTISTS
from mplug.data.scenes.emoji_names import PACKAGE as WORDS
from mplug.data.scenes.npm import archive_name

COLOURS = ("#ff0000", "#00aa00", "#0000ff", "#aaaa00", "#00aaaa", "#aa00aa", "#777777", "#ff8800")
EMOJI = [
    {"hexcode": "1F600", "label": "grinning face", "tags": ["face", "grin"], "group": 0},
    {"hexcode": "2764-FE0F", "label": "red heart", "tags": ["heart", "red heart"], "group": 0},
    {"hexcode": "1F170", "label": "A button (blood type)", "tags": ["blood"], "group": 8},
    {"hexcode": "1F44D", "label": "thumbs up", "tags": ["yes"], "group": 1},
    {"hexcode": "1F468-200D-1F33E", "label": "man farmer", "tags": [], "group": 1},
    {"hexcode": "1F3FB", "label": "light skin tone", "group": 2},
    {"hexcode": "1F1E6", "label": "regional indicator A"},
]
SHORTCODES = {"1F44D": ["+1", "thumbsup"], "1F468-200D-1F33E": "farmer_man"}


def write_archive(path: Path, files: Mapping[str, Any]) -> Path:
    """An npm archive of JSON files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def write_words(folder: Path) -> Path:
    """Emojibase's archive, with a few emoji."""
    shortcodes = {
        f"en/shortcodes/{source}.json": SHORTCODES if source == "github" else {}
        for source in ("cldr", "emojibase", "github", "iamcal", "joypixels")
    }
    return write_archive(folder / archive_name(WORDS), {"en/data.json": EMOJI, **shortcodes})


def write_icons(
    folder: Path,
    artist: str,
    names: list[str],
    *,
    codes: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> Path:
    """An icon set: wide rectangles of the artist's colour; a farmer is left blank."""
    package = ARTISTS[artist].package
    colour = COLOURS[list(ARTISTS).index(artist)]
    body = f'<rect x="10" y="20" width="40" height="20" fill="{colour}"/>'
    name, _, version = package.rpartition("@")
    files = {
        "icons.json": {
            "icons": {each: {"body": "" if each == "man-farmer" else body} for each in names},
            "aliases": {alias: {"parent": parent} for alias, parent in (aliases or {}).items()},
            "width": 72,
            "height": 72,
        },
        "info.json": {
            "name": artist.title(),
            "author": {"name": f"{artist} authors", "url": f"https://example.org/{artist}"},
            "license": {"spdx": "MIT"},
        },
        "package.json": {"name": name, "version": version},
    }
    return write_archive(
        folder / archive_name(package), files | ({} if codes is None else {"chars.json": codes})
    )


def write_all(folder: Path) -> None:
    """Everything that `mplug data emoji` fetches, small."""
    folder.mkdir(parents=True, exist_ok=True)
    write_words(folder)
    faces = {"1f600": "grinning-face", "2764": "red-heart"}
    for artist in ARTISTS:
        own = faces if ARTISTS[artist].codes == artist else None
        write_icons(folder, artist, ["grinning-face", "red-heart"], codes=own)
