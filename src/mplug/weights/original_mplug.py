"""The key layout of the original mPLUG checkpoints, as tables from our names to theirs.

A released file holds a whole CLIP model, a BERT for each tower and every fusion layer that was
built; only part of that runs. What runs is in `key_table`, what does not in `unused_key`.
"""

import re
from collections.abc import Iterator

from mplug.config.schema import MPlugConfig
from mplug.weights.keys import Entry, linear_parts, weight_and_bias

TEACHER_SUFFIX = "_m"
QUEUES = ("image_queue", "text_queue", "idx_queue", "queue_ptr")
# Copies that the original keeps of tensors it shares between modules.
TIED = {
    "text_decoder.cls.predictions.decoder.weight": (
        "text_decoder.bert.embeddings.word_embeddings.weight"
    ),
    "text_decoder.cls.predictions.decoder.bias": "text_decoder.cls.predictions.bias",
    "fusion_encoder.cls.predictions.decoder.weight": (
        "text_encoder.embeddings.word_embeddings.weight"
    ),
    "fusion_encoder.cls.predictions.decoder.bias": "fusion_encoder.cls.predictions.bias",
}

# A vision block's query, key and value are one original tensor.
VISION = {
    "vision.class_embedding": "visual_encoder.visual.class_embedding",
    "vision.positions": "visual_encoder.visual.positional_embedding",
    "vision.stem.convolution.weight": "visual_encoder.visual.conv1.weight",
    "vision.input_norm": "visual_encoder.visual.ln_pre",
    "vision.output_norm": "visual_encoder.visual.ln_post",
}
VISION_BLOCK = {
    "attention_norm": "ln_1",
    "attention.output": "attn.out_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.widen": "mlp.c_fc",
    "feed_forward.narrow": "mlp.c_proj",
}
VISUAL_PROJECTION = {
    "visual_projection.linear": "visn_fc",
    "visual_projection.norm": "visn_layer_norm",
}
EMBEDDINGS = {
    "words.weight": "word_embeddings.weight",
    "positions.weight": "position_embeddings.weight",
    "norm": "LayerNorm",
}
SELF_ATTENTION = {
    "self_attention.attention.query": "attention.self.query",
    "self_attention.attention.key": "attention.self.key",
    "self_attention.attention.value": "attention.self.value",
    "self_attention.attention.output": "attention.output.dense",
    "self_attention.add.norm": "attention.output.LayerNorm",
}
CROSS_ATTENTION = {
    ours.replace("self_attention", "cross_attention"): f"cross{theirs}"
    for ours, theirs in SELF_ATTENTION.items()
}
FEED_FORWARD = {
    "feed_forward.feed_forward.widen": "intermediate.dense",
    "feed_forward.feed_forward.narrow": "output.dense",
    "feed_forward.add.norm": "output.LayerNorm",
}
HEAD = {"transform": "transform.dense", "norm": "transform.LayerNorm"}
CONTRASTIVE = {
    "image_projection": "vision_proj",
    "text_projection": "text_proj",
    "itm_head": "itm_head",
}


def key_table(config: MPlugConfig, *, first_fusion_layer: int) -> list[Entry]:
    """Every parameter of `MPlug(config)` that the original layout has a name for.

    `first_fusion_layer` is the original number of the first fusion layer that runs.
    """
    return [
        *_vision(config),
        *_text_tower("text_encoder", "text_encoder", layers=config.text.num_layers),
        *_fusion(config, first=first_fusion_layer),
        *_text_tower("decoder", "text_decoder.bert", layers=config.decoder.num_layers, cross=True),
        *_language_model_head("decoder.head", "text_decoder.cls.predictions"),
        *_language_model_head("mlm_head", "fusion_encoder.cls.predictions"),
        *linear_parts("", CONTRASTIVE, ""),
        Entry("temperature", "temp"),
    ]


def _vision(config: MPlugConfig) -> Iterator[Entry]:
    for ours, theirs in VISION.items():
        if ours.endswith("_norm"):
            yield from weight_and_bias(ours, theirs)
        else:
            yield Entry(ours, theirs)
    for number in range(config.vision.num_layers):
        block = f"visual_encoder.visual.transformer.resblocks.{number}."
        yield from linear_parts(f"vision.blocks.{number}.", VISION_BLOCK, block)
        for place, name in enumerate(("query", "key", "value")):
            for kind in ("weight", "bias"):
                ours = f"vision.blocks.{number}.attention.{name}.{kind}"
                yield Entry(ours, f"{block}attn.in_proj_{kind}", place)
    if config.vision.hidden_size != config.text.hidden_size:
        yield from linear_parts("", VISUAL_PROJECTION, "")


def _text_tower(ours: str, theirs: str, *, layers: int, cross: bool = False) -> Iterator[Entry]:
    for name, original in EMBEDDINGS.items():
        if name == "norm":
            yield from weight_and_bias(f"{ours}.embeddings.norm", f"{theirs}.embeddings.LayerNorm")
        else:
            yield Entry(f"{ours}.embeddings.{name}", f"{theirs}.embeddings.{original}")
    # Texts are one segment, so of the token types only the first is ever used.
    segment = f"{theirs}.embeddings.token_type_embeddings.weight"
    yield Entry(f"{ours}.embeddings.segment", segment, row=0)
    parts = SELF_ATTENTION | (CROSS_ATTENTION if cross else {}) | FEED_FORWARD
    for number in range(layers):
        place = f"{theirs}.encoder.layer.{number}."
        yield from linear_parts(f"{ours}.layers.{number}.", parts, place)


def _fusion(config: MPlugConfig, *, first: int) -> Iterator[Entry]:
    skip = "layer." if config.fusion.image_update == "add" else ""
    for number in range(config.fusion.num_layers):
        connected = number in config.fusion.connected_at
        parts = SELF_ATTENTION | ({} if connected else CROSS_ATTENTION) | FEED_FORWARD
        ours = f"fusion.{number}.{skip if connected else ''}"
        yield from linear_parts(ours, parts, f"fusion_encoder.encoder.layer.{first + number}.")


def _language_model_head(ours: str, theirs: str) -> Iterator[Entry]:
    yield from linear_parts(f"{ours}.", HEAD, f"{theirs}.")
    yield Entry(f"{ours}.bias", f"{theirs}.bias")


def current_key(key: str) -> str:
    """An original key as fine-tuned files spell it; pretraining files nest it deeper.

    Outside the decoder they hold `text_encoder.bert.*`, `fusion_encoder.fusion.*` or
    `fusion_encoder.bert.*`.
    """
    if key.startswith("text_decoder"):
        return key
    return re.sub(r"^((?:text|fusion)_encoder(?:_m)?)\.(?:bert|fusion)\.", r"\1.", key)


def online_key(key: str) -> str | None:
    """The online parameter that a momentum copy averages; None for any other key."""
    part, dot, rest = key.partition(".")
    return part.removesuffix(TEACHER_SUFFIX) + dot + rest if part.endswith(TEACHER_SUFFIX) else None


def unused_key(key: str, *, config: MPlugConfig, first_fusion_layer: int) -> str | None:
    """Why an original key has no place in the model, or None if it is not known to have none."""
    if key == "visual_encoder.visual.proj":
        return "CLIP's projection: all visual tokens are used instead"
    if key.startswith("visual_encoder.") and not key.startswith("visual_encoder.visual."):
        return "CLIP's text tower, which mPLUG never runs"
    if key.endswith(".embeddings.position_ids"):
        return "an index buffer"
    if key.startswith("fusion_encoder.embeddings."):
        return "fusion reads encoded text and embeds nothing"
    if key in TIED:
        return "a copy of a tied parameter"
    if key in ("prefix_ids", "target_ids", "bbox_prob_mask"):
        return "token numbers for grounding: the tokenizer knows them"
    return _unused_layer(key, config=config, first_fusion_layer=first_fusion_layer)


def _unused_layer(key: str, *, config: MPlugConfig, first_fusion_layer: int) -> str | None:
    """Why a layer of a text tower, or its cross-attention, does not run; None if it may run."""
    found = re.match(r"(text|fusion)_encoder\.encoder\.layer\.(\d+)\.(\w+)\.", key)
    if not found:
        return None
    tower, number, part = found[1], int(found[2]), found[3]
    if tower == "text":
        dropped = number >= config.text.num_layers
        return "a text layer that was asked to be dropped" if dropped else None
    if number < first_fusion_layer:
        return "a fusion layer that was built but never runs"
    connected = number - first_fusion_layer in config.fusion.connected_at
    return (
        "cross-attention of a connected layer" if connected and part == "crossattention" else None
    )
