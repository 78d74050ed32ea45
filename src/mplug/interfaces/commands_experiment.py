"""`mplug experiment`: tables of trainings, built cell by cell and resumed where they stopped."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mplug.interfaces.commands_train import Device, Json
from mplug.interfaces.json_output import only_json

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
        from mplug.interfaces.experiments.cells import Cells, fill, write_page
        from mplug.interfaces.experiments.fusion import NAME, Extent, FusionExperiment

        extent = Extent(encoder_steps, steps, task_steps, scenes)
        asked = FusionExperiment(extent, folder=runs, device=device)
        base = out / "fusion-experiment"
        table = Cells(base.with_suffix(".json"), experiment=NAME, settings=asked.settings)
        names = cell or asked.names(seeds=seeds)

        def write() -> None:
            write_page(base, "\n".join(fusion_page.lines(table)), chart=fusion_page.chart(table))

        done = fill(table, names, lambda name: asked.measure(name, table), most=cells, after=write)
        missing = [name for name in asked.names(seeds=seeds) if name not in table]
    found = {"page": f"{base}.md", "done": done, "missing": missing}
    if as_json:
        print(json.dumps(found))
    else:
        print(f"{base}.md: {len(table.names)} cells, {len(missing)} to come")


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
        from mplug.interfaces.experiments.cells import Cells, fill, write_page
        from mplug.interfaces.experiments.uniter import NAME, Extent, UniterExperiment

        extent = Extent(steps, task_steps, pictures, scenes)
        asked = UniterExperiment(extent, folder=runs, device=device)
        base = out / "uniter-experiment"
        table = Cells(base.with_suffix(".json"), experiment=NAME, settings=asked.settings)
        names = cell or asked.names(seeds=seeds)

        def write() -> None:
            write_page(base, "\n".join(uniter_page.lines(table)), chart=uniter_page.chart(table))

        done = fill(table, names, asked.measure, most=cells, after=write)
        missing = [name for name in asked.names(seeds=seeds) if name not in table]
    found = {"page": f"{base}.md", "done": done, "missing": missing}
    if as_json:
        print(json.dumps(found))
    else:
        print(f"{base}.md: {len(table.names)} cells, {len(missing)} to come")
