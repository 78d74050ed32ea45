"""From a name to the weights it stands for: a run, a saved folder or a hub repository."""

from pathlib import Path
from typing import TYPE_CHECKING

from mplug.config.schema import MPlugConfig, RunConfig
from mplug.config.schema_clip import ClipConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.data.byte_pair import load_tokenizer
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError
from mplug.interfaces.locate import CHECKPOINTS, require_model
from mplug.training.checkpoints import Checkpoints
from mplug.training.state import MODEL_FILE, TASK
from mplug.weights import store
from mplug.weights.folder import find_folder, read_header, read_json, read_weights, validated
from mplug.weights.layout import CONFIG

if TYPE_CHECKING:
    from mplug.weights.clip_folder import LoadedClip
    from mplug.weights.uniter_folder import LoadedUniter
    from mplug.weights.zoo_folder import LoadedZoo

TASK_PREFIX = "model."  # of the model's tensors among a task's


def load_source(
    source: str | Path, *, image_size: int | None = None, revision: str | None = None
) -> "store.Loaded | LoadedClip | LoadedUniter | LoadedZoo":
    """A run's exported model or newest whole checkpoint, a saved folder, or OWNER/NAME.

    Raises:
        CheckpointError: no model is there, or it cannot be used; the message says why.
    """
    found = require_model(source)
    if found is not None and found.unfinished:
        return _load_checkpoint(found.folder, image_size=image_size)
    saved = find_folder(source if found is None else found.folder, revision=revision)
    system = read_header(saved).get("system", "mplug")
    if system == "clip":
        from mplug.weights.clip_folder import load_clip

        return load_clip(saved, image_size=image_size)
    if system == "uniter":
        from mplug.weights.uniter_folder import load_uniter

        return load_uniter(saved)
    if system == "zoo":
        from mplug.weights.zoo_folder import load_zoo

        return load_zoo(saved)
    if system != "mplug":
        raise CheckpointError(f"{source}: a model of the system {system!r}, of a newer mplug")
    return store.load_pretrained(saved, image_size=image_size)


def _load_checkpoint(run: Path, *, image_size: int | None) -> "store.Loaded | LoadedClip":
    """The model inside the newest whole checkpoint of a run that has not exported one yet."""
    checkpoint = Checkpoints(run / CHECKPOINTS, keep=1).latest().checkpoint
    if checkpoint is None:
        raise CheckpointError(f"{run}: holds no checkpoint yet")
    from mplug.config.load import load_run  # which knows all recipes

    config = load_run(run / CONFIG)
    where = str(checkpoint.folder / TASK)
    tensors = {
        name.removeprefix(TASK_PREFIX): tensor
        for name, tensor in read_weights(checkpoint.folder / TASK).items()
        if name.startswith(TASK_PREFIX)
    }
    sizes = read_json(checkpoint.folder / MODEL_FILE)
    if isinstance(config, ClipRun):
        from mplug.weights.clip_folder import LoadedClip, build_clip

        clip = build_clip(
            validated(ClipConfig, sizes, where=where), tensors, where=where, image_size=image_size
        )
        return LoadedClip(clip, load_tokenizer(run), clip.config, card="")
    if not isinstance(config, RunConfig):
        raise CheckpointError(f"{run}: its model can be used when the run has ended")
    model = store.build(
        validated(MPlugConfig, sizes, where=where), tensors, where=where, image_size=image_size
    )
    return store.Loaded(model, Tokenizer.load(run), config.generation, model.config, card="")
