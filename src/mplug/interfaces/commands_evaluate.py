"""`mplug evaluate`: a run on held-out scenes, or a model on a file of records."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import typer

from mplug.errors import ConfigError
from mplug.interfaces.commands_train import Device
from mplug.interfaces.commands_use import Precision, PrecisionName
from mplug.interfaces.locate import require_model

if TYPE_CHECKING:
    from mplug.interfaces.evaluate_records import Measured, Request

Split = Literal["training_artists", "validation_artist", "unseen_artist"]
SPLITS: tuple[Split, ...] = get_args(Split)
TASKS = ("retrieval", "caption", "answer", "ground", "compare", "entail")
LISTED = 10  # records left out that are named on the screen; --json has all
Name = TypeVar("Name", bound=str)

Source = Annotated[Path, typer.Argument(help="A run, a saved folder or a hub's OWNER/NAME.")]
TaskName = Annotated[
    str | None, typer.Argument(metavar="TASK", help=f"On records: {', '.join(TASKS)}.")
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="data=FILE", help="The records; train=FILE, for the baselines."),
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="|".join(SPLITS), help="May be repeated [the artists trained on, the unseen]."
    ),
]
Tasks = Annotated[
    str | None,
    typer.Option(metavar="TASK,TASK", help=f"Of {', '.join(TASKS)} [all that it has learned]."),
]
Scenes = Annotated[int, typer.Option(min=1, help="Scenes of each gallery.")]
Objects = Annotated[
    list[int] | None,
    typer.Option(min=1, help="Objects a scene; may be repeated [2; to ask, as in training]."),
]
Rerank = Annotated[
    int | None,
    typer.Option(min=0, help="How many of the nearest matching looks at again [0; records: 256]."),
]
Remembered = Annotated[int, typer.Option(min=1, help="Training scenes that the baselines know.")]
Answers = Annotated[
    Path | None, typer.Option(help="Choose among these answers: a line each, or a JSON list.")
]
Prompt = Annotated[str | None, typer.Option(help="What captions begin with [as in training].")]
Frames = Annotated[int, typer.Option(min=1, help="Frames of a clip.")]
Out = Annotated[Path | None, typer.Option(help="Write here what the model says.")]
Form = Annotated[
    str | None, typer.Option("--format", help="Of that file [the official one, or lines].")
]
Against = Annotated[
    Path | None, typer.Option(help="Another run: what the first gains over it, scene by scene.")
]
Where = Annotated[Device, typer.Option(help="Where to compute.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def evaluate(
    run: Source,
    task: TaskName = None,
    words: Words = None,
    *,
    split: Splits = None,
    tasks: Tasks = None,
    scenes: Scenes = 500,
    objects: Objects = None,
    rerank: Rerank = None,
    remembered: Remembered = 20_000,
    against: Against = None,
    answers: Answers = None,
    prompt: Prompt = None,
    frames: Frames = 8,
    out: Out = None,
    form: Form = None,
    device: Where = "cpu",
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Measure a run on held-out scenes, or any model on records: TASK data=FILE.

    On scenes: retrieval, captions, and all that the run was fine-tuned for. Choose between runs on
    --split validation_artist; the other two are for the result. On records: one task, every record
    once, beside the paper's figures where it has any. Every figure has a 95% interval and stands
    beside what learns or sees nothing; with --against, beside another run's and the 95% interval of
    their difference.

    Exit code: 0 measured, 2 a wrong option or a run that knows no scenes, 3 records that cannot be
    used, 4 no usable model.
    """
    if task is None:
        _refuse(_records_only(answers, prompt, out, form), "records: TASK data=FILE")
        sets = (scenes, tuple(objects or ()), rerank or 0, remembered)
        how = (device, precision)
        _on_scenes(run, against, split, tasks, sets, how=how, as_json=as_json)
        return
    scenes_only = {"--split": split, "--tasks": tasks, "--objects": objects, "--against": against}
    _refuse(scenes_only, "held-out scenes")
    ways = (answers, prompt, frames)
    request = _request(task, words or [], ways, rerank=rerank, out=out, form=form)
    _on_records(run, request, how=(device, precision), as_json=as_json)


def _records_only(*given: object) -> dict[str, object]:
    """The options that only records have, by name."""
    return dict(zip(("--answers", "--prompt", "--out", "--format"), given, strict=True))


def _refuse(options: Mapping[str, object], what: str) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(f"{given[0]} is for {what}")


def _known(option: str, asked: Sequence[str], names: tuple[Name, ...]) -> list[Name]:
    """Those of `names` that are asked for, in their own order."""
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise ConfigError(f"{option} {unknown[0]}: it is one of {', '.join(names)}")
    return [name for name in names if name in asked]


def _on_scenes(
    run: Path,
    against: Path | None,
    split: list[str] | None,
    tasks: str | None,
    sets: tuple[int, tuple[int, ...], int, int],
    *,
    how: tuple[Device, Precision],
    as_json: bool,
) -> None:
    device, precision = how
    splits = _known("--split", split or ["training_artists", "unseen_artist"], SPLITS)
    chosen = _known("--tasks", [] if tasks is None else tasks.split(","), TASKS)
    for each in (run, against):
        if each is not None:
            require_model(each)
    # With --json, standard output holds the result alone; progress goes to standard error.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        from mplug.interfaces.demo.table import difference_lines, table_lines
        from mplug.interfaces.evaluate_scenes import (
            Galleries,
            compare_on_scenes,
            evaluate_scenes,
        )

        galleries = Galleries(splits, *sets)
        if against is None:
            scored = evaluate_scenes(
                run, galleries=galleries, tasks=chosen, device=device, precision=precision
            )
            found: dict[str, Any] = {"scores": [asdict(score) for score in scored]}
            lines = table_lines(found["scores"])
        else:
            compared = compare_on_scenes(
                run,
                against,
                galleries=galleries,
                tasks=chosen,
                device=device,
                precision=precision,
            )
            found = {"against": str(against), "differences": [asdict(each) for each in compared]}
            lines = difference_lines(found["differences"], other=str(against))
    print(json.dumps({"run": str(run), **found}) if as_json else "\n".join(lines))


def _request(
    task: str,
    words: Sequence[str],
    how: tuple[Path | None, str | None, int],
    *,
    rerank: int | None,
    out: Path | None,
    form: str | None,
) -> "Request":
    (name,) = _known("TASK", [task], TASKS)
    answers, prompt, frames = how
    paths: dict[str, Path] = {}
    for word in words:
        key, equals, path = word.partition("=")
        if key not in ("data", "train") or not equals or not path:
            raise ConfigError(f"{word!r}: records are given as data=FILE and train=FILE")
        paths[key] = Path(path)
    if "data" not in paths:
        raise ConfigError(f"data=FILE is missing: name the records to measure {name} on")
    if form is not None and out is None:
        raise ConfigError("--format is of the file that --out names: give both")
    if answers is not None and name != "answer":
        raise ConfigError(f"--answers: {name} has no answers to choose from")

    from mplug.interfaces.commands_ask import read_answers
    from mplug.interfaces.evaluate_records import Request
    from mplug.tasks.record_evaluation import Ways

    listed = () if answers is None else tuple(read_answers(answers))
    ways = Ways(listed, prompt, frames)
    return Request(name, paths["data"], paths.get("train"), ways, rerank, out, form)


def _on_records(
    run: Path, request: "Request", *, how: tuple[Device, Precision], as_json: bool
) -> None:
    device, precision = how
    require_model(run)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        from mplug.interfaces.evaluate_records import evaluate_file

        found = evaluate_file(str(run), request, device=device, precision=precision)
    if as_json:
        paper = found.paper
        content = {
            "model": str(run),
            "task": request.task,
            "data": str(request.data),
            "scores": [asdict(score) for score in found.scores],
            "left_out": [each._asdict() for each in found.left_out],
            "notes": found.notes,
            "paper": None if paper is None else {"where": paper.where, "rows": paper.rows},
        }
        print(json.dumps(content))
        return
    print("\n".join(_lines(found)))


def _lines(found: "Measured") -> Iterator[str]:
    from mplug.interfaces.demo.table import table_lines
    from mplug.interfaces.paper_table import paper_lines

    yield from table_lines([asdict(score) for score in found.scores], unit="pictures")
    if found.paper is not None:
        yield from paper_lines(found.paper, found.scores)
    if found.left_out:
        yield f"left out: {len(found.left_out)} records"
        yield from (f"  {each}" for each in found.left_out[:LISTED])
        if len(found.left_out) > LISTED:
            yield f"  ... and {len(found.left_out) - LISTED} more"
    yield from (f"note: {note}" for note in found.notes)
