"""Saving and loading a model of mPLUG: a folder of JSON and safetensors, here or on the hub.

Weights may be stored in half precision; they are computed with in float32 either way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mplug.config.schema import GenerationConfig, MPlugConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, DataError
from mplug.models.mplug import MPlug
from mplug.nn.embeddings import resize_positions
from mplug.weights.card import ModelCard
from mplug.weights.folder import (
    build_network,
    find_folder,
    in_float32,
    open_folder,
    read_card,
    read_json,
    read_weights,
    sha256_of,
    validated,
    write_folder,
)
from mplug.weights.layout import CONFIG, GENERATION, TOKENIZER, WEIGHTS

__all__ = ["Loaded", "build", "load_pretrained", "read_weights", "save_pretrained", "sha256_of"]

SYSTEM = "mplug"
POSITIONS = "vision.positions"


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
    write_folder(
        folder,
        system=SYSTEM,
        model=model.config,
        tensors=model.state_dict(),
        tokenizer=tokenizer,
        words=model.config.text.vocab_size,
        card=card,
        generation=generation,
        half=half,
    )
    return folder


def load_pretrained(
    source: str | Path, *, image_size: int | None = None, revision: str | None = None
) -> Loaded:
    """Read a saved model: a folder, `mplug-tiny`, or a hub repository named OWNER/NAME.

    A folder that is called `mplug-tiny` comes before the model that mplug brings. `image_size` asks
    for another resolution: the positions are resized to it. `revision` is a branch, tag or commit
    of a hub repository.

    Raises:
        CheckpointError: there is no model, a newer version wrote it, it is of another system, a
            file is damaged, or its weights and its config disagree; the message lists every key.
    """
    folder = find_folder(source, revision=revision)
    header = open_folder(folder, system=SYSTEM)
    config = validated(MPlugConfig, header["model"], where=f"{folder / CONFIG}: model")
    model = build(
        config,
        read_weights(folder / WEIGHTS),
        where=str(folder / WEIGHTS),
        image_size=image_size,
    )
    generation = validated(
        GenerationConfig, read_json(folder / GENERATION), where=str(folder / GENERATION)
    )
    return Loaded(
        model=model,
        tokenizer=_read_tokenizer(folder / TOKENIZER, config=config),
        generation=generation,
        config=model.config,
        card=read_card(folder),
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
    tensors = in_float32(tensors)
    if image_size is not None and image_size != config.vision.image_size:
        config, tensors = _resized(config, tensors, image_size, where=where)
    return build_network(lambda: MPlug(config), tensors, where=where)


def _resized(
    config: MPlugConfig, tensors: Mapping[str, Tensor], image_size: int, *, where: str
) -> tuple[MPlugConfig, Mapping[str, Tensor]]:
    """Config and weights for another resolution."""
    fields = config.model_dump()
    fields["vision"]["image_size"] = image_size
    resized = validated(MPlugConfig, fields, where=f"{where}, image_size={image_size}")
    if POSITIONS not in tensors:  # comparing the keys will say so
        return resized, tensors
    side = image_size // config.vision.patch_size
    positions = resize_positions(tensors[POSITIONS], grid=(side, side))
    return resized, {**tensors, POSITIONS: positions}


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
