"""Every difference between a run and the paper's run of that task and size."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from mplug.config import sizes
from mplug.config.paper import PAPER_RUNS
from mplug.config.recipes import recipe
from mplug.config.schema import RunConfig

# What decides no number, or only names things of this machine.
NOT_COMPARED = ("name", "start_from", "tasks", "train", "data")
COMPARED_YET = ("train.seed", "data.augment", "data.max_words", "data.train")
# Groups and fields that only some tasks read.
READ_BY = {
    "objectives": {"pretrain", "retrieval"},
    "objectives.label_smoothing": {"caption"},
    "self_critical": {"self_critical"},
    "generation": {"caption", "answer", "self_critical"},
    "data.max_words": {"pretrain", "retrieval", "caption", "self_critical"},
}
TASK_FIELDS = ("prompt", "box_loss")


class Difference(NamedTuple):
    """A field (or, in words, what no field says), and both values as text."""

    field: str
    ours: str
    paper: str


def paper_runs_of(config: RunConfig) -> dict[str, str]:
    """The recipe that holds the paper's settings, for each thing that the run learns.

    A size that the paper does not have is compared with base; of several data sets, the one that
    the run is named after, else the first, counts.
    """
    size = (
        "large" if config.model.vision.hidden_size == sizes.large().vision.hidden_size else "base"
    )
    learned = list(config.tasks.chosen) if config.task == "finetune" else [config.task]
    return {what: _nearest(what, size=size, name=config.name) for what in learned}


def differences(config: RunConfig, what: str, *, name: str) -> list[Difference]:
    """All that differs from the paper's run beside recipe `name`, and all that is unknown of it.

    `what` is a task of the run, or "pretrain" or "self_critical".
    """
    beside, run = recipe(name), PAPER_RUNS[name]
    ours, theirs = _fields(config, what), {**_fields(beside, what), **run.fields}
    theirs = {path: value for path, value in theirs.items() if path in ours or path in run.fields}
    ours |= {path: value for path, value in _flat(config).items() if path in run.fields}
    found = [
        Difference(path, _shown(ours.get(path)), _shown(theirs.get(path)))
        for path in sorted(ours.keys() | theirs.keys())
        if _shown(ours.get(path)) != _shown(theirs.get(path))
    ]
    if len(config.tasks.chosen) > 1:
        found.append(Difference("tasks", ", ".join(config.tasks.chosen), what))
    optim = config.optim
    final = (optim.lr if optim.vision_lr is None else optim.vision_lr) * optim.final_lr_share
    if run.vision_final_lr is not None and _shown(final) != _shown(run.vision_final_lr):
        last = "the image encoder's rate at the end"
        found.append(Difference(last, _shown(final), _shown(run.vision_final_lr)))
    return [*found, *(Difference(*aside) for aside in run.asides)]


def _nearest(what: str, *, size: str, name: str) -> str:
    """The paper's run of `what`; every size has one of each."""
    if name in PAPER_RUNS and _learns(recipe(name), what):
        return name
    return next(
        each for each in PAPER_RUNS if each.startswith(f"{size}-") and _learns(recipe(each), what)
    )


def _learns(config: RunConfig, what: str) -> bool:
    return what == config.task or (config.task == "finetune" and what in config.tasks.chosen)


def _fields(config: RunConfig, what: str) -> dict[str, Any]:
    """The fields by their paths that decide how `what` is learned."""
    kept = {}
    for path, value in _flat(config).items():
        group = path.split(".")[0]
        if group in NOT_COMPARED and path not in COMPARED_YET:
            continue
        if what in READ_BY.get(path, READ_BY.get(group, {what})):
            kept[path] = value
    task = config.tasks.chosen.get("caption" if what == "self_critical" else what)
    return kept | {
        f"tasks.{what}.{name}": getattr(task, name) for name in TASK_FIELDS if task is not None
    }


def _flat(config: RunConfig) -> dict[str, Any]:
    """Every field by its path; what a run learns from is one of them, scenes or not."""
    flat: dict[str, Any] = {}

    def visit(values: Mapping[str, Any], prefix: str) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping):
                visit(value, f"{prefix}{name}.")
            else:
                flat[prefix + name] = value

    visit(config.model_dump(mode="json"), "")
    if config.data.scenes is not None:
        flat["data.train"] = flat["data.validation"] = "composed scenes"
    return flat


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)
