"""BERT in the layout of `transformers`, which MiniLM and most others have, as a text tower.

The keys may stand under `bert.`; older files call a norm's weights gamma and beta.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mplug.config.schema import TextConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError
from mplug.models.heads import LanguageModelHead
from mplug.models.text import TextEncoder
from mplug.weights.keys import Entry, State, fill, linear_parts, weight_and_bias
from mplug.weights.original_mplug import EMBEDDINGS, FEED_FORWARD, HEAD, SELF_ATTENTION
from mplug.weights.towers import Fate, TextTower

WORDS = "embeddings.word_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
PREDICTIONS = "cls.predictions."
LAYER = SELF_ATTENTION | FEED_FORWARD
HEADS = "num_attention_heads"
# What a configuration may say that our encoder cannot do; the values are those that it can.
SUPPORTED = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
UNUSED = {
    "pooler.": "the pooler: texts are read at their words",
    "cls.seq_relationship.": "the head for next sentences",
    "embeddings.position_ids": "an index buffer",
    "embeddings.token_type_ids": "an index buffer",
    "cls.predictions.decoder.": "a copy of a tied parameter",
}


def import_bert(
    state: State, original_config: Mapping[str, Any], *, tokenizer: Tokenizer | None
) -> TextTower:
    """The text tower in a state dict.

    Sizes are read off the tensors; `original_config` (its config.json) gives the number of
    attention heads, and must ask for nothing that the encoder cannot do.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong size, or the configuration
            asks for something else; all of them are listed.
    """
    state = {current_key(key): value for key, value in state.items()}
    dropped = {key: why for key in state if (why := _unused(key))}
    kept = {key: value for key, value in state.items() if key not in dropped}
    config = bert_config(kept, original_config)
    head = {key: value for key, value in kept.items() if key.startswith(PREDICTIONS)}
    encoder = TextEncoder(config)
    body = {key: value for key, value in kept.items() if key not in head}
    fill(encoder, body, encoder_table(config.num_layers))
    tensors = dict(encoder.state_dict())
    if head:
        words, eps = config.vocab_size, config.layer_norm_eps
        predictor = LanguageModelHead(config.hidden_size, vocab_size=words, eps=eps)
        fill(predictor, head, head_table())
        tensors |= {f"head.{name}": value for name, value in predictor.state_dict().items()}
    if len(kept[TYPES]) > 1:
        dropped[f"{TYPES}[1:]"] = "segments: a text here is one"
    return TextTower(config, tensors, tokenizer, Fate(dropped))


def encoder_table(layers: int) -> list[Entry]:
    """Every parameter of a `TextEncoder`."""
    return [*_embeddings(), *(entry for number in range(layers) for entry in _layer(number))]


def head_table() -> list[Entry]:
    """Every parameter of a `LanguageModelHead`."""
    bias = Entry("bias", f"{PREDICTIONS}bias")
    return [*linear_parts("", HEAD, PREDICTIONS), bias]


def bert_config(state: State, original_config: Mapping[str, Any]) -> TextConfig:
    """The sizes of a state dict.

    Raises:
        CheckpointError: it is no BERT, or one that our encoder is not.
    """
    for name, supported in SUPPORTED.items():
        if original_config.get(name, supported) != supported:
            raise CheckpointError(
                f"its configuration says {name} = {original_config[name]!r}, and only "
                f"{supported!r} can be read"
            )
    if HEADS not in original_config:
        raise CheckpointError(
            f"the weights do not show how many attention heads there are: put the config.json that "
            f"came with them beside them, or name it with --config ({HEADS})"
        )
    vocabulary, dim = _shape(state, WORDS)
    layers = {int(found[1]) for key in state if (found := re.match(r"encoder\.layer\.(\d+)", key))}
    return TextConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        num_layers=max(layers, default=0) + 1,
        num_heads=int(original_config[HEADS]),
        intermediate_size=_shape(state, "encoder.layer.0.intermediate.dense.bias")[0],
        max_positions=_shape(state, "embeddings.position_embeddings.weight")[0],
        layer_norm_eps=float(original_config.get("layer_norm_eps", 1e-12)),
        dropout=float(original_config.get("hidden_dropout_prob", 0.1)),
    )


def current_key(key: str) -> str:
    """A key as newer files spell it, without the model's own name before it."""
    key = key.removeprefix("module.").removeprefix("bert.")
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", key))


def _unused(key: str) -> str | None:
    return next((why for beginning, why in UNUSED.items() if key.startswith(beginning)), None)


def _embeddings() -> Iterator[Entry]:
    for name in ("words.weight", "positions.weight"):
        yield Entry(f"embeddings.{name}", f"embeddings.{EMBEDDINGS[name]}")
    yield Entry("embeddings.segment", TYPES, row=0)
    yield from weight_and_bias("embeddings.norm", "embeddings.LayerNorm")


def _layer(number: int) -> Iterator[Entry]:
    return linear_parts(f"layers.{number}.", LAYER, f"encoder.layer.{number}.")


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    if key not in state:
        raise CheckpointError(f"no {key!r} among the weights: this is no BERT checkpoint")
    return tuple(state[key].shape)
