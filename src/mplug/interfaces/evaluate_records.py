"""A model measured on a file of records, beside the paper where the paper has such a row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from mplug.config.load import load_run
from mplug.config.paper_results import PaperTable, published
from mplug.config.schema import RunConfig, Skill
from mplug.data.records import Record, read_records
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.api import Model, load
from mplug.interfaces.asking import DEEDS
from mplug.interfaces.clip_api import ClipModel
from mplug.interfaces.locate import run_config
from mplug.interfaces.measure import score_of
from mplug.interfaces.phases import phases
from mplug.interfaces.predictions import format_for, write_replies, write_search
from mplug.interfaces.report.content import Score
from mplug.tasks.asker import Asker
from mplug.tasks.clip_search import ClipSearcher, evaluate_clip
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Observer, Progress
from mplug.tasks.record_asks import ASKS
from mplug.tasks.record_evaluation import Ways, asking, evaluate_records, one_a_picture
from mplug.tasks.record_reading import LeftOut
from mplug.tasks.record_search import RERANKED, evaluate_search
from mplug.tasks.video import ClipObserver
from mplug.tasks.video_evaluation import evaluate_search as evaluate_clip_search
from mplug.tasks.video_records import ClipTest
from mplug.training.distributed import choose_device

REPORT = "report.json"  # that a conversion leaves beside its records
MORE_TRAINING = "without train=FILE nothing stands for what training asks most"


@dataclass(frozen=True)
class Request:
    """What is to be measured, on which records, and where predictions go."""

    task: str
    data: Path
    train: Path | None  # records for the baselines
    ways: Ways
    rerank: int | None
    out: Path | None
    form: str | None


@dataclass(frozen=True)
class Measured:
    """Scores on a file, what was left out and why, and what the paper says."""

    scores: tuple[Score, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    paper: PaperTable | None


def evaluate_file(
    source: str, request: Request, *, device: str, precision: str = "float32"
) -> Measured:
    """Ask the model about every record of the file, score and write what it says.

    Raises:
        ConfigError: predictions cannot be written as asked for.
        DataError: the file cannot be read, or asks nothing.
        CheckpointError: there is no such model, or it was not trained for the task.
    """
    if request.out is not None and not request.out.parent.is_dir():
        raise ConfigError(f"--out {request.out}: there is no folder {request.out.parent}")
    found = read_records(request.data)
    bad = tuple(
        LeftOut(f"{each.file}, line {each.line}" if each.line else each.file, each.reason)
        for each in found.problems
    )
    if not found.records:
        first = f": {bad[0]}" if bad else ""
        raise DataError(f"{request.data}: holds no record that can be used{first}")
    data, split = _data_set(request.data)
    run = _run(source)
    request = replace(request, ways=_as_trained(request.ways, run))
    model = load(source, device=device, precision=precision)
    _require_skill(model, request.task)
    with phases() as show:
        figures, left_out, notes = _measure(
            model,
            found.records,
            request,
            run=run,
            names=(data, split),
            device=choose_device(device),
            progress=lambda *counts: show(f"{request.task}: {request.data.name}", *counts),
        )
    return Measured(
        tuple(score_of(figure, split=split) for figure in figures),
        (*bad, *left_out),
        tuple(notes),
        published(request.task, data=data, split=split),
    )


Found = tuple[Sequence[Figure], Sequence[LeftOut], list[str]]


def _measure(
    model: Model | ClipModel,
    records: Sequence[Record],
    request: Request,
    *,
    run: RunConfig | None,
    names: tuple[str, str],
    device: torch.device,
    progress: Progress,
) -> Found:
    data, split = names
    if isinstance(model, ClipModel):
        searcher = ClipSearcher(model.network, model.tokenizer, device)
        return _search_by_clip(searcher, records, request, split=split, progress=progress)
    observer = Observer(model.network, model.tokenizer, device)
    measure = _search if request.task == "retrieval" else _ask
    return measure(
        Asker(observer, model.generation),
        records,
        request,
        learned=_learned(run, request),
        data=data,
        split=split,
        progress=progress,
    )


def _ask(
    asker: Asker,
    records: Sequence[Record],
    request: Request,
    *,
    learned: Sequence[Record],
    data: str,
    split: str,
    progress: Progress,
) -> Found:
    task, form = request.task, ""
    if request.out is not None:
        asked, _ = asking(one_a_picture(records) if task == "caption" else records, task)
        form = format_for(asked, task=task, data=data, asked=request.form)
    found = evaluate_records(
        asker,
        records,
        task=task,
        split=split,
        learned=learned,
        ways=request.ways,
        progress=progress,
    )
    notes = list(found.notes)
    if found.figures and not learned:
        notes.append(MORE_TRAINING)
    if request.out is not None:
        write_replies(request.out, found.replies, task=task, form=form)
        unseen = sum(not each.seen for each in found.replies)
        notes.append(f"{len(found.replies)} predictions ({form}) in {request.out}")
        if unseen:
            notes.append(f"{unseen} of them are for a grey picture, as theirs cannot be read")
    return found.figures, found.left_out, notes


def _search(
    asker: Asker,
    records: Sequence[Record],
    request: Request,
    *,
    learned: Sequence[Record],
    data: str,
    split: str,
    progress: Progress,
) -> Found:
    top = RERANKED if request.rerank is None else request.rerank
    if any(record.video is not None for record in records):
        if request.out is not None:
            raise ConfigError("--out: search among clips has no file of predictions")
        test = ClipTest.of(records, split=split, frames=request.ways.frames)
        clips = ClipObserver(asker.observer)
        return evaluate_clip_search(clips, test, top=top, progress=progress), (), []
    found = evaluate_search(asker.observer, records, split=split, top=top, progress=progress)
    notes = []
    if request.out is not None:
        write_search(request.out, found)
        notes.append(f"similarities of {len(found.pictures)} pictures in {request.out}")
    return found.figures, found.left_out, notes


def _search_by_clip(
    searcher: ClipSearcher,
    records: Sequence[Record],
    request: Request,
    *,
    split: str,
    progress: Progress,
) -> Found:
    if request.rerank:
        raise ConfigError("--rerank: a CLIP model compares vectors, and matches nothing again")
    found = evaluate_clip(searcher, records, split=split, progress=progress)
    notes = []
    if request.out is not None:
        write_search(request.out, found)
        notes.append(f"similarities of {len(found.pictures)} pictures in {request.out}")
    return found.figures, found.left_out, notes


def _require_skill(model: Model | ClipModel, task: str) -> None:
    """Every model searches, and mPLUG's describe; the rest must have been learned."""
    if isinstance(model, ClipModel):
        if task != "retrieval":
            raise CheckpointError(f"{task}: a CLIP model is measured on retrieval alone")
        return
    if task in ("retrieval", "caption") or task in model.config.skills:
        return
    raise CheckpointError(
        f"this model was not trained to {DEEDS[cast(Skill, task)]}: fine-tune it with the task "
        f"{task!r}, or name another model"
    )


def _data_set(file: Path) -> tuple[str, str]:
    """The data set's name, where a conversion wrote the file, and the split's."""
    split = file.name if file.is_dir() else file.stem
    report = file.parent / REPORT
    try:
        name = json.loads(report.read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):  # records of one's own have no report
        return "", split
    return str(name), split


def _learned(run: RunConfig | None, request: Request) -> tuple[Record, ...]:
    """Training records: those named, or those of the run, where its file is still there."""
    file = request.train
    if file is None and run is not None:
        task = run.tasks.chosen.get(request.task)
        name = run.data.train if task is None or task.train is None else task.train
        file = None if name is None or not Path(name).exists() else Path(name)
    if file is None:
        return ()
    if file.resolve() == request.data.resolve():
        raise ConfigError(f"{file}: is what is measured, and cannot be what the baselines learned")
    return tuple(each for each in read_records(file).records if ASKS[request.task](each))


def _run(source: str) -> RunConfig | None:
    """The configuration of a run of mPLUG; a saved model or a hub's has none."""
    file = run_config(source)
    config = None if file is None else load_run(file)
    return config if isinstance(config, RunConfig) else None


def _as_trained(ways: Ways, run: RunConfig | None) -> Ways:
    """Captions begin as in training, unless another beginning was asked for."""
    caption = None if run is None else run.tasks.caption
    if ways.prompt is not None or caption is None:
        return ways
    return replace(ways, prompt=caption.prompt)
