"""A text or an image encoder by itself: what `--as bert` and `--as vit` write, and runs start from.

A tower's tensors have our names, whatever layout they came in: a text tower's those of a
`TextEncoder`, with `head.` before those of a `LanguageModelHead` where the file has one; an image
tower's those of the encoder that its config describes.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mplug.config.schema import TextConfig, VisionConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError
from mplug.weights.layout import CONFIG, TOKENIZER, WEIGHTS
from mplug.weights.replace import replacing

FORMAT = "mplug-tower"
FORMAT_VERSION = 1

Config = TypeVar("Config", bound=BaseModel)


@dataclass(frozen=True)
class Fate:
    """What became of the tensors of a file that are not simply used."""

    dropped: Mapping[str, str] = field(default_factory=dict)  # original key: why
    notes: tuple[str, ...] = ()  # what was assumed, folded or resized


@dataclass(frozen=True)
class TextTower:
    """A BERT-style text encoder, and its word predictor where there is one."""

    config: TextConfig
    tensors: Mapping[str, Tensor]
    tokenizer: Tokenizer | None
    fate: Fate = Fate()


@dataclass(frozen=True)
class VisionTower:
    """A vision transformer."""

    config: VisionConfig
    tensors: Mapping[str, Tensor]
    fate: Fate = Fate()


def save_tower(folder: Path, tower: TextTower | VisionTower) -> Path:
    """Write a tower into `folder`: config.json, model.safetensors, a text's tokenizer.json.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    kind = "text" if isinstance(tower, TextTower) else "vision"
    tokenizer = tower.tokenizer if isinstance(tower, TextTower) else None
    names = [WEIGHTS, *([TOKENIZER] if tokenizer else []), CONFIG]
    with replacing(folder, names=names) as unfinished:
        tensors = {name: tensor.contiguous().clone() for name, tensor in tower.tensors.items()}
        save_file(tensors, unfinished / WEIGHTS, metadata={"format": "pt"})
        if tokenizer:
            tokenizer.save(unfinished)
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tower": kind,
            "model": tower.config.model_dump(mode="json"),
        }
        (unfinished / CONFIG).write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        # safetensors writes files that nobody else may read, whatever the user's umask says.
        shutil.copymode(unfinished / CONFIG, unfinished / WEIGHTS)
    return folder


def is_tower(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is one that `save_tower` wrote."""
    return config.get("format") == FORMAT


def load_text_tower(folder: Path, config: Mapping[str, Any]) -> TextTower:
    """The text tower that `save_tower` wrote.

    Raises:
        CheckpointError: it is another kind of tower, or damaged.
    """
    sizes = _sizes(TextConfig, config, kind="text", folder=folder)
    found = (folder / TOKENIZER).is_file()
    tokenizer = Tokenizer.load(folder / TOKENIZER) if found else None
    return TextTower(sizes, load_file(folder / WEIGHTS), tokenizer)


def load_vision_tower(folder: Path, config: Mapping[str, Any]) -> VisionTower:
    """The image tower that `save_tower` wrote.

    Raises:
        CheckpointError: it is another kind of tower, or damaged.
    """
    sizes = _sizes(VisionConfig, config, kind="vision", folder=folder)
    return VisionTower(sizes, load_file(folder / WEIGHTS))


def _sizes(schema: type[Config], config: Mapping[str, Any], *, kind: str, folder: Path) -> Config:
    where = folder / CONFIG
    if config.get("tower") != kind:
        found = config.get("tower")
        raise CheckpointError(f"{where}: a {found} encoder, where one for {kind} is asked for")
    if config.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"{where}: written by another version: pip install -U mplug")
    try:
        return schema.model_validate(config.get("model"))
    except ValidationError as error:
        raise CheckpointError(f"{where}: {error.errors(include_url=False)[0]['msg']}") from error
