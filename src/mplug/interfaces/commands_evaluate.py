"""`mplug evaluate`: what a run on scenes has learned, on held-out scenes."""

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import typer

from mplug.errors import ConfigError
from mplug.interfaces.commands_train import Device
from mplug.interfaces.locate import require_model

Split = Literal["training_artists", "validation_artist", "unseen_artist"]
SPLITS: tuple[Split, ...] = get_args(Split)
Name = TypeVar("Name", bound=str)
TASKS = ("retrieval", "caption", "answer", "ground", "compare", "entail")


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run that learned from scenes.")],
    *,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(SPLITS), help="May be repeated [the artists trained on, the unseen]."
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="TASK,TASK", help=f"Of {', '.join(TASKS)} [all that the model has learned]."
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each gallery.")] = 500,
    objects: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Objects a scene; may be repeated [2; for questions, as in training]."
        ),
    ] = None,
    rerank: Annotated[
        int, typer.Option(min=0, help="How many of the nearest matching looks at again.")
    ] = 0,
    remembered: Annotated[
        int, typer.Option(min=1, help="Training scenes that the baselines know.")
    ] = 20_000,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a run on held-out scenes: retrieval, captions, and all that it was fine-tuned for.

    Every figure has a 95% interval over scenes and stands beside what learns or sees nothing.
    Choose between runs on --split validation_artist; the other two are for the result.

    Exit code: 0 measured, 2 a wrong option or a run that knows no scenes, 4 no usable model.
    """
    asked = ["training_artists", "unseen_artist"] if split is None else split
    splits = _known("--split", asked, SPLITS)
    chosen = _known("--tasks", [] if tasks is None else tasks.split(","), TASKS)
    require_model(run)
    # With --json, standard output holds the result alone; progress goes to standard error.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        from mplug.interfaces.evaluate_scenes import Galleries, evaluate_scenes

        found = evaluate_scenes(
            run,
            galleries=Galleries(
                splits=splits,
                scenes=scenes,
                objects=objects or (),
                rerank=rerank,
                remembered=remembered,
            ),
            tasks=chosen,
            device=device,
        )
    scores = [asdict(score) for score in found]
    if as_json:
        print(json.dumps({"run": str(run), "scores": scores}))
        return

    from mplug.interfaces.demo.table import table_lines

    print("\n".join(table_lines(scores)))


def _known(option: str, asked: Sequence[str], names: tuple[Name, ...]) -> list[Name]:
    """Those of `names` that are asked for, in their own order."""
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise ConfigError(f"{option} {unknown[0]}: it is one of {', '.join(names)}")
    return [name for name in names if name in asked]
