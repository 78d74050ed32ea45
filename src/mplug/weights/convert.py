"""Weights of the original mPLUG, read strictly: every key is used, or dropped for a reason."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mplug.config.schema import MPlugConfig
from mplug.errors import CheckpointError
from mplug.models.mplug import MPlug
from mplug.weights.original_config import State, first_fusion_layer, original_model_config
from mplug.weights.original_mplug import (
    QUEUES,
    TIED,
    Entry,
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
    _check_tied(state)
    model = MPlug(config)
    new = _fill(model, keys.online, table, optional=OPTIONAL_PARTS)
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
    table = key_table(config, first_fusion_layer=first_fusion_layer)
    unknown = sorted(set(named) - {entry.ours for entry in table})
    if unknown:
        raise ValueError(f"no parameters of this model: {', '.join(unknown)}")
    result: dict[str, Tensor] = {}
    for theirs, entries in _by_original(table).items():
        held = [named[entry.ours] for entry in entries if entry.ours in named]
        if len(held) not in (0, len(entries)):
            raise ValueError(f"{theirs} is made of {len(entries)} parameters, not {len(held)}")
        if held:
            result[theirs] = _joined(held, entries)
    return result


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


def _fill(
    model: MPlug, state: State, table: Sequence[Entry], *, optional: Collection[str]
) -> tuple[str, ...]:
    """Load `state` under the original names; returns the parameters of the parts it lacks."""
    wanted = model.state_dict()
    missing = [entry for entry in table if entry.theirs not in state]
    present_parts = {_part(entry) for entry in table if entry.theirs in state}
    new = [entry for entry in missing if _part(entry) in set(optional) - present_parts]
    problems = [f"missing: {entry.theirs}" for entry in missing if entry not in new]
    problems += [f"unexpected: {key}" for key in set(state) - {entry.theirs for entry in table}]
    loaded: dict[str, Tensor] = {}
    for theirs, entries in _by_original(table).items():
        if theirs not in state:
            continue
        shapes = [wanted[entry.ours].shape for entry in entries]
        slices = _split(state[theirs], entries, shapes)
        if slices is None:
            problems.append(
                f"size: {theirs} is {list(state[theirs].shape)}, but {entries[0].ours} is "
                f"{list(shapes[0])}"
            )
        else:
            loaded |= slices
    if problems:
        raise CheckpointError("the weights do not fit:\n  " + "\n  ".join(sorted(problems)))
    model.load_state_dict(wanted | loaded, strict=True)
    return tuple(entry.ours for entry in new)


def _split(
    tensor: Tensor, entries: Sequence[Entry], shapes: Sequence[torch.Size]
) -> dict[str, Tensor] | None:
    """Our parameters in an original tensor; None if its size is another."""
    if entries[0].place is None:
        return {entries[0].ours: tensor} if tensor.shape == shapes[0] else None
    if tensor.dim() > len(shapes[0]):  # a table, of which one row is used
        row = tensor[entries[0].place]
        return {entries[0].ours: row} if row.shape == shapes[0] else None
    if tensor.shape != (len(entries) * shapes[0][0], *shapes[0][1:]):
        return None
    pieces = tensor.chunk(len(entries))
    return {entry.ours: pieces[entry.place or 0] for entry in entries}


def _joined(held: Sequence[Tensor], entries: Sequence[Entry]) -> Tensor:
    """The original tensor of which `entries` are the slices."""
    if entries[0].place is None:
        return held[0]
    if len(held) == 1:
        return torch.stack([held[0], torch.zeros_like(held[0])])
    return torch.cat(list(held))


def _by_original(table: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries of each original tensor, in the order of their slices."""
    grouped: dict[str, list[Entry]] = {}
    for entry in sorted(table, key=lambda entry: entry.place or 0):
        grouped.setdefault(entry.theirs, []).append(entry)
    return grouped


def _part(entry: Entry) -> str:
    """The attribute of the model that a parameter belongs to."""
    return entry.ours.split(".")[0]


def _teacher(config: MPlugConfig, state: State, table: Sequence[Entry]) -> MPlug:
    """A frozen model of those parts that have momentum copies."""
    teacher = MPlug(config)
    parts = {_part(entry) for entry in table}
    absent = parts - {_part(entry) for entry in table if entry.theirs in state}
    _fill(teacher, state, table, optional=absent)
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


def _check_tied(state: State) -> None:
    """Dropping a copy is only right if it is one."""
    untied = [
        f"{copy} differs from {original}, whose copy it should be"
        for copy, original in TIED.items()
        if copy in state and original in state and not torch.equal(state[copy], state[original])
    ]
    if untied:
        raise CheckpointError("the weights do not fit:\n  " + "\n  ".join(untied))
