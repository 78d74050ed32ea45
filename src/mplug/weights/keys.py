"""Key tables: which tensor of an original file is which parameter of ours, and filling them in.

Nothing is skipped in silence: what is missing, unexpected or of another size is listed, all of it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mplug.errors import CheckpointError

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Entry:
    """Our parameter `ours` is the original `theirs`, its slice number `place`, or its one `row`."""

    ours: str
    theirs: str
    place: int | None = None
    row: int | None = None


def weight_and_bias(ours: str, theirs: str) -> Iterator[Entry]:
    """Both parameters of a linear layer or a norm."""
    for kind in ("weight", "bias"):
        yield Entry(f"{ours}.{kind}", f"{theirs}.{kind}")


def linear_parts(ours: str, parts: Mapping[str, str], theirs: str) -> Iterator[Entry]:
    """Linear layers and norms with the names in `parts`, under a prefix on either side."""
    for name, original in parts.items():
        yield from weight_and_bias(ours + name, theirs + original)


def fill(
    model: nn.Module, state: State, table: Sequence[Entry], *, optional: Collection[str] = ()
) -> tuple[str, ...]:
    """Load `state`, under the original names, into `model`; parameters not in the table stay.

    Of the model's attributes in `optional`, those that `state` has nothing of stay as they are;
    returns their parameters.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong size; all of them are listed.
    """
    wanted = model.state_dict()
    missing = [entry for entry in table if entry.theirs not in state]
    present_parts = {part(entry) for entry in table if entry.theirs in state}
    new = [entry for entry in missing if part(entry) in set(optional) - present_parts]
    problems = [f"missing: {entry.theirs}" for entry in missing if entry not in new]
    problems += [f"unexpected: {key}" for key in set(state) - {entry.theirs for entry in table}]
    loaded: dict[str, Tensor] = {}
    for theirs, entries in by_original(table).items():
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
    refuse_if(problems)
    model.load_state_dict(wanted | loaded, strict=True)
    return tuple(entry.ours for entry in new)


def refuse_if(problems: Collection[str]) -> None:
    """Stop at weights that do not fit, with every reason.

    Raises:
        CheckpointError: there is a problem.
    """
    if problems:
        raise CheckpointError("the weights do not fit:\n  " + "\n  ".join(sorted(problems)))


def refuse_untied(state: State, tied: Mapping[str, str]) -> None:
    """Copies of tied tensors may only be dropped if they are copies.

    Raises:
        CheckpointError: a key of `tied` differs from the one it should be a copy of.
    """
    refuse_if(
        [
            f"{copy} differs from {original}, whose copy it should be"
            for copy, original in tied.items()
            if copy in state and original in state and not torch.equal(state[copy], state[original])
        ]
    )


def under_original_names(named: State, table: Sequence[Entry]) -> dict[str, Tensor]:
    """Parameters of ours, or their gradients, under the original names.

    Parameters may be missing, but not some slices of an original tensor while others are there.
    Rows of a table that nothing uses come out as zeros.

    Raises:
        ValueError: a name is not in the table, or a tensor has only some of its slices.
    """
    unknown = sorted(set(named) - {entry.ours for entry in table})
    if unknown:
        raise ValueError(f"no parameters of this model: {', '.join(unknown)}")
    result: dict[str, Tensor] = {}
    for theirs, entries in by_original(table).items():
        held = [named[entry.ours] for entry in entries if entry.ours in named]
        if len(held) not in (0, len(entries)):
            raise ValueError(f"{theirs} is made of {len(entries)} parameters, not {len(held)}")
        if held:
            result[theirs] = _joined(held, entries)
    return result


def part(entry: Entry) -> str:
    """The attribute of the model that a parameter belongs to."""
    return entry.ours.split(".")[0]


def by_original(table: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries of each original tensor, in the order of their slices or rows."""
    grouped: dict[str, list[Entry]] = {}
    for entry in sorted(table, key=lambda entry: entry.place or entry.row or 0):
        grouped.setdefault(entry.theirs, []).append(entry)
    return grouped


def _split(
    tensor: Tensor, entries: Sequence[Entry], shapes: Sequence[torch.Size]
) -> dict[str, Tensor] | None:
    """Our parameters in an original tensor; None if its size is another."""
    first, shape = entries[0], shapes[0]
    if first.row is not None:
        rows = {entry.ours: entry.row or 0 for entry in entries}
        if tensor.dim() == 0 or tensor.shape[1:] != shape or len(tensor) <= max(rows.values()):
            return None
        return {ours: tensor[row] for ours, row in rows.items()}
    if first.place is None:
        return {first.ours: tensor} if tensor.shape == shape else None
    if tensor.shape != (len(entries) * shape[0], *shape[1:]):
        return None
    return {
        entry.ours: piece for entry, piece in zip(entries, tensor.chunk(len(entries)), strict=True)
    }


def _joined(held: Sequence[Tensor], entries: Sequence[Entry]) -> Tensor:
    """The original tensor of which `entries` are the slices or rows; BERT's tables have two."""
    if entries[0].row is not None:
        rows = {entry.row or 0: tensor for entry, tensor in zip(entries, held, strict=True)}
        return torch.stack(
            [rows.get(row, torch.zeros_like(held[0])) for row in range(max(2, 1 + max(rows)))]
        )
    return held[0] if entries[0].place is None else torch.cat(list(held))
