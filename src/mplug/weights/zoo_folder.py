"""Saving and loading a model put together from parts: the same folder as mPLUG's."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError
from torch import nn

from mplug.config.schema_zoo import PairConfig, ZooConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, DataError
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.writer import WriterModel
from mplug.weights.card import ModelCard
from mplug.weights.folder import (
    build_network,
    find_folder,
    in_float32,
    open_folder,
    read_weights,
    write_folder,
)
from mplug.weights.layout import CONFIG, TOKENIZER, WEIGHTS

SYSTEM = "zoo"
CONFIGS: TypeAdapter[ZooConfig] = TypeAdapter(ZooConfig)


@dataclass(frozen=True)
class LoadedZoo:
    """A saved model, in eval mode, with its words."""

    model: PairModel | WriterModel
    tokenizer: Tokenizer


def save_zoo(
    folder: str | Path,
    model: PairModel | WriterModel,
    *,
    tokenizer: Tokenizer,
    card: ModelCard | str,
) -> Path:
    """Write a model into `folder`, over one that is there; other files stay. Returns the folder.

    Raises:
        CheckpointError: as `save_pretrained` of `weights/store.py` does.
    """
    config: BaseModel = model.config
    write_folder(
        Path(folder),
        system=SYSTEM,
        model=config,
        # Shared parts stand in a state twice, and so in the file: a model that is read shares them.
        tensors={name: tensor.clone() for name, tensor in model.state_dict().items()},
        tokenizer=tokenizer,
        words=model.config.text.vocab_size,
        card=card,
    )
    return Path(folder)


def load_zoo(source: str | Path, *, revision: str | None = None) -> LoadedZoo:
    """Read a saved model of parts: its folder, a run's, or a hub repository named OWNER/NAME.

    Raises:
        CheckpointError: there is none, it is of another system, a file is damaged, or its weights
            and its config disagree; the message lists every key.
    """
    inner = Path(source) / "model"
    folder = inner if inner.is_dir() else find_folder(source, revision=revision)
    header = open_folder(folder, system=SYSTEM)
    try:
        config = CONFIGS.validate_python(header["model"])
    except ValidationError as error:
        raise CheckpointError(f"{folder / CONFIG}: model: {error}") from error
    tensors = in_float32(read_weights(folder / WEIGHTS))

    def build() -> nn.Module:
        return PairModel(config) if isinstance(config, PairConfig) else WriterModel(config)

    model = build_network(build, tensors, where=str(folder / WEIGHTS))
    assert isinstance(model, PairModel | WriterModel)
    try:
        tokenizer = Tokenizer.load(folder / TOKENIZER)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    return LoadedZoo(model, tokenizer)
