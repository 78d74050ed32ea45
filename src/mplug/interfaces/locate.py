"""Which files a user means by a model's name: a saved model, a run, or the model mplug brings.

Imports no torch, so that a wrong name is answered at once.
"""

from pathlib import Path
from typing import NamedTuple

from mplug.errors import CheckpointError
from mplug.weights import shipped
from mplug.weights.hub import is_hub_id
from mplug.weights.layout import CONFIG, is_saved_model

RUNS = Path("runs")
MODEL, CHECKPOINTS = "model", "checkpoints"
ADVICE = "`mplug demo` trains a model in minutes; mplug-tiny is the one that mplug brings"


class Found(NamedTuple):
    """A folder that `save_pretrained` wrote, or an unfinished run that has only checkpoints."""

    folder: Path
    unfinished: bool


def find_model(folder: Path) -> Found | None:
    """The model of a saved folder, of a run, or of a run of several stages; None without one.

    Within a run its exported `model/` comes before its checkpoints, the newest stage before others.
    """
    if is_saved_model(folder):
        return Found(folder, unfinished=False)
    places = [folder, *_folders_in(folder)]
    saved = [place / MODEL for place in places if is_saved_model(place / MODEL)]
    if saved:
        own = folder / MODEL
        return Found(own if own in saved else max(saved, key=_changed), unfinished=False)
    unfinished = [place for place in places if _has_checkpoints(place)]
    if unfinished:
        return Found(max(unfinished, key=_changed), unfinished=True)
    return None


def require_model(source: str | Path) -> Found | None:
    """The model that `source` names on this machine; None if it is a name on the hub.

    `mplug-tiny` is the model that mplug brings, unless a folder here is called so.

    Raises:
        CheckpointError: it is none of these.
    """
    folder = shipped.folder_of(source) or Path(source)
    found = find_model(folder)
    if found is not None:
        return found
    if folder.exists() and str(source) == shipped.NAME:
        raise CheckpointError(
            f"{source}: this folder has no model, and hides the one that mplug brings: rename it"
        )
    if folder.exists():
        raise CheckpointError(f"{source}: neither a saved model nor a run that has one: {ADVICE}")
    if not is_hub_id(str(source)):
        raise CheckpointError(f"{source}: no such folder, and no hub name (OWNER/NAME): {ADVICE}")
    return None


def run_config(source: str | Path) -> Path | None:
    """The configuration of a run, or of the last stage of mplug-tiny; None for other models."""
    brought = shipped.folder_of(source)
    if brought is not None:
        return shipped.stages(brought)[-1]
    folder = Path(source)
    file = folder / CONFIG
    return file if file.is_file() and not is_saved_model(folder) else None


def newest_model(runs: Path = RUNS) -> Path | None:
    """The run below `runs` whose model is the newest; None where none has one."""
    models = {run: find_model(run) for run in _folders_in(runs)}
    dated = [(_changed(found.folder), run) for run, found in models.items() if found]
    return max(dated)[1] if dated else None


def _folders_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _has_checkpoints(run: Path) -> bool:
    return (run / CONFIG).is_file() and any((run / CHECKPOINTS).glob("step-*"))


def _changed(place: Path) -> int:
    """When a model was saved, or a run last wrote a checkpoint, in nanoseconds."""
    checkpoints = place / CHECKPOINTS
    return (checkpoints if checkpoints.is_dir() else place / CONFIG).stat().st_mtime_ns
