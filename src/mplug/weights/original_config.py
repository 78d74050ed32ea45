"""The configuration of an original mPLUG checkpoint: sizes seen in it, and hints for the rest."""

from collections.abc import Mapping
from typing import Any

import torch

from mplug.config.schema import (
    DecoderConfig,
    FusionConfig,
    MPlugConfig,
    TextConfig,
    VisionConfig,
)
from mplug.config.sizes import connected_places
from mplug.errors import CheckpointError
from mplug.weights.keys import State

CLIP_HEAD_WIDTH = 64
DEFAULT_EMBED_DIM = 256
DEFAULT_TEMPERATURE = 0.07
VISUAL = "visual_encoder.visual."
TEXT = "text_encoder."


def original_model_config(
    state: State, hints: Mapping[str, Any], *, text_layers: int | None = None
) -> MPlugConfig:
    """The sizes of a state dict, with what cannot be seen in it taken from `hints`.

    Raises:
        CheckpointError: a tensor or hint that gives a size is not there.
    """
    text = _text(state, hints, text_layers=text_layers)
    layers = int(hint(hints, "fusion_layers"))
    stride = int(hint(hints, "stride_layer"))
    decoder_layers = _count(state, "text_decoder.bert.encoder.layer.")
    embed = state.get("vision_proj.bias")
    temperature = state.get("temp")
    return MPlugConfig(
        vision=_vision(state, hints, dropout=text.dropout),
        text=text,
        fusion=FusionConfig(
            num_layers=layers,
            connected_at=connected_places(layers, stride=stride, rule="released"),
            image_update="add",
        ),
        decoder=DecoderConfig(num_layers=decoder_layers or int(hint(hints, "text_decode_layers"))),
        embed_dim=DEFAULT_EMBED_DIM if embed is None else embed.shape[0],
        temperature=DEFAULT_TEMPERATURE if temperature is None else float(temperature),
    )


def first_fusion_layer(hints: Mapping[str, Any]) -> int:
    """The original number of the first fusion layer that runs: only the last ones do."""
    return int(hint(hints, "num_hidden_layers")) - int(hint(hints, "fusion_layers"))


def hint(hints: Mapping[str, Any], name: str) -> Any:
    """A value of the original configuration.

    Raises:
        CheckpointError: it is not there.
    """
    if name not in hints:
        raise CheckpointError(
            f"the original configuration has no {name!r}: pass the BERT configuration that came "
            "with the weights (configs/config_bert*.json)"
        )
    return hints[name]


def _vision(state: State, hints: Mapping[str, Any], *, dropout: float) -> VisionConfig:
    width, _, patch, _ = _shape(state, f"{VISUAL}conv1.weight")
    positions = _shape(state, f"{VISUAL}positional_embedding")[0]
    return VisionConfig(
        image_size=patch * round((positions - 1) ** 0.5),
        patch_size=patch,
        hidden_size=width,
        num_layers=_count(state, f"{VISUAL}transformer.resblocks."),
        num_heads=int(hints.get("vision_heads", width // CLIP_HEAD_WIDTH)),
        intermediate_size=_shape(state, f"{VISUAL}transformer.resblocks.0.mlp.c_fc.bias")[0],
        dropout=dropout,
    )


def _text(state: State, hints: Mapping[str, Any], *, text_layers: int | None) -> TextConfig:
    vocabulary, dim = _shape(state, f"{TEXT}embeddings.word_embeddings.weight")
    hidden = _shape(state, f"{TEXT}encoder.layer.0.intermediate.dense.bias")[0]
    positions = _shape(state, f"{TEXT}embeddings.position_embeddings.weight")[0]
    return TextConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        num_layers=text_layers or int(hint(hints, "text_encoder_layers")),
        num_heads=int(hint(hints, "num_attention_heads")),
        intermediate_size=hidden,
        max_positions=positions,
        layer_norm_eps=float(hints.get("layer_norm_eps", 1e-12)),
        dropout=float(hints.get("hidden_dropout_prob", 0.1)),
    )


def _shape(state: State, key: str) -> torch.Size:
    if key not in state:
        raise CheckpointError(f"no {key!r} among the weights: this is no original mPLUG checkpoint")
    return state[key].shape


def _count(state: State, prefix: str) -> int:
    """How many numbered layers stand under `prefix`."""
    numbers = {int(key[len(prefix) :].split(".")[0]) for key in state if key.startswith(prefix)}
    return max(numbers, default=-1) + 1
