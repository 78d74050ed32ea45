"""Weights of the original ALBEF: its key layout as a table, read strictly, as an `MPlug` model.

ALBEF is that model with asymmetric fusion alone, and a plain vision transformer. Its fusion layers
are the upper layers of its text encoder's BERT. Pretraining files have no decoder, which then
starts as a new model's does.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mplug.config.schema import DecoderConfig, FusionConfig, MPlugConfig, TextConfig, VisionConfig
from mplug.errors import CheckpointError
from mplug.models.mplug import MPlug
from mplug.weights.keys import Entry, State, fill, linear_parts, refuse_untied, weight_and_bias
from mplug.weights.original_mplug import (
    CONTRASTIVE,
    CROSS_ATTENTION,
    EMBEDDINGS,
    FEED_FORWARD,
    HEAD,
    SELF_ATTENTION,
)
from mplug.weights.original_vit import TIMM, vision_table

HEAD_WIDTH = 64  # of an attention head, where no configuration says how many there are
TEXT, DECODER, VISUAL = "text_encoder.", "text_decoder.", "visual_encoder."
WORDS = f"{TEXT}embeddings.word_embeddings.weight"
QUEUES = ("image_queue", "text_queue", "idx_queue", "queue_ptr", "ptr_queue")
# Copies that the original keeps of tensors it shares between modules.
TIED = {
    f"{TEXT}cls.predictions.decoder.weight": WORDS,
    f"{TEXT}cls.predictions.decoder.bias": f"{TEXT}cls.predictions.bias",
    f"{DECODER}cls.predictions.decoder.weight": f"{DECODER}embeddings.word_embeddings.weight",
    f"{DECODER}cls.predictions.decoder.bias": f"{DECODER}cls.predictions.bias",
}
# Whole parts that a task's file may lack; they then start as a new model's do.
OPTIONAL_PARTS = (
    "decoder",
    "image_projection",
    "text_projection",
    "itm_head",
    "mlm_head",
    "temperature",
)


@dataclass(frozen=True)
class ImportedAlbef:
    """What an original file held, and what became of every key."""

    model: MPlug
    dropped: Mapping[str, str] = field(default_factory=dict)  # original key: why
    new: tuple[str, ...] = ()  # our parameters that the file lacks: freshly initialised
    notes: tuple[str, ...] = ()  # what was assumed


def import_albef(
    state: State, original_config: Mapping[str, Any], *, ignore: Collection[str] = ()
) -> ImportedAlbef:
    """The model in the tensors of an original checkpoint.

    `original_config` (config_bert.json) gives the number of attention heads, and 64 numbers a head
    are assumed without it; sizes are read off the tensors. `ignore` lists beginnings of keys to
    drop, as those of a fine-tuned head.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong size; all of them are listed.
    """
    state = {current_key(key): value for key, value in state.items()}
    refuse_untied(state, TIED)
    dropped = {key: why for key in state if (why := _unused(key, tuple(ignore)))}
    kept = {key: _flat(key, value) for key, value in state.items() if key not in dropped}
    config = albef_config(kept, original_config)
    model = MPlug(config)
    new = fill(model, kept, key_table(config), optional=OPTIONAL_PARTS)
    heads = f"assumed: {config.text.num_heads} attention heads of {HEAD_WIDTH} numbers"
    notes = () if "num_attention_heads" in original_config else (heads,)
    return ImportedAlbef(model, dropped, new, notes)


def albef_config(state: State, original_config: Mapping[str, Any]) -> MPlugConfig:
    """The sizes of a state dict.

    Raises:
        CheckpointError: it is no ALBEF.
    """
    first = _first_fusion_layer(state)
    layers = _count(state, f"{TEXT}encoder.layer.")
    vocabulary, dim = _shape(state, WORDS)
    text = TextConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        num_layers=first,
        num_heads=int(original_config.get("num_attention_heads", max(1, dim // HEAD_WIDTH))),
        intermediate_size=_shape(state, f"{TEXT}encoder.layer.0.intermediate.dense.bias")[0],
        max_positions=_shape(state, f"{TEXT}embeddings.position_embeddings.weight")[0],
        layer_norm_eps=float(original_config.get("layer_norm_eps", 1e-12)),
        dropout=float(original_config.get("hidden_dropout_prob", 0.1)),
    )
    embed = state.get("vision_proj.bias")
    return MPlugConfig(
        vision=_vision(state, dim=dim),
        text=text,
        fusion=FusionConfig(num_layers=layers - first, connected_at=(), scheme="asymmetric"),
        decoder=DecoderConfig(num_layers=_count(state, f"{DECODER}encoder.layer.") or first),
        embed_dim=256 if embed is None else len(embed),
    )


def key_table(config: MPlugConfig) -> list[Entry]:
    """Every parameter of `MPlug(config)` that the original layout has a name for."""
    first = config.text.num_layers
    entries = vision_table(TIMM, layers=config.vision.num_layers, ours="vision.", theirs=VISUAL)
    entries += _embeddings("text_encoder.", TEXT)
    for number in range(first):
        entries += _layer(f"text_encoder.layers.{number}.", TEXT, number, cross=False)
    for number in range(config.fusion.num_layers):
        entries += _layer(f"fusion.{number}.", TEXT, first + number, cross=True)
    entries += _embeddings("decoder.", DECODER)
    for number in range(config.decoder.num_layers):
        entries += _layer(f"decoder.layers.{number}.", DECODER, number, cross=True)
    for ours, theirs in (("mlm_head", TEXT), ("decoder.head", DECODER)):
        entries += linear_parts(f"{ours}.", HEAD, f"{theirs}cls.predictions.")
        entries.append(Entry(f"{ours}.bias", f"{theirs}cls.predictions.bias"))
    return [*entries, *linear_parts("", CONTRASTIVE, ""), Entry("temperature", "temp")]


def current_key(key: str) -> str:
    """An original key without what pretraining files and decoders nest it in."""
    key = key.removeprefix("module.")
    return re.sub(r"^((?:text_encoder|text_decoder)(?:_m)?)\.bert\.", r"\1.", key)


def _unused(key: str, ignore: tuple[str, ...]) -> str | None:
    """Why an original key has no place in the model, or None if it has one or nobody knows."""
    if ignore and key.startswith(ignore):
        return "ignored, as asked"
    if key.split(".")[0].endswith("_m") or key in QUEUES:
        return "a momentum copy or a queue"
    if key in TIED:
        return "a copy of a tied parameter"
    if key.startswith(f"{VISUAL}head."):
        return "the head for classes of the vision transformer"
    return "an index buffer" if key.endswith(".position_ids") else None


def _flat(key: str, tensor: Tensor) -> Tensor:
    """The class token and positions without their axes of size 1; one row of the token types."""
    if key == f"{VISUAL}{TIMM.single['class_embedding']}":
        return tensor.flatten()
    return tensor.squeeze(0) if key == f"{VISUAL}{TIMM.single['positions']}" else tensor


def _vision(state: State, *, dim: int) -> VisionConfig:
    width, _, patch, _ = _shape(state, f"{VISUAL}{TIMM.sign}")
    if width != dim:
        raise CheckpointError(
            f"its images are {width} wide and its texts {dim}: cross-attention between different "
            "widths cannot be read"
        )
    places = _shape(state, f"{VISUAL}{TIMM.single['positions']}")[0]
    return VisionConfig(
        kind="plain",
        image_size=patch * round((places - 1) ** 0.5),
        patch_size=patch,
        hidden_size=width,
        num_layers=_count(state, f"{VISUAL}{TIMM.blocks}"),
        num_heads=max(1, width // HEAD_WIDTH),
        intermediate_size=_shape(state, f"{VISUAL}{TIMM.blocks}0.mlp.fc1.bias")[0],
        layer_norm_eps=TIMM.eps,
    )


def _embeddings(ours: str, theirs: str) -> Iterator[Entry]:
    for name in ("words.weight", "positions.weight"):
        yield Entry(f"{ours}embeddings.{name}", f"{theirs}embeddings.{EMBEDDINGS[name]}")
    types = f"{theirs}embeddings.token_type_embeddings.weight"
    yield Entry(f"{ours}embeddings.segment", types, row=0)
    yield from weight_and_bias(f"{ours}embeddings.norm", f"{theirs}embeddings.LayerNorm")


def _layer(ours: str, theirs: str, number: int, *, cross: bool) -> Iterator[Entry]:
    parts = SELF_ATTENTION | (CROSS_ATTENTION if cross else {}) | FEED_FORWARD
    return linear_parts(ours, parts, f"{theirs}encoder.layer.{number}.")


def _first_fusion_layer(state: State) -> int:
    """The first layer of its BERT that reads the image."""
    pattern = re.compile(re.escape(TEXT) + r"encoder\.layer\.(\d+)\.crossattention\.")
    numbers = [int(found[1]) for key in state if (found := pattern.match(key))]
    if not numbers or not min(numbers):
        raise CheckpointError(
            "no text layers followed by layers with cross-attention: this is no original ALBEF "
            "checkpoint"
        )
    return min(numbers)


def _count(state: State, prefix: str) -> int:
    """How many numbered layers stand under `prefix`."""
    numbers = {int(key[len(prefix) :].split(".")[0]) for key in state if key.startswith(prefix)}
    return max(numbers, default=-1) + 1


def _shape(state: State, key: str) -> tuple[int, ...]:
    if key not in state:
        raise CheckpointError(f"no {key!r} among the weights: this is no original ALBEF checkpoint")
    return tuple(state[key].shape)
