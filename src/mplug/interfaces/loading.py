"""From a name to the weights it stands for: a run, a saved folder or a hub repository."""

from pathlib import Path

from mplug.config.load import load_config
from mplug.config.schema import MPlugConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError
from mplug.interfaces.locate import CHECKPOINTS, require_model
from mplug.training.checkpoints import Checkpoints
from mplug.training.state import MODEL_FILE, TASK
from mplug.weights import store
from mplug.weights.layout import CONFIG

TASK_PREFIX = "model."  # of the model's tensors among a task's


def load_source(
    source: str | Path, *, image_size: int | None = None, revision: str | None = None
) -> store.Loaded:
    """A run's exported model or newest whole checkpoint, a saved folder, or OWNER/NAME.

    Raises:
        CheckpointError: no model is there, or it cannot be used; the message says why.
    """
    found = require_model(source)
    if found is not None and found.unfinished:
        return _load_checkpoint(found.folder, image_size=image_size)
    saved = source if found is None else found.folder
    return store.load_pretrained(saved, image_size=image_size, revision=revision)


def _load_checkpoint(run: Path, *, image_size: int | None) -> store.Loaded:
    """The model inside the newest whole checkpoint of a run that has not exported one yet."""
    checkpoint = Checkpoints(run / CHECKPOINTS, keep=1).latest().checkpoint
    if checkpoint is None:
        raise CheckpointError(f"{run}: holds no checkpoint yet")
    config = load_config(run / CONFIG)
    described = checkpoint.folder / MODEL_FILE
    sizes = MPlugConfig.model_validate_json(described.read_text(encoding="utf-8"))
    tensors = store.read_weights(checkpoint.folder / TASK)
    model = store.build(
        sizes,
        {
            name.removeprefix(TASK_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(TASK_PREFIX)
        },
        where=str(checkpoint.folder / TASK),
        image_size=image_size,
    )
    return store.Loaded(model, Tokenizer.load(run), config.generation, model.config, card="")
