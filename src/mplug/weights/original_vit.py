"""Vision transformers as others name their parts, as an image tower.

Four layouts: OpenAI's CLIP and the CLIP of `transformers`; and of the first vision transformer that
of `timm`, which DeiT and ALBEF share, and that of `transformers`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mplug.config.schema import VisionConfig
from mplug.data.transforms import MEAN, STD
from mplug.errors import CheckpointError
from mplug.models.vision import vision_encoder
from mplug.weights.keys import Entry, State, fill, linear_parts, weight_and_bias
from mplug.weights.towers import Fate, VisionTower

HEAD_WIDTH = 64  # of an attention head, in every published size that has no configuration
ACTIVATIONS = {"clip": "quick_gelu", "plain": "gelu"}


@dataclass(frozen=True)
class Layout:
    """How a file names the parts of a vision transformer."""

    kind: str  # of our encoder
    sign: str  # a key that only this layout has
    single: Mapping[str, str]  # ours: theirs
    norms: Mapping[str, str]
    blocks: str  # what stands before a block's number
    block: Mapping[str, str]  # linear layers and norms
    joined: str | None  # the one tensor of query, key and value, without .weight or .bias
    eps: float
    beginning: str  # all else is not of the image encoder
    unused: Mapping[str, str]


SEPARATE = ("query", "key", "value")
OPENAI = Layout(
    kind="clip",
    sign="visual.conv1.weight",
    single={
        "class_embedding": "visual.class_embedding",
        "positions": "visual.positional_embedding",
        "stem.convolution.weight": "visual.conv1.weight",
    },
    norms={"input_norm": "visual.ln_pre", "output_norm": "visual.ln_post"},
    blocks="visual.transformer.resblocks.",
    block={
        "attention_norm": "ln_1",
        "attention.output": "attn.out_proj",
        "feed_forward_norm": "ln_2",
        "feed_forward.widen": "mlp.c_fc",
        "feed_forward.narrow": "mlp.c_proj",
    },
    joined="attn.in_proj_",
    eps=1e-5,
    beginning="visual.",
    unused={"visual.proj": "CLIP's projection: a model here has its own"},
)
HF_CLIP = Layout(
    kind="clip",
    sign="vision_model.embeddings.patch_embedding.weight",
    single={
        "class_embedding": "vision_model.embeddings.class_embedding",
        "positions": "vision_model.embeddings.position_embedding.weight",
        "stem.convolution.weight": "vision_model.embeddings.patch_embedding.weight",
    },
    norms={
        "input_norm": "vision_model.pre_layrnorm",  # their spelling
        "output_norm": "vision_model.post_layernorm",
    },
    blocks="vision_model.encoder.layers.",
    block={
        "attention_norm": "layer_norm1",
        "attention.query": "self_attn.q_proj",
        "attention.key": "self_attn.k_proj",
        "attention.value": "self_attn.v_proj",
        "attention.output": "self_attn.out_proj",
        "feed_forward_norm": "layer_norm2",
        "feed_forward.widen": "mlp.fc1",
        "feed_forward.narrow": "mlp.fc2",
    },
    joined=None,
    eps=1e-5,
    beginning="vision_model.",
    unused={"vision_model.embeddings.position_ids": "an index buffer"},
)
TIMM = Layout(
    kind="plain",
    sign="patch_embed.proj.weight",
    single={
        "class_embedding": "cls_token",
        "positions": "pos_embed",
        "stem.convolution.weight": "patch_embed.proj.weight",
        "stem.convolution.bias": "patch_embed.proj.bias",
    },
    norms={"output_norm": "norm"},
    blocks="blocks.",
    block={
        "attention_norm": "norm1",
        "attention.output": "attn.proj",
        "feed_forward_norm": "norm2",
        "feed_forward.widen": "mlp.fc1",
        "feed_forward.narrow": "mlp.fc2",
    },
    joined="attn.qkv.",
    eps=1e-6,
    beginning="",
    unused={"head.": "the head for classes", "pre_logits.": "the head for classes"},
)
HF_VIT = Layout(
    kind="plain",
    sign="embeddings.patch_embeddings.projection.weight",
    single={
        "class_embedding": "embeddings.cls_token",
        "positions": "embeddings.position_embeddings",
        "stem.convolution.weight": "embeddings.patch_embeddings.projection.weight",
        "stem.convolution.bias": "embeddings.patch_embeddings.projection.bias",
    },
    norms={"output_norm": "layernorm"},
    blocks="encoder.layer.",
    block={
        "attention_norm": "layernorm_before",
        "attention.query": "attention.attention.query",
        "attention.key": "attention.attention.key",
        "attention.value": "attention.attention.value",
        "attention.output": "attention.output.dense",
        "feed_forward_norm": "layernorm_after",
        "feed_forward.widen": "intermediate.dense",
        "feed_forward.narrow": "output.dense",
    },
    joined=None,
    eps=1e-12,
    beginning="",
    unused={
        "classifier.": "the head for classes",
        "pooler.": "the pooler",
        "embeddings.mask_token": "what hides patches in pretraining",
    },
)
LAYOUTS = (OPENAI, HF_CLIP, TIMM, HF_VIT)


def import_vit(
    state: State,
    original_config: Mapping[str, Any],
    *,
    normalisation: Mapping[str, Any] | None = None,
) -> VisionTower:
    """The image tower in a state dict of any of the layouts.

    `original_config` (its config.json) gives the number of attention heads, and 64 numbers a head
    are assumed without it; `normalisation` is what its pixels are normalised with (its
    preprocessor_config.json), folded into the patches where it differs from ours.

    Raises:
        CheckpointError: no layout fits, or keys are missing, unexpected or of the wrong size; all
            of them are listed.
    """
    state = {key.removeprefix("module.").removeprefix("vit."): state[key] for key in state}
    layout = next((one for one in LAYOUTS if one.sign in state), None)
    if layout is None:
        signs = ", ".join(one.sign for one in LAYOUTS)
        raise CheckpointError(f"no vision transformer: none of {signs} is among the weights")
    dropped = {key: why for key in state if (why := _unused(key, layout))}
    kept = {key: value for key, value in state.items() if key not in dropped}
    kept |= {key: _flat(kept[key], key, layout) for key in kept}
    config, notes = _config(kept, original_config.get("vision_config", original_config), layout)
    encoder = vision_encoder(config)
    fill(encoder, kept, vision_table(layout, layers=config.num_layers))
    tower = VisionTower(config, dict(encoder.state_dict()), Fate(dropped, notes))
    return tower if normalisation is None else _renormalised(tower, normalisation)


def vision_table(layout: Layout, *, layers: int, ours: str = "", theirs: str = "") -> list[Entry]:
    """Every parameter of an encoder in that layout, under a prefix on either side."""
    return list(_entries(layout, layers, ours, theirs))


def _entries(layout: Layout, layers: int, ours: str, theirs: str) -> Iterator[Entry]:
    for name, original in layout.single.items():
        yield Entry(ours + name, theirs + original)
    for name, original in layout.norms.items():
        yield from weight_and_bias(ours + name, theirs + original)
    for number in range(layers):
        block, original = f"{ours}blocks.{number}.", f"{theirs}{layout.blocks}{number}."
        yield from linear_parts(block, layout.block, original)
        if layout.joined is None:
            continue
        for place, name in enumerate(SEPARATE):
            for kind in ("weight", "bias"):
                yield Entry(
                    f"{block}attention.{name}.{kind}", f"{original}{layout.joined}{kind}", place
                )


def _unused(key: str, layout: Layout) -> str | None:
    if not key.startswith(layout.beginning):
        return "not of the image encoder"
    return next((why for start, why in layout.unused.items() if key.startswith(start)), None)


def _flat(tensor: Tensor, key: str, layout: Layout) -> Tensor:
    """A class token or positions without the axes of size 1 that some layouts give them."""
    single = layout.single
    if key == single["class_embedding"]:
        return tensor.flatten()
    return tensor.squeeze(0) if key == single["positions"] and tensor.dim() == 3 else tensor


def _config(
    state: State, original_config: Mapping[str, Any], layout: Layout
) -> tuple[VisionConfig, tuple[str, ...]]:
    """The sizes of a state dict, and what had to be assumed."""
    required = (layout.single["stem.convolution.weight"], layout.single["positions"])
    missing = [key for key in required if key not in state]
    if missing:
        raise CheckpointError(f"no {missing[0]!r} among the weights")
    width, _, patch, _ = state[required[0]].shape
    side = round((len(state[required[1]]) - 1) ** 0.5)
    widen = f"{layout.blocks}0.{layout.block['feed_forward.widen']}.bias"
    number = re.compile(re.escape(layout.blocks) + r"(\d+)\.")
    numbers = {int(found[1]) for key in state if (found := number.match(key))}
    activation = original_config.get("hidden_act", ACTIVATIONS[layout.kind])
    if activation != ACTIVATIONS[layout.kind]:
        raise CheckpointError(
            f"its configuration says hidden_act = {activation!r}, and only "
            f"{ACTIVATIONS[layout.kind]!r} can be read"
        )
    heads = original_config.get("num_attention_heads")
    if heads is None and width % HEAD_WIDTH:
        raise CheckpointError(
            "the weights do not show how many attention heads there are: put the config.json that "
            "came with them beside them, or name it with --config (num_attention_heads)"
        )
    config = VisionConfig.model_validate(
        {
            "kind": layout.kind,
            "image_size": patch * side,
            "patch_size": patch,
            "hidden_size": width,
            "num_layers": max(numbers, default=0) + 1,
            "num_heads": heads or width // HEAD_WIDTH,
            "intermediate_size": len(state[widen]) if widen in state else 4 * width,
            "layer_norm_eps": original_config.get("layer_norm_eps", layout.eps),
        }
    )
    assumed = f"assumed: {config.num_heads} attention heads of {HEAD_WIDTH} numbers"
    return config, () if heads else (assumed,)


def _renormalised(tower: VisionTower, normalisation: Mapping[str, Any]) -> VisionTower:
    """A tower that reads pixels normalised as ours are, where it expected others."""
    mean, std = (normalisation.get(name) for name in ("image_mean", "image_std"))
    if mean is None or std is None:
        return tower
    ours, theirs = torch.from_numpy(np.stack([MEAN, STD])), torch.tensor([mean, std])
    if torch.allclose(ours, theirs, atol=1e-6):
        return tower
    if tower.config.kind != "plain":
        raise CheckpointError(
            f"its pixels are normalised with {mean} and {std}, and only a vision transformer whose "
            "patches have a bias can be told others"
        )
    weight, bias = (tower.tensors[f"stem.convolution.{kind}"] for kind in ("weight", "bias"))
    shift = ((ours[0] - theirs[0]) / theirs[1]).view(1, 3, 1, 1)
    scale = (ours[1] / theirs[1]).view(1, 3, 1, 1)
    folded = {
        "stem.convolution.weight": weight * scale,
        "stem.convolution.bias": bias + (weight * shift).sum(dim=(1, 2, 3)),
    }
    note = f"folded into the patches: pixels normalised with {mean} and {std}"
    fate = replace(tower.fate, notes=(*tower.fate.notes, note))
    return VisionTower(tower.config, {**tower.tensors, **folded}, fate)
