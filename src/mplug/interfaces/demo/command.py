"""`mplug demo`: the command."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mplug.interfaces.commands_train import Device
from mplug.interfaces.demo.settings import (
    RECORDS,
    REPORT,
    SCENES,
    SUMMARY,
    UNSEEN,
    DemoSettings,
    demo_settings,
)
from mplug.interfaces.demo.state import DemoState
from mplug.interfaces.demo.table import table_lines
from mplug.interfaces.json_output import only_json
from mplug.interfaces.report.wording import of_which
from mplug.training.launch import available_cores

INTERRUPTED = 130  # as shells report Ctrl-C
MOST_PROCESSES = 2  # a batch of the demo is too small for more to pay


def demo(
    *,
    run: Annotated[Path, typer.Option(help="The demo's folder.")] = Path("runs/demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, not continue.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Training processes [one a core, at most two].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and the scenes.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Learn from scratch on real pictures in minutes, then show it.

    Draws scenes, pretrains, fine-tunes on all tasks at once, asks the model about held-out scenes,
    and writes report.html and summary.json into the demo's folder. The same command again
    continues one that was interrupted; one that is done shows its scores again.

    Exit code: 0 done, 2 a wrong option or a folder with something else, 130 stopped with Ctrl-C.
    """
    if processes is None:
        processes = min(MOST_PROCESSES, available_cores()) if device == "cpu" else 1
    with only_json(as_json):
        summary = run_demo(
            demo_settings(run, seed=seed),
            folder=run,
            fresh=fresh,
            processes=processes,
            device=device,
        )
    if as_json:
        print(json.dumps({"run": str(run), "report": str(run / REPORT), **summary}))


def run_demo(
    settings: DemoSettings, *, folder: Path, fresh: bool, processes: int, device: str
) -> dict[str, Any]:
    """Do what is not done yet of the demo in `folder`, show its scores, and return its summary.

    Raises:
        typer.Exit: Ctrl-C between training steps; training itself says so and raises its own.
        MPlugError: whatever prevents it, in words for its user.
    """
    state = DemoState.open(folder, settings=settings.plain(), fresh=fresh)
    if not (folder / SUMMARY).exists():
        from mplug.interfaces.demo.stages import Demo

        try:
            Demo(settings, state, processes=processes, device=device).run()
        except KeyboardInterrupt:
            typer.secho(f"\nstopped; the same command continues in {folder}", err=True)
            raise typer.Exit(INTERRUPTED) from None
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    print()
    whole = [score for score in summary["scores"] if not of_which(score["metric"])]
    print("\n".join(table_lines(whole)))
    print()
    print(f"the report: {folder / REPORT}")
    print(f"the scores: {folder / SUMMARY}")
    unseen = folder / SCENES / UNSEEN
    print(f'to search:  mplug search {unseen} "{_first_caption(unseen)}"')
    return summary


def _first_caption(gallery: Path) -> str:
    with (gallery / RECORDS).open(encoding="utf-8") as lines:
        text: str = json.loads(next(lines))["caption"][0]
    return text
