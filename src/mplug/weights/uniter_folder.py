"""Saving and loading a UNITER model: the same folder as mPLUG's, without a way of decoding.

Its sizes bring along what else a user needs: the answers it chooses among, and the model that
described the regions it learned from.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mplug.config.schema_uniter import UniterConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, DataError
from mplug.models.uniter import Uniter
from mplug.weights.card import ModelCard
from mplug.weights.folder import (
    build_network,
    find_folder,
    in_float32,
    open_folder,
    read_card,
    read_weights,
    validated,
    write_folder,
)
from mplug.weights.layout import CONFIG, TOKENIZER, WEIGHTS

SYSTEM = "uniter"
UniterPretrained = Literal["match", "words"]
"""Heads that every model has and pretraining alone teaches: whether a pair belongs together, and
masked words."""


class SavedUniter(UniterConfig):
    """A model's sizes, its answers in order, what described its regions, what it never learned."""

    answer_list: tuple[str, ...] = ()
    encoder: str = ""
    untrained: tuple[UniterPretrained, ...] = ()


@dataclass(frozen=True)
class LoadedUniter:
    """A saved model, in eval mode, with what it needs to be used."""

    model: Uniter
    tokenizer: Tokenizer
    answers: tuple[str, ...]
    encoder: str  # the model that described the regions it learned from; empty: not known
    untrained: tuple[UniterPretrained, ...] = ()  # what pretraining teaches and none did
    card: str = ""  # the text of README.md; empty where there is none


def save_uniter(folder: str | Path, loaded: LoadedUniter, *, card: ModelCard | str) -> Path:
    """Write a model into `folder`, over one that is there; other files stay. Returns the folder.

    Raises:
        CheckpointError: as `save_pretrained` of `weights/store.py` does.
    """
    config = loaded.model.config
    more = {
        "answer_list": loaded.answers,
        "encoder": loaded.encoder,
        "untrained": loaded.untrained,
    }
    write_folder(
        Path(folder),
        system=SYSTEM,
        model=SavedUniter.model_validate(config.model_dump() | more),
        tensors=loaded.model.state_dict(),
        tokenizer=loaded.tokenizer,
        words=config.text.vocab_size,
        card=card,
    )
    return Path(folder)


def load_uniter(source: str | Path, *, revision: str | None = None) -> LoadedUniter:
    """Read a saved UNITER model: its folder, a run's, or a hub repository named OWNER/NAME.

    Raises:
        CheckpointError: there is none, it is of another system, a file is damaged, or its weights
            and its config disagree; the message lists every key.
    """
    inner = Path(source) / "model"
    folder = inner if inner.is_dir() else find_folder(source, revision=revision)
    header = open_folder(folder, system=SYSTEM)
    saved = validated(SavedUniter, header["model"], where=f"{folder / CONFIG}: model")
    config = UniterConfig.model_validate(saved.model_dump(include=set(UniterConfig.model_fields)))
    where = str(folder / WEIGHTS)
    tensors = in_float32(read_weights(folder / WEIGHTS))
    model = build_network(lambda: Uniter(config), tensors, where=where)
    try:
        tokenizer = Tokenizer.load(folder / TOKENIZER)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    card = read_card(folder)
    return LoadedUniter(model, tokenizer, saved.answer_list, saved.encoder, saved.untrained, card)
