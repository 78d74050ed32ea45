"""Starting a model from encoders that others trained: `init.text` and `init.vision` of a run.

A source is a folder, file or hub repository of BERT, CLIP or a vision transformer, what
`mplug weights import` wrote, or a saved model of mPLUG, of which one encoder is taken.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mplug.config.schema import InitConfig, TextConfig, VisionConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, ConfigError
from mplug.models.clip import Clip
from mplug.models.mplug import MPlug
from mplug.nn.embeddings import resize_positions
from mplug.weights import shipped
from mplug.weights.clip_folder import load_clip
from mplug.weights.layout import CONFIG, TOKENIZER
from mplug.weights.original_bert import import_bert
from mplug.weights.original_vit import import_vit
from mplug.weights.reading import find, read_settings, read_weights
from mplug.weights.store import load_pretrained
from mplug.weights.towers import (
    TextTower,
    VisionTower,
    is_tower,
    load_text_tower,
    load_vision_tower,
)

PREPROCESSOR = "preprocessor_config.json"
VOCABULARIES = (TOKENIZER, "vocab.txt")
TEXT_SIZES = ("hidden_size", "num_heads", "intermediate_size", "layer_norm_eps")
VISION_SIZES = (
    "kind",
    "patch_size",
    "hidden_size",
    "num_layers",
    "num_heads",
    "intermediate_size",
    "stem",
    "stem_channels",
    "layer_norm_eps",
)
POSITIONS = "positions"
SHARED = ("self_attention.", "feed_forward.")  # what a BERT's layer has of any of ours


def tokenizer_of(source: str | Path) -> Tokenizer:
    """The words that a text encoder knows.

    Raises:
        CheckpointError: it brings no vocabulary.
    """
    folder = _folder(source)
    tokenizer = find_tokenizer(folder)
    if tokenizer is None:
        raise CheckpointError(
            f"{folder}: a text encoder without its vocabulary ({' or '.join(VOCABULARIES)}) cannot "
            "be used: put it there, or name it as data.tokenizer"
        )
    return tokenizer


def find_tokenizer(folder: Path) -> Tokenizer | None:
    """The vocabulary that lies in a folder, if any does."""
    return Tokenizer.load(folder) if any((folder / one).is_file() for one in VOCABULARIES) else None


def read_text_tower(source: str | Path) -> TextTower:
    """The text encoder of a source, with its vocabulary where it brings one.

    Raises:
        CheckpointError: it has none that can be read.
    """
    folder = _folder(source)
    settings = _settings(folder)
    if is_tower(settings):
        return load_text_tower(folder, settings)
    if settings.get("format") == "mplug":
        return _text_of(folder)
    weights = read_weights(find(source))
    return import_bert(weights.tensors, weights.config, tokenizer=find_tokenizer(weights.folder))


def read_vision_tower(source: str | Path) -> VisionTower:
    """The image encoder of a source.

    Raises:
        CheckpointError: it has none that can be read.
    """
    folder = _folder(source)
    settings = _settings(folder)
    if is_tower(settings):
        return load_vision_tower(folder, settings)
    if settings.get("format") == "mplug":
        return _vision_of(folder, system=str(settings.get("system", "mplug")))
    weights = read_weights(find(source))
    return import_vit(
        weights.tensors, weights.config, normalisation=normalisation_of(weights.folder)
    )


def normalisation_of(folder: Path) -> Mapping[str, object] | None:
    """What the pixels of a model of `transformers` are normalised with, where it says so."""
    file = folder / PREPROCESSOR
    return read_settings(file) if file.is_file() else None


def start_from_towers(model: MPlug, init: InitConfig, *, tokenizer: Tokenizer) -> list[str]:
    """Put the encoders that a run names into its new model; says what came from where.

    Raises:
        CheckpointError: an encoder cannot be read.
        ConfigError: its sizes or words are not the run's.
    """
    told: list[str] = []
    if init.text is not None:
        tower = read_text_tower(init.text)
        if tower.tokenizer is not None and tower.tokenizer != tokenizer:
            raise ConfigError(
                f"init.text={init.text}: knows other words than data.tokenizer: leave that out"
            )
        told += start_text(model, tower, source=init.text)
    if init.vision is not None:
        told += start_vision(model, read_vision_tower(init.vision), source=init.vision)
    return told


def start_text(model: MPlug, tower: TextTower, *, source: str) -> list[str]:
    """Fill every part of `model` that a BERT can: text encoder, fusion, decoder, word predictors.

    The text encoder takes its lower layers, fusion its last ones where there are enough for both,
    and the decoder again the lower ones, as the paper's models started. What reads images is new.

    Raises:
        ConfigError: its sizes are not the model's.
    """
    _require_text_sizes(model.config.text, tower.config, source=source)
    state = model.state_dict()
    changes = dict(_text_changes(model, tower, state))
    with torch.no_grad():
        for name, tensor in changes.items():
            rows = min(len(state[name]), len(tensor))
            state[name][:rows] = tensor[:rows]  # a vocabulary may have more tokens, or fewer
    new = sorted(
        {name.split(".")[0] for name in state if not name.startswith(("vision", "visual"))}
        - {name.split(".")[0] for name in changes}
    )
    parts = ("text_encoder", "fusion", "decoder", "mlm_head")
    shares = [
        f"{part} {sum(name.startswith(f'{part}.') for name in changes)} of "
        f"{sum(name.startswith(f'{part}.') for name in state)} tensors"
        for part in parts
    ]
    return [f"init.text={source}: {', '.join(shares)}; new: {', '.join(new)}"]


def start_vision(model: MPlug | Clip, tower: VisionTower, *, source: str) -> list[str]:
    """Fill the image encoder of `model`, with positions resized to its pictures.

    Raises:
        ConfigError: its sizes are not the model's.
    """
    config = model.config.vision
    if not isinstance(config, VisionConfig):
        raise ConfigError(
            f"init.vision={source}: a vision transformer, and the run's image encoder is none: "
            "leave init.vision out, or train a recipe with a vision transformer"
        )
    _require_equal(config, tower.config, VISION_SIZES, group="vision", source=source)
    tensors = dict(tower.tensors)
    told = f"init.vision={source}: {len(tensors)} tensors"
    if config.image_size != tower.config.image_size:
        side = config.image_size // config.patch_size
        tensors[POSITIONS] = resize_positions(tensors[POSITIONS].float(), grid=(side, side))
        told += f"; positions resized from {tower.config.image_size} to {config.image_size} px"
    model.vision.load_state_dict(tensors)
    return [told]


def _text_changes(
    model: MPlug, tower: TextTower, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Names of the model's tensors, and what they become."""
    config = model.config
    bert, depth = tower.config.num_layers, config.text.num_layers
    fused = config.fusion.num_layers
    prefixes = {"text_encoder.embeddings.": "embeddings.", "decoder.embeddings.": "embeddings."}
    prefixes |= {"mlm_head.": "head.", "decoder.head.": "head."}
    prefixes |= {f"text_encoder.layers.{place}.": f"layers.{place}." for place in range(depth)}
    for place in range(min(bert, config.decoder.num_layers)):
        prefixes[f"decoder.layers.{place}."] = f"layers.{place}."
    if bert >= depth + fused:
        for place in range(fused):
            theirs = f"layers.{bert - fused + place}."
            prefixes |= {f"fusion.{place}.layer.": theirs, f"fusion.{place}.": theirs}
    for name, tensor in state.items():
        ours = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if ours is None:
            continue
        rest = name.removeprefix(ours)
        if "layers." in ours or "fusion." in ours:
            rest = rest if rest.startswith(SHARED) else ""
        found = tower.tensors.get(prefixes[ours] + rest)
        if found is not None and found.shape[1:] == tensor.shape[1:]:
            yield name, found


def _require_text_sizes(ours: TextConfig, theirs: TextConfig, *, source: str) -> None:
    _require_equal(ours, theirs, TEXT_SIZES, group="text", source=source)
    for name in ("num_layers", "max_positions"):
        wanted, there = getattr(ours, name), getattr(theirs, name)
        if wanted > there:
            raise ConfigError(
                f"init.text={source}: has {there} {name}, fewer than model.text.{name} = {wanted}"
            )


def _require_equal(
    ours: TextConfig | VisionConfig,
    theirs: TextConfig | VisionConfig,
    names: tuple[str, ...],
    *,
    group: str,
    source: str,
) -> None:
    """Refuse an encoder of other sizes, with the words that would make the run's fit."""
    words = [
        f"model.{group}.{name}={_word(getattr(theirs, name))}"
        for name in names
        if getattr(ours, name) != getattr(theirs, name)
    ]
    if words:
        raise ConfigError(
            f"init.{group}={source}: its sizes are not those of the run's model; to take its, add "
            f"{' '.join(words)}"
        )


def _word(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _folder(source: str | Path) -> Path:
    """Where a source's files are."""
    path = shipped.folder_of(source) or find(source)
    inner = path / "model"  # of a run
    if (inner / CONFIG).is_file() and not (path / CONFIG).is_file():
        return inner
    return path if path.is_dir() else path.parent


def _settings(folder: Path) -> Mapping[str, object]:
    file = folder / CONFIG
    return read_settings(file) if file.is_file() else {}


def _vision_of(folder: Path, *, system: str) -> VisionTower:
    if system == "clip":
        config, network = (loaded := load_clip(folder)).config.vision, loaded.model.vision
        if not isinstance(config, VisionConfig):
            raise CheckpointError(f"{folder}: its image encoder is no vision transformer")
        return VisionTower(config, network.state_dict())
    model = load_pretrained(folder).model
    return VisionTower(model.config.vision, model.vision.state_dict())


def _text_of(folder: Path) -> TextTower:
    loaded = load_pretrained(folder)
    tensors = dict(loaded.model.text_encoder.state_dict())
    head = loaded.model.mlm_head.state_dict()
    tensors |= {f"head.{name}": tensor for name, tensor in head.items()}
    return TextTower(loaded.config.text, tensors, loaded.tokenizer)
