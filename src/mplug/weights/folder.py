"""A saved model's folder: what the folders of all systems share, read strictly, written whole.

Saving replaces each file by a finished and flushed one, config.json last: a folder whose files do
not belong together, or that has no config.json, is the trace of an interrupted save and is named
as such. The same model gives the same bytes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mplug import __version__
from mplug.errors import CheckpointError
from mplug.nn.precision import is_lowered
from mplug.weights import hub, shipped
from mplug.weights.card import ModelCard
from mplug.weights.layout import (
    CARD,
    CONFIG,
    FILES,
    GENERATION,
    HASHED,
    TOKENIZER,
    WEIGHTS,
    is_saved_model,
)
from mplug.weights.replace import replacing

FORMAT = 1
READ_SINCE = "0.1.0"  # the first mplug that reads FORMAT; change the two together
SAVE_ORDER = (CARD, TOKENIZER, WEIGHTS, GENERATION, CONFIG)
DRAWN = ("normal_", "uniform_", "trunc_normal_")  # how first values are drawn, in place
MOST_NAMES = 8  # of tensors listed in one message

Settings = TypeVar("Settings", bound=BaseModel)
Network = TypeVar("Network", bound=nn.Module)


@runtime_checkable
class Words(Protocol):
    """What a folder needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write it into a folder."""
        ...


def write_folder(
    folder: Path,
    *,
    system: str,
    model: BaseModel,
    tensors: Mapping[str, Tensor],
    tokenizer: Words,
    words: int,
    card: ModelCard | str,
    generation: BaseModel | None = None,
    half: bool = False,
) -> None:
    """Write a model's files into `folder`, over those that are there; other files stay.

    `model` holds its sizes, `words` says how many ids it knows. `half` stores matrices in float16,
    which halves the file; vectors (biases, scales, statistics of batches), which are few, keep
    their precision.

    Raises:
        CheckpointError: a weight is NaN or infinite, the tokenizer does not fit the model, the
            model is in lower precision, or the folder cannot be written; a model that was there
            before is then still whole. With `half`, also where a weight is too large for float16
            (above 65,504).
    """
    if tokenizer.vocab_size > words:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model {words}: "
            "they do not belong together"
        )
    if is_lowered(tensors):
        raise CheckpointError(
            f"{folder} is not saved: the model was loaded in lower precision, and only full "
            "weights are saved: load it with precision='float32'"
        )
    kept = {name: _stored(tensor, half=half) for name, tensor in tensors.items()}
    require_finite(kept, where=f"{folder} is not saved")
    text = card if isinstance(card, str) else card.render()
    names = [name for name in SAVE_ORDER if name != GENERATION or generation is not None]
    with replacing(folder, names=names) as unfinished:
        save_file(kept, unfinished / WEIGHTS, metadata={"format": "pt"})
        tokenizer.save(unfinished)
        if generation is not None:
            (unfinished / GENERATION).write_text(
                _to_json(generation.model_dump(mode="json")), encoding="utf-8"
            )
        (unfinished / CARD).write_text(text, encoding="utf-8")
        # safetensors writes files that nobody else may read, whatever the user's umask says.
        shutil.copymode(unfinished / CARD, unfinished / WEIGHTS)
        header = {
            "format": "mplug",
            "format_version": FORMAT,
            "needs_mplug": READ_SINCE,
            "system": system,
            "model": model.model_dump(mode="json"),
            "sha256": {name: sha256_of(unfinished / name) for name in HASHED},
        }
        (unfinished / CONFIG).write_text(_to_json(header), encoding="utf-8")


def find_folder(source: str | Path, *, revision: str | None = None) -> Path:
    """Where a model's files are: a folder, `mplug-tiny`, or a hub repository, fetched now.

    Raises:
        CheckpointError: the hub has none, or cannot be reached.
    """
    folder = shipped.folder_of(source) or Path(source)
    if not folder.exists() and hub.is_hub_id(str(source)):
        return hub.download(str(source), files=FILES, revision=revision)
    return folder


def open_folder(folder: Path, *, system: str) -> dict[str, Any]:
    """The header of a saved model of this system, after a look at every file that it names.

    Raises:
        CheckpointError: there is none, it is another system's, or a file does not belong to it.
    """
    header = read_header(folder)
    found = header.get("system", "mplug")
    if found != system:
        raise CheckpointError(
            f"{folder}: a model of the system {found!r}, where one of {system!r} is needed"
        )
    for name, expected in header["sha256"].items():
        _require_hash(folder / name, expected)
    return header


def build_network(
    make: Callable[[], Network], tensors: Mapping[str, Tensor], *, where: str
) -> Network:
    """The network that `make` makes, in eval mode with exactly these weights.

    Raises:
        CheckpointError: a tensor is missing, unexpected, of another shape, no floating-point
            numbers, or not finite; the message begins with `where`.
    """
    with torch.device("meta"), _NothingDrawn():  # shapes only: nothing is initialised twice
        network = make()
    _require_fit(network.state_dict(), tensors, where=where)
    require_finite(tensors, where=f"{where} cannot be used")
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def in_float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are computed with; what is no floating-point number stays what it is."""
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def read_card(folder: Path) -> str:
    """The text of the model card; empty where there is none."""
    card = folder / CARD
    return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""


class _NothingDrawn(TorchFunctionMode):
    """Leaves out drawing first values, which without memory to hold them imports torch's compiler.

    That takes a second, longer than all the rest of loading a small model.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func.__name__ in DRAWN:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    """A weight as it is written: a matrix in float16, if asked for."""
    kept = tensor.detach().cpu().contiguous()
    return kept.half() if half and kept.ndim > 1 and kept.is_floating_point() else kept


def read_header(folder: Path) -> dict[str, Any]:
    """What config.json says of a saved model, of whatever system.

    Raises:
        CheckpointError: it is none that this version reads.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder, and not a hub name such as OWNER/NAME")
    if not is_saved_model(folder):
        held = [name for name in (CONFIG, WEIGHTS) if (folder / name).is_file()]
        raise CheckpointError(
            f"{folder}: not a saved model: it needs {CONFIG} and {WEIGHTS}, and has "
            f"{' and '.join(held) or 'neither'}"
        )
    path = folder / CONFIG
    header = read_json(path)
    version = header.get("format_version")
    if header.get("format") != "mplug" or not isinstance(version, int):
        raise CheckpointError(f"{path}: not the config of a saved mplug model")
    if version > FORMAT:
        raise CheckpointError(
            f"{path}: format {version} needs version {header.get('needs_mplug', 'unknown')} of "
            f"mplug, and this is {__version__}: pip install -U mplug"
        )
    if not isinstance(header.get("sha256"), dict) or set(header["sha256"]) != set(HASHED):
        raise CheckpointError(f"{path}: sha256 must name {' and '.join(HASHED)}")
    if not isinstance(header.get("model"), dict):
        raise CheckpointError(f"{path}: model is missing")
    return header


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        CheckpointError: it cannot be read, or holds none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no JSON object")
    return content


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by their names.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error


def validated(schema: type[Settings], fields: Mapping[str, Any], *, where: str) -> Settings:
    """Settings from plain data.

    Raises:
        CheckpointError: a field does not fit; all are listed.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'sizes'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise CheckpointError(f"{where}: {problems}") from error


def _require_fit(
    expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, where: str
) -> None:
    shapes = [
        f"{name} {list(tensors[name].shape)} instead of {list(expected[name].shape)}"
        for name in sorted(expected.keys() & tensors.keys())
        if tensors[name].shape != expected[name].shape
    ]
    kinds = [
        f"{name} {tensors[name].dtype} instead of {expected[name].dtype}"
        for name in sorted(expected.keys() & tensors.keys())
        if tensors[name].dtype != expected[name].dtype
    ]
    problems = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "of another shape": shapes,
        "of another kind": kinds,
    }
    found = [f"{what}: {', '.join(names)}" for what, names in problems.items() if names]
    if found:
        raise CheckpointError(f"{where} does not fit its config; tensors {'; '.join(found)}")


def require_finite(tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Refuse weights that are no numbers.

    Raises:
        CheckpointError: with their names.
    """
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        more = f" and {len(broken) - MOST_NAMES} more" if len(broken) > MOST_NAMES else ""
        names = ", ".join(sorted(broken)[:MOST_NAMES])
        raise CheckpointError(f"{where}: NaN or infinite values in {names}{more}")


def _require_hash(path: Path, expected: str) -> None:
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if actual != expected:
        raise CheckpointError(
            f"{path}: does not match the sha256 in {CONFIG}: the file is damaged, was replaced, or "
            "a save was interrupted. Save or download the model again"
        )


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
