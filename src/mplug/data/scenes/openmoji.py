"""A further test artist, OpenMoji: share-alike drawings, so drawn on the user's own machine."""

import tempfile
from pathlib import Path

import numpy as np

from mplug.data.scenes.iconify import credit, draw, find_body, pack, read_json
from mplug.data.scenes.npm import fetch
from mplug.data.scenes.world import Credit, add_artist, all_concepts
from mplug.errors import DataError

ARTIST = "openmoji"
PACKAGE = "@iconify-json/openmoji@1.2.29"
DRAWS_ANOTHER_THING = {"scroll"}  # a mouse wheel


def use_openmoji(archive: str | Path | None = None) -> str:
    """Draw every concept as OpenMoji does, for this process; gives the artist's name.

    `archive` is the npm package's .tgz; without it, npm fetches it. The drawings are CC-BY-SA-4.0:
    what shows them may be shared under that licence only.

    Raises:
        DataError: the archive is not the package, or npm cannot fetch it.
        MissingExtraError: the SVG renderer is not installed.
    """
    if archive is not None:
        return _add(Path(archive))
    with tempfile.TemporaryDirectory() as folder:
        return _add(fetch(PACKAGE, Path(folder)))


def _add(archive: Path) -> str:
    icons = read_json(archive, "icons.json")
    drawings = {
        concept.name: draw(body, icons)
        for concept in all_concepts()
        if concept.name not in DRAWS_ANOTHER_THING
        and (body := find_body(icons, [concept.icon])) is not None
    }
    if not drawings:
        raise DataError(f"{archive}: draws none of the concepts; is it {PACKAGE}?")
    sheet, boxes = pack(drawings)
    add_artist(ARTIST, sheet=np.array(sheet), boxes=boxes, credit=Credit(**credit(archive)))
    return ARTIST
