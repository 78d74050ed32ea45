"""Captions of images and videos: cross-entropy, and the self-critical loss."""

import re
from functools import partial

import torch
from torch import Tensor

from mplug.inference.generate import length_penalty
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.prefix_lm import next_word_losses
from mplug.objectives.self_critical import (
    mean_reward,
    self_critical,
    sequence_log_probability,
)
from tests.golden.beam import released
from tests.golden.reference import Entries, Reference, with_video

LENGTH_EXPONENT = 0.6


def entries(reference: Reference) -> Entries:
    """Section 6.3 without generation."""
    return {
        "caption.logits": partial(_logits, reference),
        "caption.loss": lambda: _loss(reference, reference.model).item(),
        "caption.grad_norms": partial(_gradient_norms, reference, "caption"),
        "scst.loss": lambda: _self_critical(reference, reference.model).item(),
        "scst.grad_norms": partial(_gradient_norms, reference, "scst"),
        "scst.nbest": lambda: _nbest(reference, reference.model),
        "videocap.loss": partial(_video_loss, reference),
    }


def _logits(reference: Reference) -> Tensor:
    inputs, model = reference.inputs, reference.model
    image = model.encode_image(inputs["image"])
    return model.decode(inputs["caption_ids"], inputs["caption_mask"], image)


def _mean_loss(model: MPlug, ids: Tensor, mask: Tensor, memory: Tensor, *, prompt: int) -> Tensor:
    """Over all tokens but the padding and the `prompt` first ones, which are given."""
    ids, mask, targets = shifted(ids, mask)
    targets[:, : prompt - 1] = -100
    wanted = targets >= 0
    return next_word_losses(model.decode(ids, mask, memory)[wanted], targets[wanted]).mean()


def _loss(reference: Reference, model: MPlug) -> Tensor:
    inputs = reference.inputs
    image = model.encode_image(inputs["image"])
    return _mean_loss(model, inputs["caption_ids"], inputs["caption_mask"], image, prompt=1)


def _video_loss(reference: Reference) -> float:
    inputs, model = reference.inputs, reference.model
    memory = with_video(inputs["video_frames"], model.encode_image)
    ids, mask = inputs["video_caption_ids"], inputs["video_caption_mask"]
    return _mean_loss(model, ids, mask, memory, prompt=len(inputs["prompt_ids"])).item()


def _nbest(reference: Reference, model: MPlug) -> dict[str, list[list[object]]]:
    """The released search with a beam for each reward, at the length of the caption entry."""
    beams = reference.inputs["scst_reward"].shape[1]
    pattern = rf"caption\.generate\.(beam{beams}_min1_max\d+_nbest{beams})$"
    settings = [found[1] for name in reference.expected if (found := re.match(pattern, name))]
    image = model.encode_image(reference.inputs["image"])
    return released(reference, model, image, None, setting=settings[0])


def _self_critical(reference: Reference, model: MPlug) -> Tensor:
    """The hypotheses of the search, scored again with gradients."""
    texts = [torch.tensor(ids) for image in _nbest(reference, model)["ids"] for ids in image]
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    inputs, mask, targets = shifted(ids, torch.arange(ids.shape[1]) < lengths[:, None])
    rewards = reference.inputs["scst_reward"]
    memory = model.encode_image(reference.inputs["image"])
    memory = memory.repeat_interleave(rewards.shape[1], dim=0)
    logits = model.decode(inputs, mask, memory)
    totals = sequence_log_probability(logits[targets >= 0], targets, counted=targets >= 0)
    penalties = [length_penalty(int(n) - 1, exponent=LENGTH_EXPONENT) for n in lengths]
    scores = totals / reference.cast(torch.tensor(penalties, dtype=torch.float64))
    per_token = (scores / lengths).reshape(rewards.shape)
    return self_critical(per_token, rewards, baseline=mean_reward(rewards)).loss


def _gradient_norms(reference: Reference, task: str) -> dict[str, float | None]:
    model = reference.imported().model
    loss = {"caption": _loss, "scst": _self_critical}[task](reference, model)
    return reference.gradient_norms(model, loss, expected=f"{task}.grad_norms")
