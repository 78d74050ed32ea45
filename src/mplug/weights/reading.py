"""Weights as strangers publish them: one file or a folder of shards, read without running code.

safetensors hold numbers only. A torch file (.pth, .pt, .bin, .ckpt, TorchScript too) is a pickle,
which could have any function called: `tensor_child` reads it in a process of its own, with a list
of what may be named, within limits of time, memory and size.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from mplug.errors import CheckpointError
from mplug.weights import hub

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES)
CONFIGS = ("config.json", "config_bert.json")  # of others, and of ALBEF and mPLUG
# Names that `transformers` gives, the safe one first.
WHOLE = ("model.safetensors", "pytorch_model.bin")
SHARDED = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
BESIDE = ("*.json", "vocab.txt", "bpe_simple_vocab_16e6.txt*", "merges.txt")
GIB = 1 << 30
CODE = (
    "import sys; sys.path.insert(0, {root!r})\nfrom mplug.weights.tensor_child import main; main()"
)


@dataclass(frozen=True)
class Limits:
    """What reading one torch file may take."""

    seconds: int = 600
    memory_bytes: int = 8 * GIB
    file_bytes: int = 64 * GIB


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint, under the names it gives them."""

    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]
    left_out: tuple[str, ...] = ()  # what the checkpoint holds besides tensors
    config: Mapping[str, Any] = field(default_factory=dict)  # of the config.json beside it
    folder: Path = Path()  # where its tokenizer may be


def find(source: str | Path) -> Path:
    """A local file or folder, or the folder that a hub repository is fetched into.

    A repository's pickle is fetched only where it has no safetensors.

    Raises:
        CheckpointError: there is no such thing.
    """
    path = Path(source)
    if path.exists():
        return path
    if not hub.is_hub_id(str(source)):
        raise CheckpointError(f"{source}: there is no such file or folder, nor is it OWNER/NAME")
    folder = hub.download(str(source), files=("model*.safetensors", *BESIDE))
    if any(folder.glob("*.safetensors")):
        return folder
    return hub.download(str(source), files=("pytorch_model*.bin", *BESIDE))


def read_weights(
    source: str | Path, *, config: Path | None = None, limits: Limits | None = None
) -> Weights:
    """The tensors of a file, a folder or a hub repository, and the config.json beside them.

    `config` names another file of settings, JSON or YAML.

    Raises:
        CheckpointError: it cannot be read, is damaged, passes a limit, or names something that is
            no weights, which is then neither imported nor called.
    """
    path = find(source)
    files = _files(path)
    tensors: dict[str, Tensor] = {}
    left_out: list[str] = []
    for file in files:
        found, others = _read_file(file, limits or Limits())
        twice = sorted(found.keys() & tensors.keys())
        if twice:
            raise CheckpointError(f"{file}: holds {twice[0]}, which another shard holds too")
        tensors |= found
        left_out += others
    folder = path if path.is_dir() else path.parent
    beside = [folder / name for name in CONFIGS if (folder / name).is_file()]
    settings = config or next(iter(beside), None)
    return Weights(
        tensors=tensors,
        files=files,
        left_out=tuple(left_out),
        config=read_settings(settings) if settings else {},
        folder=folder,
    )


def read_settings(path: Path) -> dict[str, Any]:
    """The fields of a JSON or YAML file.

    Raises:
        CheckpointError: it cannot be read.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no fields")
    return content


def _files(path: Path) -> tuple[Path, ...]:
    """The files that hold the weights."""
    if path.is_file():
        return (path,)
    for name in WHOLE:
        if (path / name).is_file():
            return (path / name,)
    for name in SHARDED:
        if (path / name).is_file():
            return _shards(path / name)
    found = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES)
    if len(found) == 1:
        return (found[0],)
    held = ", ".join(one.name for one in found) or "none"
    raise CheckpointError(
        f"{path}: one file of weights ({', '.join(SUFFIXES)}) is expected here and there is "
        f"{held}: name the file"
    )


def _shards(index: Path) -> tuple[Path, ...]:
    places = read_settings(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(one, str) for one in places.values()):
        raise CheckpointError(f"{index}: has no weight_map")
    names = sorted(set(places.values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(f"{index}: {outside[0]!r} is not a file of this folder")
    return tuple(index.parent / name for name in names)


def _read_file(path: Path, limits: Limits) -> tuple[dict[str, Tensor], list[str]]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path}: there is no such file") from error
    if size > limits.file_bytes:
        raise CheckpointError(
            f"{path}: {size:,} bytes are more than the limit of {limits.file_bytes:,}: not read"
        )
    if path.suffix == ".safetensors":
        try:
            return load_file(path), []
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error
    return _read_torch(path, limits)


def _read_torch(path: Path, limits: Limits) -> tuple[dict[str, Tensor], list[str]]:
    request = {
        "path": os.path.abspath(path),
        "seconds": limits.seconds,
        "memory_bytes": limits.memory_bytes,
    }
    code = CODE.format(root=str(Path(__file__).parents[2]))
    with tempfile.TemporaryDirectory(prefix="mplug-weights-") as folder:
        tensors = Path(folder) / "tensors.safetensors"
        with tensors.open("wb") as out:
            try:
                done = subprocess.run(
                    [sys.executable, "-I", "-W", "ignore", "-c", code, json.dumps(request)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.PIPE,
                    timeout=2 * limits.seconds,  # the child's own limit counts processor seconds
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise CheckpointError(
                    f"{path}: reading it took more than {2 * limits.seconds} s"
                ) from error
        if done.returncode:
            raise CheckpointError(f"{path}: {_reason(done)}")
        try:
            with safe_open(tensors, framework="pt") as file:
                left_out: list[str] = json.loads(file.metadata()["left_out"])
            return load_file(tensors), left_out
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: what it holds cannot be used: {error}") from error


def _reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    try:
        problem: str = json.loads(done.stderr)["problem"]
    except (ValueError, KeyError, TypeError):
        end = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        return (
            f"the process that read it ended with {end}: it is damaged or hostile, or passes the "
            "limits of time and memory"
        )
    return problem
