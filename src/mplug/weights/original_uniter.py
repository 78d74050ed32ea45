"""Weights of the original UNITER: its key layout as a table, read strictly.

Pretraining files hold the encoder under `uniter.` and a head for every objective; fine-tuned ones
hold the encoder and a head of their own, whose keys must be ignored by name.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mplug.config.schema import TextConfig
from mplug.config.schema_uniter import RegionsConfig, UniterConfig
from mplug.errors import CheckpointError
from mplug.models.uniter import Uniter
from mplug.weights.keys import (
    Entry,
    State,
    fill,
    linear_parts,
    refuse_untied,
    under_original_names,
    weight_and_bias,
)
from mplug.weights.original_mplug import FEED_FORWARD, SELF_ATTENTION

PREFIX = "uniter.encoder.layer."
DETECTOR_CLASSES = 1601  # where a file has lost its region classifier
HEAD_WIDTH = 64  # of an attention head, where no configuration says how many there are
WORDS = "uniter.embeddings.word_embeddings.weight"
REGION_PROJECTION = "uniter.img_embeddings.img_linear.weight"
TYPES = "uniter.embeddings.token_type_embeddings.weight"
MASKS = "uniter.img_embeddings.mask_embedding.weight"
# Copies that the original keeps of tensors it shares between modules.
TIED = {
    "cls.predictions.decoder.weight": WORDS,
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "feat_regress.weight": REGION_PROJECTION,
}
COPIES = ("cls.predictions.decoder.weight", "feat_regress.weight")  # of those, the released ones
# Whole parts that a file may lack; they then start as a new model's do.
OPTIONAL_PARTS = ("pooler", "itm_head", "mlm_head", "feature_head", "class_head")

LAYER = SELF_ATTENTION | FEED_FORWARD
REGIONS = {
    "feature_linear": "img_linear",
    "feature_norm": "img_layer_norm",
    "box_linear": "pos_linear",
    "box_norm": "pos_layer_norm",
    "norm": "LayerNorm",
}
HEADS = {
    "pooler.linear": "uniter.pooler.dense",
    "itm_head": "itm_output",
    "mlm_head.transform": "cls.predictions.transform.dense",
    "mlm_head.norm": "cls.predictions.transform.LayerNorm",
    "feature_head.transform": "feat_regress.net.0",
    "feature_head.norm": "feat_regress.net.2",
    "class_head.transform": "region_classifier.net.0",
    "class_head.norm": "region_classifier.net.2",
    "class_head.output": "region_classifier.net.3",
}
BIASES = {"mlm_head.bias": "cls.predictions.bias", "feature_head.bias": "feat_regress.bias"}


@dataclass(frozen=True)
class ImportedUniter:
    """What an original file held, and what became of every key."""

    model: Uniter
    dropped: Mapping[str, str] = field(default_factory=dict)  # original key: why
    new: tuple[str, ...] = ()  # our parameters that the file lacks: freshly initialised


def key_table(config: UniterConfig) -> list[Entry]:
    """Every parameter of `Uniter(config)` that the original layout has a name for."""
    return [*_embeddings(), *_layers(config.text.num_layers), *_heads()]


def import_uniter(
    state: State, original_config: Mapping[str, Any], *, ignore: Collection[str] = ()
) -> ImportedUniter:
    """The model in the tensors of an original checkpoint.

    Of `original_config` (the configuration that came with the weights) only the number of attention
    heads and the dropout are read, and 64 numbers a head assumed without it; sizes are read off the
    tensors. `ignore` lists beginnings of keys to drop, as those of a fine-tuned head.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong size; all of them are listed.
    """
    state = {current_key(key): value for key, value in state.items()}
    refuse_untied(state, TIED)
    dropped = {key: why for key in state if (why := _unused(key, tuple(ignore)))}
    kept = {key: value for key, value in state.items() if key not in dropped}
    config = uniter_config(kept, original_config)
    model = Uniter(config)
    new = fill(model, kept, key_table(config), optional=OPTIONAL_PARTS)
    if len(kept[TYPES]) > 2:
        dropped[f"{TYPES}[2:]"] = "segments that pretraining has no use for"
    return ImportedUniter(model=model, dropped=dropped, new=new)


def to_original_uniter(named: State, config: UniterConfig) -> dict[str, Tensor]:
    """Parameters of `Uniter(config)` under the original names, copies of tied ones included.

    Raises:
        ValueError: a name has no place in the original layout.
    """
    made = under_original_names(named, key_table(config))
    copies = {copy: made[TIED[copy]] for copy in COPIES if TIED[copy] in made}
    return made | copies


def uniter_config(state: State, original_config: Mapping[str, Any]) -> UniterConfig:
    """The sizes of a state dict, with what cannot be seen in it taken from its configuration.

    Raises:
        CheckpointError: a tensor that gives a size is not there.
    """
    vocabulary, dim = _shape(state, WORDS)
    layers = {int(found[1]) for key in state if (found := re.match(r"uniter.*\.layer\.(\d+)", key))}
    classes = state.get("region_classifier.net.3.bias")
    return UniterConfig(
        text=TextConfig(
            vocab_size=vocabulary,
            hidden_size=dim,
            num_layers=max(layers, default=0) + 1,
            num_heads=int(original_config.get("num_attention_heads", max(1, dim // HEAD_WIDTH))),
            intermediate_size=_shape(state, f"{PREFIX}0.intermediate.dense.bias")[0],
            max_positions=_shape(state, "uniter.embeddings.position_embeddings.weight")[0],
            dropout=float(original_config.get("hidden_dropout_prob", 0.1)),
        ),
        regions=RegionsConfig(
            feature_size=_shape(state, REGION_PROJECTION)[1],
            classes=DETECTOR_CLASSES if classes is None else len(classes),
        ),
    )


def current_key(key: str) -> str:
    """An original key as its newest files spell it; older ones call a norm's weights otherwise."""
    key = key.removeprefix("module.")
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", key))


def _unused(key: str, ignore: tuple[str, ...]) -> str | None:
    """Why an original key has no place in the model, or None if it has one or nobody knows."""
    if ignore and key.startswith(ignore):
        return "ignored, as asked"
    if key in TIED:
        return "a copy of a tied parameter"
    return "an index buffer" if key.endswith(".position_ids") else None


def _embeddings() -> Iterator[Entry]:
    yield Entry("word_embeddings.words.weight", WORDS)
    positions = "uniter.embeddings.position_embeddings.weight"
    yield Entry("word_embeddings.positions.weight", positions)
    yield Entry("word_embeddings.segment", TYPES, row=0)
    yield from weight_and_bias("word_embeddings.norm", "uniter.embeddings.LayerNorm")
    yield from linear_parts("region_embeddings.", REGIONS, "uniter.img_embeddings.")
    yield Entry("region_embeddings.segment", TYPES, row=1)
    yield Entry("region_embeddings.hidden_feature", MASKS, row=1)


def _layers(count: int) -> Iterator[Entry]:
    for number in range(count):
        yield from linear_parts(f"stack.layers.{number}.", LAYER, f"{PREFIX}{number}.")


def _heads() -> Iterator[Entry]:
    yield from linear_parts("", HEADS, "")
    for ours, theirs in BIASES.items():
        yield Entry(ours, theirs)


def _shape(state: State, key: str) -> tuple[int, ...]:
    if key not in state:
        raise CheckpointError(
            f"no {key!r} among the weights: this is no original UNITER checkpoint"
        )
    return tuple(state[key].shape)
