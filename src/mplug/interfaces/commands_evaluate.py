"""`mplug evaluate`: what a run on scenes has learned, on held-out scenes."""

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from mplug.errors import ConfigError
from mplug.interfaces.commands_train import Device
from mplug.interfaces.locate import require_model

if TYPE_CHECKING:
    from mplug.interfaces.report.content import Score

Split = Literal["training_artists", "validation_artist", "unseen_artist"]
SPLITS: tuple[Split, ...] = get_args(Split)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run that learned from scenes.")],
    *,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(SPLITS), help="May be repeated [the artists trained on, the unseen]."
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each gallery.")] = 500,
    objects: Annotated[
        list[int] | None, typer.Option(min=1, help="Objects a scene; may be repeated [2].")
    ] = None,
    rerank: Annotated[
        int, typer.Option(min=0, help="How many of the nearest matching looks at again.")
    ] = 0,
    remembered: Annotated[
        int, typer.Option(min=1, help="Training scenes that the neighbour by pixels knows.")
    ] = 20_000,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a run on held-out scenes: retrieval, captions, relations, matching.

    Every figure has a 95% interval over scenes and stands beside what learns or sees nothing.
    Choose between runs on --split validation_artist; the other two are for the result.

    Exit code: 0 measured, 2 a wrong option or a run that knows no scenes, 4 no usable model.
    """
    asked = ["training_artists", "unseen_artist"] if split is None else split
    unknown = [name for name in asked if name not in SPLITS]
    if unknown:
        raise ConfigError(f"--split {unknown[0]}: it is one of {', '.join(SPLITS)}")
    require_model(run)
    # With --json, standard output holds the result alone; progress goes to standard error.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        found = _measured(
            run,
            splits=[name for name in SPLITS if name in asked],
            scenes=scenes,
            objects=objects or [2],
            rerank=rerank,
            remembered=remembered,
            device=device,
        )
    scores = [asdict(score) for score in found]
    if as_json:
        print(json.dumps({"run": str(run), "scores": scores}))
        return

    from mplug.interfaces.demo.table import table_lines

    print("\n".join(table_lines(scores)))


def _measured(
    run: Path,
    *,
    splits: list[Split],
    scenes: int,
    objects: list[int],
    rerank: int,
    remembered: int,
    device: Device,
) -> "list[Score]":
    from mplug.config.load import load_config

    file = run / "config.json"
    if not file.is_file():
        raise ConfigError(f"{run} has no config.json, so it is no run: name the folder of a run")
    config = load_config(file)
    world, size = config.data.scenes, config.model.vision.image_size
    if world is None:
        raise ConfigError(f"{file}: data.scenes is null: only runs on scenes have galleries")

    from mplug.interfaces.api import load
    from mplug.interfaces.measure import measure, score_of
    from mplug.tasks.evaluation import Gallery

    galleries = [
        Gallery.held_out(world, split=split, image_size=size, count=scenes, objects=objects)
        for split in splits
    ]
    evaluations = measure(
        load(run, device=device),
        galleries,
        world=world,
        remembered=remembered,
        seed=config.train.seed,
        device=device,
        rerank=rerank,
    )
    return [
        score_of(figure, split=gallery.split)
        for gallery, evaluation in zip(galleries, evaluations, strict=True)
        for figure in (*evaluation.figures, *evaluation.extras)
    ]
