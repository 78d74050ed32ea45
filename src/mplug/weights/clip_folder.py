"""Saving and loading a CLIP model: the same folder as mPLUG's, without a way of decoding."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mplug.config.schema_clip import ClipConfig, ResNetConfig
from mplug.data.byte_pair import BytePairTokenizer, load_tokenizer
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, DataError
from mplug.models.clip import Clip
from mplug.nn.embeddings import resize_positions
from mplug.nn.modified_resnet import ModifiedResNet
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

SYSTEM = "clip"
ClipTokenizer = Tokenizer | BytePairTokenizer


@dataclass(frozen=True)
class LoadedClip:
    """A saved model, in eval mode, with its words."""

    model: Clip
    tokenizer: ClipTokenizer
    config: ClipConfig
    card: str  # the text of README.md; empty where there is none


def save_clip(
    folder: str | Path,
    *,
    model: Clip,
    tokenizer: ClipTokenizer,
    card: ModelCard | str,
    half: bool = False,
) -> Path:
    """Write a model into `folder`, over one that is there; other files stay. Returns the folder.

    Raises:
        CheckpointError: as `save_pretrained` of `weights/store.py` does.
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
        half=half,
    )
    return folder


def load_clip(
    source: str | Path, *, image_size: int | None = None, revision: str | None = None
) -> LoadedClip:
    """Read a saved CLIP model: a folder, or a hub repository named OWNER/NAME.

    Raises:
        CheckpointError: there is none, it is of another system, a file is damaged, or its weights
            and its config disagree; the message lists every key.
    """
    folder = find_folder(source, revision=revision)
    header = open_folder(folder, system=SYSTEM)
    config = validated(ClipConfig, header["model"], where=f"{folder / CONFIG}: model")
    where = str(folder / WEIGHTS)
    model = build_clip(config, read_weights(folder / WEIGHTS), where=where, image_size=image_size)
    try:
        tokenizer = load_tokenizer(folder / TOKENIZER)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    if tokenizer.vocab_size > config.text.vocab_size:
        raise CheckpointError(
            f"{folder / TOKENIZER}: has {tokenizer.vocab_size} tokens, the model "
            f"{config.text.vocab_size}"
        )
    return LoadedClip(model, tokenizer, model.config, read_card(folder))


def build_clip(
    config: ClipConfig,
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    image_size: int | None = None,
) -> Clip:
    """A model in eval mode with exactly these weights, in float32, perhaps at another resolution.

    Raises:
        CheckpointError: weights and sizes disagree, or the resolution does not fit the patches;
            the message begins with `where`.
    """
    tensors = in_float32(tensors)
    if image_size is not None and image_size != config.vision.image_size:
        config, tensors = _resized(config, tensors, image_size, where=where)
    return build_network(lambda: Clip(config), tensors, where=where)


def _resized(
    config: ClipConfig, tensors: Mapping[str, Tensor], image_size: int, *, where: str
) -> tuple[ClipConfig, Mapping[str, Tensor]]:
    """Config and weights for another resolution."""
    fields = config.model_dump()
    fields["vision"]["image_size"] = image_size
    resized = validated(ClipConfig, fields, where=f"{where}, image_size={image_size}")
    name, stride = _positions_of(config)
    if name not in tensors:  # comparing the keys will say so
        return resized, tensors
    side = image_size // stride
    return resized, {**tensors, name: resize_positions(tensors[name], grid=(side, side))}


def _positions_of(config: ClipConfig) -> tuple[str, int]:
    """The tensor of the image's positions, and the pixels from one to the next."""
    if isinstance(config.vision, ResNetConfig):
        return "image_head.positions", ModifiedResNet.stride
    return "vision.positions", config.vision.patch_size
