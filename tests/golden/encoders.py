"""Encoders, fusion and resized positions."""

import re
from functools import partial

import torch
from torch import Tensor

from mplug.models.mplug import MPlug
from mplug.nn.block import FeedForwardSublayer
from mplug.nn.embeddings import resize_positions
from tests.golden.reference import Entries, Reference


def entries(reference: Reference) -> Entries:
    """Section 6.1."""
    model, inputs = reference.model, reference.inputs
    made: Entries = {
        "vision": lambda: model.vision(inputs["image"]),
        "image_embeds": lambda: model.encode_image(inputs["image"]),
        "text": lambda: model.encode_text(inputs["question_ids"], inputs["question_mask"]),
    }
    for name in reference.expected:
        if found := re.match(r"(fusion(?:_stride(\d+))?)\.(\w+)$", name):
            stride = int(found[2]) if found[2] else None
            made[name] = partial(_fused, reference, stride=stride, what=found[3])
        if found := re.match(r"pos_embed_to_(\d+)x(\d+)$", name):
            grid = (int(found[1]), int(found[2]))
            made[name] = partial(resize_positions, inputs["pos_embed_from"], grid=grid)
    return made


def _fused(reference: Reference, *, stride: int | None, what: str) -> Tensor | list[int]:
    model = reference.model if stride is None else reference.imported(stride=stride).model
    mask = reference.inputs["question_mask"]
    image = model.encode_image(reference.inputs["image"])
    text = model.encode_text(reference.inputs["question_ids"], mask)
    if what == "layer_lengths":
        return _lengths(model, text, image, mask)
    if what == "text_per_layer":
        texts = []
        for layer in model.fusion:
            text, image = layer(text, image, mask, None)
            texts.append(text)
        return torch.stack(texts)
    fused_image, fused_text = model.fuse(text, image, mask)
    return {"image": fused_image, "text": fused_text}[what]


def _lengths(model: MPlug, text: Tensor, image: Tensor, mask: Tensor) -> list[int]:
    """How long the sequence is that leaves each layer's feed-forward."""
    lengths: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        lengths.append(output.shape[1])

    blocks = [
        module for module in model.fusion.modules() if isinstance(module, FeedForwardSublayer)
    ]
    hooks = [block.register_forward_hook(note) for block in blocks]
    model.fuse(text, image, mask)
    for hook in hooks:
        hook.remove()
    return lengths
