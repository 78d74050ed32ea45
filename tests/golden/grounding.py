"""Grounding: a phrase to the four tokens of a box."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from mplug.models.mplug import MPlug
from mplug.objectives.boxes import box_loss, box_weights, from_bins, to_bins
from tests.golden.reference import Entries, Reference
from tests.golden.vqa import fused_memory

NAMES = ("target_ids", "logits_bins", "loss", "pred_boxes", "text_encoder_layers_kept")


class Grounded(NamedTuple):
    """What the decoder reads, and the tokens it may say."""

    model: MPlug
    memory: Tensor
    memory_mask: Tensor


def entries(reference: Reference) -> Entries:
    """Section 6.6."""
    return {
        "grounding.target_ids": lambda: _targets(reference).tolist(),
        "grounding.logits_bins": lambda: _logits(reference, _ground(reference)),
        "grounding.loss": lambda: _crossed_loss(reference, _ground(reference)).item(),
        "grounding.pred_boxes": partial(_greedy, reference),
        "grounding.text_encoder_layers_kept": lambda: len(
            _ground(reference).model.text_encoder.layers
        ),
        "grounding.grad_norms": partial(_gradient_norms, reference),
    }


def _ground(reference: Reference) -> Grounded:
    """With the text encoder cut to its first layers, as these weights were trained."""
    bert, inputs = reference.config["bert"], reference.inputs
    kept = min(bert["stride_layer"], bert["text_encoder_layers"])
    model = reference.imported(text_layers=kept).model
    image = model.encode_image(inputs["image"])
    return Grounded(model, *fused_memory(model, image, inputs["expr_ids"], inputs["expr_mask"]))


def _bins(reference: Reference) -> Tensor:
    return reference.state["target_ids"]


def _targets(reference: Reference) -> Tensor:
    bins = _bins(reference)
    return to_bins(reference.inputs["boxes"], bins=len(bins)) + bins[0]


def _masked(reference: Reference, logits: Tensor) -> Tensor:
    """Logits of the coordinate tokens, all others as good as forbidden."""
    allowed = logits + reference.cast(reference.state["bbox_prob_mask"])
    return allowed[..., _bins(reference)]


def _logits(reference: Reference, grounded: Grounded) -> Tensor:
    targets = _targets(reference)
    start = reference.state["prefix_ids"].expand(len(targets), 1)
    ids = torch.cat([start, targets], dim=1)
    logits = grounded.model.decode(ids, None, grounded.memory, grounded.memory_mask)
    return _masked(reference, logits)


def _crossed_loss(reference: Reference, grounded: Grounded) -> Tensor:
    """The released fault: every row's cross-entropy meets every row's weights."""
    logits, boxes = _logits(reference, grounded)[:, :-1], reference.inputs["boxes"]
    coordinates = box_loss(logits, boxes).coordinates
    bins = len(_bins(reference))
    predicted = from_bins(logits.argmax(dim=-1), bins=bins, dtype=boxes.dtype)
    return (coordinates[:, None] * box_weights(predicted, boxes)).mean()


def _greedy(reference: Reference) -> Tensor:
    """Four steps of the cached decoder, each time the likeliest coordinate."""
    model, memory, mask = _ground(reference)
    bins, words = _bins(reference), reference.state["prefix_ids"].expand(len(memory), 1)
    cache = model.decoder.start(memory, mask)
    places = []
    for _ in range(4):
        logits, cache = model.decoder.step(words, cache)
        places.append(_masked(reference, logits).argmax(dim=-1))
        words = bins[places[-1]][:, None]
    return from_bins(torch.stack(places, dim=1), bins=len(bins), dtype=memory.dtype)


def _gradient_norms(reference: Reference) -> dict[str, float | None]:
    grounded = _ground(reference)
    loss = _crossed_loss(reference, grounded)
    return reference.gradient_norms(grounded.model, loss, expected="grounding.grad_norms")
