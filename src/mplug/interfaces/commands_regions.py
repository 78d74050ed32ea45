"""`mplug regions`: pictures as regions with features, for models of UNITER's kind."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from mplug.errors import ConfigError
from mplug.interfaces.commands_train import Json
from mplug.interfaces.json_output import only_json

LISTED = 10  # pictures left out that are named on the screen; --json has all
MOST_CELLS = 20  # along a side


def regions(
    source: Annotated[Path, typer.Argument(help="A picture, a folder, records, or a .tsv file.")],
    out: Annotated[Path, typer.Argument(help="The folder for the regions' files.")],
    *,
    encoder: Annotated[
        str, typer.Option(help="What describes the boxes: a run, a saved model or mplug-tiny.")
    ] = "mplug-tiny",
    boxes: Annotated[
        Path | None, typer.Option(help='Lines {"image": ..., "boxes": [...]} in pixels.')
    ] = None,
    grid: Annotated[str, typer.Option(help="ROWSxCOLUMNS, where there are no boxes.")] = "4x4",
    as_json: Json = False,
) -> None:
    """Describe pictures region by region, without a detector.

    Boxes are those of --boxes; or the objects that records name, which then also are the classes;
    or the cells of a grid and the whole picture. A .tsv file of bottom-up attention is taken as it
    is. The folder is what data.regions of a UNITER run names.

    Exit code: 0 written, 2 a wrong option, 3 nothing could be read, 4 no usable model.
    """
    with only_json(as_json):
        rows, columns = _sides(grid)
        from mplug.data.regions.pictures import grid as cells
        from mplug.interfaces.region_files import make_regions

        made = make_regions(source, out, encoder=encoder, cells=cells(rows, columns), boxes=boxes)
    if as_json:
        print(json.dumps({"out": str(out), **made._asdict()}))
        return
    print(f"{out}: regions of {made.written} pictures, {made.feature_size} numbers each")
    print(f"train with data.regions={out} model.regions.feature_size={made.feature_size}")
    for line in made.left_out[:LISTED]:
        print(f"left out: {line}")
    if len(made.left_out) > LISTED:
        print(f"... and {len(made.left_out) - LISTED} more")


def _sides(grid: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", grid)
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(1 <= side <= MOST_CELLS for side in sides):
        raise ConfigError(
            f"--grid {grid}: give ROWSxCOLUMNS from 1x1 to {MOST_CELLS}x{MOST_CELLS}, such as 4x4"
        )
    return sides
