"""Saving and loading a model: a folder of JSON and safetensors, here or on the hub; no pickle.

Weights may be stored in half precision; they are computed with in float32 either way.

Saving replaces each file by a finished and flushed one, config.json last: a folder whose files do
not belong together, or that has no config.json, is the trace of an interrupted save and is named
as such. The same model gives the same bytes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mplug import __version__
from mplug.config.schema import GenerationConfig, MPlugConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, DataError
from mplug.models.mplug import MPlug
from mplug.nn.embeddings import resize_positions
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
POSITIONS = "vision.positions"
DRAWN = ("normal_", "uniform_", "trunc_normal_")  # how first values are drawn, in place
MOST_NAMES = 8  # of tensors listed in one message

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class Loaded:
    """A saved model, in eval mode, with what it needs to be used."""

    model: MPlug
    tokenizer: Tokenizer
    generation: GenerationConfig
    config: MPlugConfig
    card: str  # the text of README.md; empty where there is none


def save_pretrained(
    folder: str | Path,
    *,
    model: MPlug,
    tokenizer: Tokenizer,
    generation: GenerationConfig,
    card: ModelCard | str,
    half: bool = False,
) -> Path:
    """Write a model into `folder`, over one that is there; other files stay. Returns the folder.

    `half` stores matrices in float16, which halves the file; vectors (biases, scales, statistics of
    batches), which are few, keep their precision.

    Raises:
        CheckpointError: a weight is NaN or infinite, the tokenizer does not fit the model, or the
            folder cannot be written; a model that was there before is then still whole. With
            `half`, also where a weight is too large for float16 (above 65,504).
    """
    folder = Path(folder)
    words = model.config.text.vocab_size
    if tokenizer.vocab_size > words:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model {words}: "
            "they do not belong together"
        )
    tensors = {name: _stored(tensor, half=half) for name, tensor in model.state_dict().items()}
    _require_finite(tensors, where=f"{folder} is not saved")
    text = card if isinstance(card, str) else card.render()
    with replacing(folder, names=SAVE_ORDER) as unfinished:
        save_file(tensors, unfinished / WEIGHTS, metadata={"format": "pt"})
        tokenizer.save(unfinished)
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
            "model": model.config.model_dump(mode="json"),
            "sha256": {name: sha256_of(unfinished / name) for name in HASHED},
        }
        (unfinished / CONFIG).write_text(_to_json(header), encoding="utf-8")
    return folder


def load_pretrained(
    source: str | Path, *, image_size: int | None = None, revision: str | None = None
) -> Loaded:
    """Read a saved model: a folder, `mplug-tiny`, or a hub repository named OWNER/NAME.

    A folder that is called `mplug-tiny` comes before the model that mplug brings. `image_size` asks
    for another resolution: the positions are resized to it. `revision` is a branch, tag or commit
    of a hub repository.

    Raises:
        CheckpointError: there is no model, a newer version wrote it, a file is damaged, or its
            weights and its config disagree; the message lists every key.
    """
    folder = shipped.folder_of(source) or Path(source)
    if not folder.exists() and hub.is_hub_id(str(source)):
        folder = hub.download(str(source), files=FILES, revision=revision)
    header = _read_header(folder)
    for name, expected in header["sha256"].items():
        _require_hash(folder / name, expected)
    config = _validated(MPlugConfig, header["model"], where=f"{folder / CONFIG}: model")
    model = build(
        config,
        read_weights(folder / WEIGHTS),
        where=str(folder / WEIGHTS),
        image_size=image_size,
    )
    generation = _validated(
        GenerationConfig, _read_json(folder / GENERATION), where=str(folder / GENERATION)
    )
    card = folder / CARD
    return Loaded(
        model=model,
        tokenizer=_read_tokenizer(folder / TOKENIZER, config=config),
        generation=generation,
        config=model.config,
        card=card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "",
    )


def build(
    config: MPlugConfig,
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    image_size: int | None = None,
) -> MPlug:
    """A model in eval mode with exactly these weights, in float32, perhaps at another resolution.

    Raises:
        CheckpointError: a tensor is missing, unexpected, of another shape, no floating-point
            numbers, or not finite; the message begins with `where`. Or the resolution does not
            fit the patches.
    """
    tensors = {name: _in_float32(tensor) for name, tensor in tensors.items()}
    if image_size is not None and image_size != config.vision.image_size:
        config, tensors = _resized(config, tensors, image_size, where=where)
    with torch.device("meta"), _NothingDrawn():  # shapes only: nothing is initialised twice
        model = MPlug(config)
    _require_fit(model.state_dict(), tensors, where=where)
    _require_finite(tensors, where=f"{where} cannot be used")
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def _resized(
    config: MPlugConfig, tensors: Mapping[str, Tensor], image_size: int, *, where: str
) -> tuple[MPlugConfig, Mapping[str, Tensor]]:
    """Config and weights for another resolution."""
    fields = config.model_dump()
    fields["vision"]["image_size"] = image_size
    resized = _validated(MPlugConfig, fields, where=f"{where}, image_size={image_size}")
    if POSITIONS not in tensors:  # comparing the keys will say so
        return resized, tensors
    side = image_size // config.vision.patch_size
    positions = resize_positions(tensors[POSITIONS], grid=(side, side))
    return resized, {**tensors, POSITIONS: positions}


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


def _in_float32(tensor: Tensor) -> Tensor:
    """A weight as it is computed with; what is no floating-point number stays what it is."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _read_header(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder, and not a hub name such as OWNER/NAME")
    if not is_saved_model(folder):
        held = [name for name in (CONFIG, WEIGHTS) if (folder / name).is_file()]
        raise CheckpointError(
            f"{folder}: not a saved model: it needs {CONFIG} and {WEIGHTS}, and has "
            f"{' and '.join(held) or 'neither'}"
        )
    path = folder / CONFIG
    header = _read_json(path)
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no JSON object")
    return content


def read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error


def _read_tokenizer(path: Path, *, config: MPlugConfig) -> Tokenizer:
    try:
        tokenizer = Tokenizer.load(path)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    if tokenizer.vocab_size > config.text.vocab_size:
        raise CheckpointError(
            f"{path}: has {tokenizer.vocab_size} tokens, the model {config.text.vocab_size}"
        )
    return tokenizer


def _validated(schema: type[Settings], fields: Mapping[str, Any], *, where: str) -> Settings:
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


def _require_finite(tensors: Mapping[str, Tensor], *, where: str) -> None:
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
