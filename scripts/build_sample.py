"""Rebuild the vendored pictures: `python scripts/build_sample.py`.

Needs npm and `pip install 'mplug[artists]'`.
Joins the icon sets by name, draws each picture, crops it to what it shows and packs every artist's
drawings into one lossless sheet with an index beside them. The concepts, their names and the
drawings left out are in `sample_concepts.txt`.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplug.data.scenes.iconify import CELL, credit, draw, find_body, pack, read_json

HERE = Path(__file__).parent
ASSETS = HERE.parent / "src" / "mplug" / "data" / "scenes" / "assets"

# Artist -> npm package. "fluent" is one artist's second rendering of "fluent-flat".
PACKAGES = {
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "fxemoji": "@iconify-json/fxemoji@1.2.2",
    "twemoji": "@iconify-json/twemoji@1.2.5",
    "streamline": "@iconify-json/streamline-emojis@1.2.4",
    "emojione": "@iconify-json/emojione@1.2.3",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "fluent": "@iconify-json/fluent-emoji@1.2.7",
}
WORDS_PACKAGE = "emojibase-data@17.0.0"


@dataclass(frozen=True)
class Concept:
    """One line of the concept list: icon name, human name, other icon names by artist."""

    icon: str
    name: str
    countable: bool
    icons: dict[str, str]


def read_concepts(path: Path) -> list[Concept]:
    """The concepts, in file order.

    Raises:
        ValueError: a line has more than three fields, or a name occurs twice.
    """
    concepts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) > 3:
            raise ValueError(f"{path}:{number}: at most three fields, found {len(fields)}")
        icon, name, icons = [*fields, "", ""][:3]
        name = name or icon.replace("-", " ")
        pairs = (pair.split("=") for pair in icons.split(",") if pair.strip())
        overrides = {artist.strip(): other.strip() for artist, other in pairs}
        countable = not name.startswith("some ")
        concepts.append(Concept(icon, name.removeprefix("some "), countable, overrides))
    names = [concept.name for concept in concepts]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path}: names that occur twice: {sorted(twice)}")
    return concepts


def fetch(package: str, cache: Path) -> Path:
    """The package's archive in `cache`, downloaded once with npm."""
    stem = package.removeprefix("@").replace("/", "-").replace("@", "-")
    archive = cache / f"{stem}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", package], cwd=cache, check=True)
    return archive


def find_icon(icons: dict[str, Any], concept: Concept, artist: str) -> dict[str, Any] | None:
    """The artist's SVG body for a concept, or None where the set has none that shows it.

    Raises:
        ValueError: the concept list names an icon that the set lacks.
    """
    named = concept.icons.get(artist)
    if named == "-":
        return None
    found = find_body(icons, [named] if named else [concept.icon, f"{concept.icon}-1"])
    if named and found is None:
        raise ValueError(f"{artist} has no icon {named!r} for {concept.name}")
    return found


def keywords(archive: Path) -> dict[str, list[str]]:
    """Icon name -> the words people use for it, from Unicode's annotations in emojibase."""
    entries = read_json(archive, "en/data.json")
    return {
        re.sub(r"[^a-z0-9]+", "-", entry["label"].lower()).strip("-"): entry.get("tags", [])
        for entry in entries
    }


def build(cache: Path, assets: Path) -> None:
    """Write every artist's sheet and the index into `assets`."""
    concepts = read_concepts(HERE / "sample_concepts.txt")
    words = keywords(fetch(WORDS_PACKAGE, cache))
    index: dict[str, Any] = {"cell": CELL, "boxes": {}, "credits": {}}
    index["concepts"] = [
        {
            "name": each.name,
            "countable": each.countable,
            "icon": each.icon,
            "keywords": words.get(each.icon, []),
        }
        for each in concepts
    ]
    assets.mkdir(parents=True, exist_ok=True)
    for artist, package in PACKAGES.items():
        archive = fetch(package, cache)
        icons = read_json(archive, "icons.json")
        drawings = {
            each.name: draw(icon, icons)
            for each in concepts
            if (icon := find_icon(icons, each, artist)) is not None
        }
        sheet, index["boxes"][artist] = pack(drawings)
        sheet.save(assets / f"{artist}.webp", lossless=True, quality=75, method=4)
        index["credits"][artist] = credit(archive)
        print(f"{artist}: {len(drawings)} of {len(concepts)} concepts", flush=True)
    text = json.dumps(index, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    (assets / "index.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Build from a cache of npm archives, by default a temporary one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="folder of npm archives to use and fill")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    arguments = parser.parse_args()
    if shutil.which("npm") is None:
        raise SystemExit("npm is needed to fetch the icon sets: install Node.js")
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        build(cache.resolve(), arguments.assets)


if __name__ == "__main__":
    main()
