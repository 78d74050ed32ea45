"""The model that mplug brings, inside the package; imports no torch.

assets/mplug-tiny   a saved model (`layout.py`), and beside it
  about.json        what it knows, in words, and what storing its weights in halves changed
  scores.json       what `mplug evaluate` said of it, every figure with its signature
  recipe/           the configuration (.yaml) and the log (.jsonl) of each stage, in their order

scripts/ship_tiny.py writes them.
"""

import json
from pathlib import Path

from mplug.errors import CheckpointError
from mplug.weights.layout import is_saved_model

NAME = "mplug-tiny"
FOLDER = Path(__file__).parent / "assets" / NAME
ABOUT, SCORES, RECIPE = "about.json", "scores.json", "recipe"


def folder_of(source: str | Path) -> Path | None:
    """Where the model is, if `source` is its name and nothing here is called so.

    As with names on the hub, what a user has made comes first: a folder `mplug-tiny` in the working
    directory is that folder.

    Raises:
        CheckpointError: it is meant, and this installation lacks it.
    """
    return folder() if str(source) == NAME and not Path(source).exists() else None


def folder() -> Path:
    """Where the model is.

    Raises:
        CheckpointError: this installation lacks it.
    """
    if not is_saved_model(FOLDER):
        raise CheckpointError(f"{FOLDER}: {NAME} is missing from this installation: {_mend()}")
    return FOLDER


def introduction() -> str:
    """What the model knows, in one line.

    Raises:
        CheckpointError: this installation lacks it, or a part of it.
    """
    about = folder() / ABOUT
    try:
        knows = json.loads(about.read_text(encoding="utf-8"))["knows"]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{about}: cannot be read ({error}): {_mend()}") from error
    return f"{NAME}: {knows}; train your own with mplug demo / mplug train"


def stages(folder: Path) -> list[Path]:
    """The configurations of the stages that the model was trained in, first to last.

    Raises:
        CheckpointError: this installation lacks them.
    """
    found = sorted((folder / RECIPE).glob("*.yaml"))
    if not found:
        raise CheckpointError(f"{folder / RECIPE}: holds no configurations: {_mend()}")
    return found


def _mend() -> str:
    return "pip install --force-reinstall mplug"
