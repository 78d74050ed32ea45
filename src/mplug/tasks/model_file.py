"""What a checkpoint says of its model: the sizes and skills that its tensors are of."""

from collections.abc import Callable
from pathlib import Path

from mplug.models.clip import Clip
from mplug.models.mplug import MPlug
from mplug.training.state import MODEL_FILE


def model_file(model: MPlug | Clip) -> dict[str, Callable[[Path], None]]:
    """The file, and what writes it; a run's own config knows no skill that it started from."""
    content = model.config.model_dump_json(indent=2)
    return {MODEL_FILE: lambda path: _write(path, content)}


def _write(path: Path, content: str) -> None:
    path.write_text(content + "\n", encoding="utf-8")
