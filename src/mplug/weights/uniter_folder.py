"""A UNITER model's folder: its weights, words, answers, and what describes regions for it.

config.json         format, sizes, answers, hashes of the two files that must belong together
model.safetensors   the weights
tokenizer.json      its words
README.md           the model card
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from mplug.config.schema_uniter import UniterConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, DataError
from mplug.models.uniter import Uniter
from mplug.weights.card import ModelCard
from mplug.weights.layout import CARD, CONFIG, HASHED, TOKENIZER, WEIGHTS
from mplug.weights.replace import replacing
from mplug.weights.store import read_weights, sha256_of

FORMAT = 1


@dataclass(frozen=True)
class LoadedUniter:
    """A saved model, in eval mode, with what it needs to be used."""

    model: Uniter
    tokenizer: Tokenizer
    answers: tuple[str, ...]
    encoder: str  # the model that described the regions it learned from


def save_uniter(folder: Path, loaded: LoadedUniter, *, card: ModelCard) -> None:
    """Write a model into `folder`, over one that is there.

    Raises:
        CheckpointError: the folder cannot be written; what was there before is still whole.
    """
    with replacing(folder, names=(WEIGHTS, TOKENIZER, CARD, CONFIG)) as unfinished:
        tensors = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in loaded.model.state_dict().items()
        }
        save_file(tensors, unfinished / WEIGHTS, metadata={"format": "pt"})
        loaded.tokenizer.save(unfinished)
        (unfinished / CARD).write_text(card.render(), encoding="utf-8")
        header = {
            "format": "mplug",
            "system": "uniter",
            "format_version": FORMAT,
            "model": loaded.model.config.model_dump(mode="json"),
            "answers": list(loaded.answers),
            "encoder": loaded.encoder,
            "sha256": {name: sha256_of(unfinished / name) for name in HASHED},
        }
        text = json.dumps(header, indent=2) + "\n"
        (unfinished / CONFIG).write_text(text, encoding="utf-8")


def load_uniter(source: str | Path) -> LoadedUniter:
    """Read a saved model: its folder, or a run's.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    folder = Path(source)
    folder = folder / "model" if (folder / "model").is_dir() else folder
    header = _header(folder)
    for name, expected in header["sha256"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != expected:
            raise CheckpointError(f"{folder / name}: does not match the sha256 in {CONFIG}")
    try:
        model = Uniter(UniterConfig.model_validate(header["model"])).eval()
        model.load_state_dict(read_weights(folder / WEIGHTS))
        tokenizer = Tokenizer.load(folder / TOKENIZER)
    except (ValueError, RuntimeError, DataError) as error:
        raise CheckpointError(f"{folder}: weights and config disagree: {error}") from error
    return LoadedUniter(model, tokenizer, tuple(header["answers"]), str(header["encoder"]))


def _header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: no saved model: {error}") from error
    wanted = {"model", "answers", "encoder", "sha256"}
    if not isinstance(header, dict) or header.get("system") != "uniter" or wanted - header.keys():
        raise CheckpointError(f"{folder / CONFIG}: is not of a saved UNITER model")
    return header
