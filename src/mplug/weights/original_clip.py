"""Weights of OpenAI's CLIP: its key layout as a table, read strictly."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from mplug.config.schema_clip import CausalTextConfig, ClipConfig, ResNetConfig
from mplug.errors import CheckpointError
from mplug.models.clip import Clip
from mplug.nn.embeddings import resize_positions
from mplug.nn.modified_resnet import ModifiedResNet
from mplug.weights.keys import Entry, State, fill, linear_parts, under_original_names

HEAD_WIDTH = 64  # of an attention head; files do not say how many there are
STAGES = 4
# Matrices that the original multiplies from the right.
TRANSPOSED = ("text_projection", "visual.proj")
# What TorchScript archives keep among the weights.
FACTS = ("input_resolution", "context_length", "vocab_size")

BLOCK = {
    "attention_norm": "ln_1",
    "attention.output": "attn.out_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.widen": "mlp.c_fc",
    "feed_forward.narrow": "mlp.c_proj",
}
TEXT = {
    "text_encoder.words.weight": "token_embedding.weight",
    "text_encoder.positions": "positional_embedding",
    "text_projection.weight": "text_projection",
    "logit_scale": "logit_scale",
}
TRANSFORMER = {
    "vision.class_embedding": "visual.class_embedding",
    "vision.positions": "visual.positional_embedding",
    "vision.stem.convolution.weight": "visual.conv1.weight",
    "image_head.projection.weight": "visual.proj",
}
TRANSFORMER_NORMS = {"vision.input_norm": "visual.ln_pre", "vision.output_norm": "visual.ln_post"}
POOL = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "c_proj"}
POOL_POSITIONS = Entry("image_head.positions", "visual.attnpool.positional_embedding")
BOTTLENECK = {"narrow": ("conv1", "bn1"), "look": ("conv2", "bn2"), "widen": ("conv3", "bn3")}
SHORTCUT = {"shortcut": ("downsample.0", "downsample.1")}
NORM = {
    "weight": "weight",
    "bias": "bias",
    "running_mean": "running_mean",
    "running_variance": "running_var",
}


@dataclass(frozen=True)
class ImportedClip:
    """What an original file held, and what became of every key."""

    model: Clip
    dropped: Mapping[str, str] = field(default_factory=dict)  # original key: why
    resized: Mapping[str, str] = field(default_factory=dict)  # original key: from what to what


def key_table(config: ClipConfig) -> list[Entry]:
    """Every tensor of `Clip(config)`, whose text encoder is the transformer, in OpenAI's layout."""
    table = [Entry(ours, theirs) for ours, theirs in TEXT.items()]
    table += linear_parts("", {"text_encoder.output_norm": "ln_final"}, "")
    assert isinstance(config.text, CausalTextConfig)
    table += _blocks("text_encoder.", "", layers=config.text.num_layers)
    if isinstance(config.vision, ResNetConfig):
        return [*table, *_resnet(config.vision)]
    table += [Entry(ours, theirs) for ours, theirs in TRANSFORMER.items()]
    table += linear_parts("", TRANSFORMER_NORMS, "")
    return [*table, *_blocks("vision.", "visual.", layers=config.vision.num_layers)]


def import_clip(
    state: State, original_config: Mapping[str, Any] | None = None, *, image_size: int | None = None
) -> ImportedClip:
    """The model in the tensors of an OpenAI checkpoint, in float32 whatever they are stored in.

    Sizes are read off the tensors. The numbers of attention heads are `transformer_heads` and
    `vision_heads` of `original_config`, where they are not one for every 64 numbers of the width
    as in all published models. `image_size` resizes the positions for pictures of that side.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong size; all of them are listed.
    """
    dropped = {key: why for key in state if (why := _unused(key))}
    kept = {key: value for key, value in state.items() if key not in dropped}
    config = clip_config(kept, original_config or {})
    resized: dict[str, str] = {}
    if image_size is not None and image_size != config.vision.image_size:
        kept, config, resized = _at_size(kept, config, image_size=image_size)
    model = Clip(config)
    fill(model, _transposed(kept), key_table(config))
    return ImportedClip(model=model, dropped=dropped, resized=resized)


def to_original_clip(named: State, config: ClipConfig) -> dict[str, Tensor]:
    """Tensors of `Clip(config)` under OpenAI's names.

    Raises:
        ValueError: a name has no place in the original layout, or not all of its slices are there.
    """
    return _transposed(under_original_names(named, key_table(config)))


def clip_config(state: State, original_config: Mapping[str, Any]) -> ClipConfig:
    """The sizes of a state dict, with heads that cannot be seen in it taken from `original_config`.

    Raises:
        CheckpointError: a tensor that gives a size is not there.
    """
    vision = _transformer if "visual.proj" in state else _resnet_sizes
    return _checked(
        {
            "vision": vision(state, original_config),
            "text": _text(state, original_config),
            "embed_dim": _shape(state, "text_projection")[1],
        }
    )


def _checked(fields: Mapping[str, Any]) -> ClipConfig:
    try:
        return ClipConfig.model_validate(fields)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"] for problem in error.errors(include_url=False))
        raise CheckpointError(f"no CLIP model has these sizes: {reasons}") from error


def _text(state: State, original_config: Mapping[str, Any]) -> dict[str, int]:
    vocabulary, width = _shape(state, "token_embedding.weight")
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_layers": _count(state, "transformer.resblocks."),
        "num_heads": int(original_config.get("transformer_heads", max(1, width // HEAD_WIDTH))),
        "intermediate_size": _shape(state, "transformer.resblocks.0.mlp.c_fc.bias")[0],
        "max_positions": _shape(state, "positional_embedding")[0],
    }


def _transformer(state: State, original_config: Mapping[str, Any]) -> dict[str, int]:
    width, _, patch, _ = _shape(state, "visual.conv1.weight")
    return {
        "image_size": patch * _side(state, "visual.positional_embedding"),
        "patch_size": patch,
        "hidden_size": width,
        "num_layers": _count(state, "visual.transformer.resblocks."),
        "num_heads": int(original_config.get("vision_heads", max(1, width // HEAD_WIDTH))),
        "intermediate_size": _shape(state, "visual.transformer.resblocks.0.mlp.c_fc.bias")[0],
    }


def _resnet_sizes(state: State, original_config: Mapping[str, Any]) -> dict[str, Any]:
    side = _side(state, POOL_POSITIONS.theirs)
    width = _shape(state, "visual.conv3.weight")[0]
    heads = original_config.get("vision_heads", max(1, 32 * width // HEAD_WIDTH))
    return {
        "image_size": side * ModifiedResNet.stride,
        "stages": [_count(state, f"visual.layer{place + 1}.") for place in range(STAGES)],
        "width": width,
        "num_heads": int(heads),
    }


def _at_size(
    state: State, config: ClipConfig, *, image_size: int
) -> tuple[dict[str, Tensor], ClipConfig, dict[str, str]]:
    """The state and the sizes for pictures of another side, and what was resized."""
    vision = config.vision
    if isinstance(vision, ResNetConfig):
        key, stride = POOL_POSITIONS.theirs, ModifiedResNet.stride
    else:
        key, stride = TRANSFORMER["vision.positions"], vision.patch_size
    config = _checked(
        config.model_dump() | {"vision": vision.model_dump() | {"image_size": image_size}}
    )
    before, after = _side(state, key), image_size // stride
    resized = resize_positions(state[key], grid=(after, after))
    changes = {key: f"from {before} x {before} places to {after} x {after}"}
    return {**state, key: resized}, config, changes


def _unused(key: str) -> str | None:
    """Why an original key has no place in the model, or None if it has one or nobody knows."""
    if key.endswith(".num_batches_tracked"):
        return "a counter of batches: the running averages do not need it"
    return "a size, which the tensors tell as well" if key in FACTS else None


def _transposed(state: State) -> dict[str, Tensor]:
    """The same tensors, in the other layout where the two multiply from different sides."""
    return {key: value.T if key in TRANSPOSED else value for key, value in state.items()}


def _blocks(ours: str, theirs: str, *, layers: int) -> Iterator[Entry]:
    """Pre-norm blocks; query, key and value are one original tensor."""
    for number in range(layers):
        own, original = f"{ours}blocks.{number}.", f"{theirs}transformer.resblocks.{number}."
        yield from linear_parts(own, BLOCK, original)
        for place, name in enumerate(("query", "key", "value")):
            for kind in ("weight", "bias"):
                yield Entry(
                    f"{own}attention.{name}.{kind}", f"{original}attn.in_proj_{kind}", place
                )


def _resnet(config: ResNetConfig) -> Iterator[Entry]:
    for place in range(3):
        own = f"vision.stem.{place}."
        yield from _convolution(own, f"visual.conv{place + 1}", f"visual.bn{place + 1}")
    for stage, blocks in enumerate(config.stages):
        for number in range(blocks):
            # Every stage widens, so its first block has a shortcut of its own.
            parts = BOTTLENECK | ({} if number else SHORTCUT)
            for part, (convolution, norm) in parts.items():
                original = f"visual.layer{stage + 1}.{number}."
                yield from _convolution(
                    f"vision.stages.{stage}.{number}.{part}.",
                    original + convolution,
                    original + norm,
                )
    yield POOL_POSITIONS
    yield from linear_parts("image_head.", POOL, "visual.attnpool.")


def _convolution(ours: str, convolution: str, norm: str) -> Iterator[Entry]:
    yield Entry(f"{ours}convolution.weight", f"{convolution}.weight")
    for own, original in NORM.items():
        yield Entry(f"{ours}norm.{own}", f"{norm}.{original}")


def _side(state: State, key: str) -> int:
    """Places a side, of positions whose first belongs to the whole picture."""
    return math.isqrt(_shape(state, key)[0] - 1)


def _count(state: State, prefix: str) -> int:
    """How many numbered parts stand under `prefix`; at least one, which is then missed."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return 1 + max((int(found[1]) for key in state if (found := pattern.match(key))), default=0)


def _shape(state: State, key: str) -> tuple[int, ...]:
    if key not in state:
        raise CheckpointError(f"no {key!r} among the weights: this is no original CLIP checkpoint")
    return tuple(state[key].shape)
