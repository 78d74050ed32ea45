"""Saving and loading a model put together from parts: the same folder as mPLUG's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from mplug.config.schema import Frozen
from mplug.config.schema_zoo import PairConfig, WriterConfig
from mplug.config.schema_zoo_run import JointObjective
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
    read_card,
    read_weights,
    write_folder,
)
from mplug.weights.layout import CONFIG, TOKENIZER, WEIGHTS

SYSTEM = "zoo"


class ZooKnows(Frozen):
    """What a model needs beside its sizes, to be asked."""

    learned: tuple[JointObjective, ...] = ()  # what its runs taught it
    encoder: str = ""  # the model that described its regions
    answer_list: tuple[str, ...] = ()


NOTHING = ZooKnows()


class SavedPair(PairConfig, ZooKnows):
    """The sizes of a model of pairs, and what it knows."""


class SavedWriter(WriterConfig, ZooKnows):
    """The sizes of a model that writes, and what it knows."""


SAVED: TypeAdapter[SavedPair | SavedWriter] = TypeAdapter(
    Annotated[SavedPair | SavedWriter, Field(discriminator="kind")]
)


@dataclass(frozen=True)
class LoadedZoo:
    """A saved model, in eval mode, with its words and what it knows."""

    model: PairModel | WriterModel
    tokenizer: Tokenizer
    knows: ZooKnows = NOTHING
    card: str = ""  # the text of README.md; empty where there is none


def save_zoo(
    folder: str | Path,
    model: PairModel | WriterModel,
    *,
    tokenizer: Tokenizer,
    card: ModelCard | str,
    knows: ZooKnows = NOTHING,
) -> Path:
    """Write a model into `folder`, over one that is there; other files stay. Returns the folder.

    Raises:
        CheckpointError: as `save_pretrained` of `weights/store.py` does.
    """
    config = SAVED.validate_python(model.config.model_dump() | knows.model_dump())
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
        saved = SAVED.validate_python(header["model"])
    except ValidationError as error:
        raise CheckpointError(f"{folder / CONFIG}: model: {error}") from error
    knows = ZooKnows.model_validate(saved.model_dump(include=set(ZooKnows.model_fields)))
    sizes = saved.model_dump(exclude=set(ZooKnows.model_fields))
    tensors = in_float32(read_weights(folder / WEIGHTS))

    def build() -> nn.Module:
        if isinstance(saved, PairConfig):
            return PairModel(PairConfig.model_validate(sizes))
        return WriterModel(WriterConfig.model_validate(sizes))

    model = build_network(build, tensors, where=str(folder / WEIGHTS))
    assert isinstance(model, PairModel | WriterModel)
    try:
        tokenizer = Tokenizer.load(folder / TOKENIZER)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    return LoadedZoo(model, tokenizer, knows, read_card(folder))
