"""Drawings from an `@iconify-json` package: SVG bodies in one file, drawn and packed on a sheet."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from mplug.errors import DataError, need_extra

CELL = 64  # pixels: the longest side of a stored drawing
OVERSAMPLING = 4
COLUMNS = 16
MAX_BYTES = 256 * 1024 * 1024  # of one file in a package
COLOUR_STEP, ALPHA_STEP = 4, 8  # too fine to see; stored sheets get a third smaller
FAINT = 8  # alpha, of 255: what is fainter is cropped away


def read_json(archive: Path, member: str) -> Any:
    """One JSON file of an npm archive; nothing is unpacked to disk.

    Raises:
        DataError: the archive cannot be read, or holds no such file.
    """
    try:
        with tarfile.open(archive) as opened:
            entry = opened.getmember(f"package/{member}")
            file = opened.extractfile(entry)
            if file is None or entry.size > MAX_BYTES:
                raise DataError(f"{archive}: {member} is no file, or larger than {MAX_BYTES} bytes")
            return json.load(file)
    except KeyError as error:
        raise DataError(f"{archive}: holds no {member}; is it an npm package?") from error
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise DataError(f"{archive}: cannot be read as an npm package: {error}") from error


def credit(archive: Path) -> dict[str, str]:
    """Who made the drawings of a package, and how they may be used."""
    info, package = read_json(archive, "info.json"), read_json(archive, "package.json")
    return {
        "title": info["name"],
        "author": info["author"]["name"],
        "url": info["author"]["url"],
        "licence": info["license"]["spdx"],
        "package": f"{package['name']}@{package['version']}",
    }


def find_body(icons: Mapping[str, Any], names: list[str]) -> dict[str, Any] | None:
    """The first icon that has one of the names, aliases followed; None where there is none."""
    for name in names:
        known = icons.get("aliases", {}).get(name, {}).get("parent", name)
        if known in icons["icons"]:
            return dict(icons["icons"][known])
    return None


def draw(icon: Mapping[str, Any], icons: Mapping[str, Any], *, side: int = CELL) -> Image.Image:
    """The drawing as straight RGBA, cropped to what it shows, longest side `side` pixels.

    Raises:
        DataError: the icon draws nothing.
        MissingExtraError: the renderer is not installed.
    """
    defaults = {"left": 0, "top": 0, "width": 16, "height": 16}
    box = " ".join(str(icon.get(key, icons.get(key, default))) for key, default in defaults.items())
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}">{icon["body"]}</svg>'
    )
    canvas = side * OVERSAMPLING
    image = crop(rasterise(svg, width=canvas, height=canvas))
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def rasterise(svg: str, *, width: int, height: int | None) -> Image.Image:
    """An SVG text as straight RGBA pixels; without `height`, its own proportions.

    Raises:
        DataError: the renderer refuses it.
        MissingExtraError: the renderer is not installed.
    """
    renderer = need_extra("resvg_py", extra="artists")
    try:
        png = bytes(renderer.svg_to_bytes(svg_string=svg, width=width, height=height))
        with Image.open(io.BytesIO(png)) as image:
            return image.convert("RGBA")
    except (ValueError, OSError) as error:
        raise DataError(f"an SVG drawing cannot be drawn: {error}") from error


def crop(image: Image.Image) -> Image.Image:
    """The part of an RGBA picture that shows something.

    Raises:
        DataError: it shows nothing.
    """
    box = image.getchannel("A").point([0] * FAINT + [255] * (256 - FAINT)).getbbox()
    if box is None:
        raise DataError("a drawing shows nothing")
    return image.crop(box)


def pack(drawings: Mapping[str, Image.Image]) -> tuple[Image.Image, dict[str, list[int]]]:
    """One sheet for an artist, and each concept's box [x0, y0, x1, y1] on it."""
    rows = -(-len(drawings) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    boxes = {}
    for place, (name, drawing) in enumerate(drawings.items()):
        x, y = place % COLUMNS * CELL, place // COLUMNS * CELL
        sheet.paste(_coarsen(drawing), (x, y))
        boxes[name] = [x, y, x + drawing.width, y + drawing.height]
    return sheet, boxes


def _coarsen(drawing: Image.Image) -> Image.Image:
    """Colours and alpha rounded to multiples of the steps, so that a sheet compresses well."""

    def rounded(step: int) -> list[int]:
        return [min(255, round(value / step) * step) for value in range(256)]

    return drawing.point(rounded(COLOUR_STEP) * 3 + rounded(ALPHA_STEP))
