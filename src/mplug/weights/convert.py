"""Weights of the original mPLUG, read strictly: every key is used, or dropped for a reason."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from mplug.config.schema import MPlugConfig
from mplug.errors import CheckpointError
from mplug.models.mplug import MPlug
from mplug.weights.keys import Entry, State, fill, part, refuse_untied, under_original_names
from mplug.weights.original_config import first_fusion_layer, original_model_config
from mplug.weights.original_mplug import (
    QUEUES,
    TIED,
    current_key,
    key_table,
    online_key,
    unused_key,
)
from mplug.weights.reading import read_weights

# Whole parts that a task's file may lack; they then start as a new model's do.
OPTIONAL_PARTS = (
    "decoder",
    "image_projection",
    "text_projection",
    "itm_head",
    "mlm_head",
    "temperature",
)
WRAPPERS = ("model", "module")


@dataclass(frozen=True)
class Queues:
    """The features of earlier batches, as `FeatureQueue` lays them out; ids are -100 if empty."""

    images: Float[Tensor, "places embed"]
    texts: Float[Tensor, "places embed"]
    image_ids: Int[Tensor, "places"]
    pointer: int


@dataclass(frozen=True)
class Imported:
    """What an original file held, and what became of every key."""

    model: MPlug
    teacher: MPlug | None = None  # without the parts that the file has no momentum copy of
    queues: Queues | None = None
    dropped: Mapping[str, str] = field(default_factory=dict)  # original key: why
    new: tuple[str, ...] = ()  # our parameters that the file lacks: freshly initialised


@dataclass(frozen=True)
class _Sorted:
    """The keys of a file by what becomes of them; momentum copies under their online names."""

    online: dict[str, Tensor] = field(default_factory=dict)
    averages: dict[str, Tensor] = field(default_factory=dict)
    queues: dict[str, Tensor] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)


def import_original(
    source: str | Path | Mapping[str, Any],
    original_config: Mapping[str, Any],
    *,
    momentum: bool = False,
    text_layers: int | None = None,
    ignore: Collection[str] = (),
) -> Imported:
    """The model in an original checkpoint: a .safetensors or .pth file, or its state dict.

    `original_config` is the BERT configuration that came with the weights (`stride_layer`,
    `fusion_layers`, `num_attention_heads`, ...), alone or under the key `bert`; sizes are read
    off the tensors. `momentum` also asks for the momentum copies and the queues. `text_layers`
    keeps only the first layers of the text encoder, as the original's grounding does. `ignore`
    lists beginnings of keys to drop that this version does not know.

    Raises:
        CheckpointError: the file cannot be read safely, or keys are missing, unexpected or of
            the wrong size; all of them are listed.
    """
    state = {current_key(key): value for key, value in read_original(source).items()}
    hints = {**original_config, **original_config.get("bert", {})}
    config = original_model_config(state, hints, text_layers=text_layers)
    first = first_fusion_layer(hints)
    table = key_table(config, first_fusion_layer=first)
    keys = _sort(state, config, first=first, momentum=momentum, ignore=tuple(ignore))
    refuse_untied(state, TIED)
    model = MPlug(config)
    new = fill(model, keys.online, table, optional=OPTIONAL_PARTS)
    return Imported(
        model=model,
        teacher=_teacher(config, keys.averages, table) if keys.averages else None,
        queues=_queues(keys.queues) if keys.queues else None,
        dropped=keys.dropped,
        new=new,
    )


def read_original(source: str | Path | Mapping[str, Any]) -> State:
    """The tensors of a checkpoint, out of the `model` or `module` that may hold them.

    Raises:
        CheckpointError: there is no such file, or reading it could run code, or it holds none.
    """
    name = str(source) if isinstance(source, str | Path) else "the state dict"
    held: Any = read_weights(source).tensors if isinstance(source, str | Path) else source
    for wrapper in WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(wrapper), Mapping):
            held = held[wrapper]
    if not isinstance(held, Mapping) or not all(isinstance(one, Tensor) for one in held.values()):
        raise CheckpointError(f"{name}: no state dict, nor one under 'model' or 'module'")
    return held


def to_original(
    named: Mapping[str, Tensor], config: MPlugConfig, *, first_fusion_layer: int
) -> dict[str, Tensor]:
    """Parameters of `MPlug(config)`, or their gradients, under the original names.

    Parameters may be missing, but not some slices of an original tensor while others are there.
    The second row of the token types, which nothing uses, comes out as zeros.

    Raises:
        ValueError: a name is no parameter of the model, or a tensor has only some of its slices.
    """
    return under_original_names(named, key_table(config, first_fusion_layer=first_fusion_layer))


def _sort(
    state: State, config: MPlugConfig, *, first: int, momentum: bool, ignore: tuple[str, ...]
) -> _Sorted:
    keys = _Sorted()
    for key, value in state.items():
        average_of = online_key(key)
        unused = unused_key(average_of or key, config=config, first_fusion_layer=first)
        if ignore and key.startswith(ignore):
            keys.dropped[key] = "ignored, as asked"
        elif (average_of or key in QUEUES) and not momentum:
            keys.dropped[key] = "a momentum copy or a queue, not asked for"
        elif unused:
            keys.dropped[key] = unused
        elif average_of:
            keys.averages[average_of] = value
        elif key in QUEUES:
            keys.queues[key] = value
        else:
            keys.online[key] = value
    return keys


def _teacher(config: MPlugConfig, state: State, table: Sequence[Entry]) -> MPlug:
    """A frozen model of those parts that have momentum copies."""
    teacher = MPlug(config)
    parts = {part(entry) for entry in table}
    absent = parts - {part(entry) for entry in table if entry.theirs in state}
    fill(teacher, state, table, optional=absent)
    for name in absent:
        delattr(teacher, name)
    return teacher.requires_grad_(False).eval()


def _queues(state: State) -> Queues:
    missing = sorted(set(QUEUES) - set(state))
    if missing:
        raise CheckpointError(f"the file has some queues, but not {', '.join(missing)}")
    return Queues(
        images=state["image_queue"].T.contiguous(),
        texts=state["text_queue"].T.contiguous(),
        image_ids=state["idx_queue"].flatten().long(),
        pointer=int(state["queue_ptr"]),
    )
