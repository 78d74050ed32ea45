"""`mplug bench`: speed, memory and arithmetic of parts, measured on this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mplug.interfaces.commands_train import Device, Json
from mplug.interfaces.json_output import only_json

bench = typer.Typer(
    help="Measure how fast parts are on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Images = Annotated[
    list[int] | None, typer.Option("--image", min=16, help="Pixels a side; may be repeated.")
]
Lengths = Annotated[
    list[int] | None, typer.Option("--words", min=1, help="Words a text; may be repeated.")
]
PAPER_IMAGES, TEXTS = (256, 384), (20, 40, 80)
HEADS = 12


@bench.callback()
def _bench() -> None:
    """Keeps the group a group."""


@bench.command()
def fusion(
    *,
    out: Annotated[Path, typer.Option(help="The folder for figures, page and picture.")] = Path(
        "runs/bench-fusion"
    ),
    image: Images = None,
    words: Lengths = None,
    width: Annotated[int, typer.Option(min=12, help="Of every state; 12 heads.")] = 768,
    layers: Annotated[int, typer.Option(min=1, help="Fusion layers.")] = 6,
    batch: Annotated[int, typer.Option(min=1, help="Pairs at once.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Four fusion schemes, and strides by either rule, by turns on the same inputs.

    Seconds, multiply-adds, parameters and memory, beside the paper's figures. Writes
    fusion-bench.json, .md and .svg into OUT after every shape; the same command again goes on
    where it stopped. The paper's sizes take some twenty minutes on two cores.
    """
    from mplug.errors import ConfigError

    if width % HEADS:
        raise ConfigError(f"--width {width} is not a multiple of the {HEADS} heads")
    with only_json(as_json):
        from mplug.interfaces.bench import page
        from mplug.interfaces.bench.fusion import NAME, Bench, cell_name, measure
        from mplug.interfaces.bench.networks import Sizes
        from mplug.interfaces.experiments.cells import Cells, fill, write_page

        sizes = Sizes(width, HEADS, 4 * width, layers)
        asked = Bench(sizes, batch=batch, repeats=repeats, device=device)
        base = out / "fusion-bench"
        cells = Cells(base.with_suffix(".json"), experiment=NAME, settings=asked.settings)
        names = [cell_name(side, n) for side in image or PAPER_IMAGES for n in words or TEXTS]

        def write() -> None:
            write_page(base, "\n".join(page.lines(cells)), chart=page.chart(cells))

        done = fill(cells, names, lambda name: measure(name, asked), after=write)
    if as_json:
        print(json.dumps({"page": f"{base}.md", "done": done, "cells": cells.names}))
    else:
        print("\n".join(page.lines(cells)))
