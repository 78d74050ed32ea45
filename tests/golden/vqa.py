"""Visual question answering: losses and ranking, of images and of videos."""

import re
from functools import partial

import torch
from torch import Tensor

from mplug.inference.rank import Ranking, ReleasedAnswerScore, rank_answers
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.answers import AnswerLoss, answer_loss, distilled_token_losses, token_losses
from mplug.objectives.momentum import update_average
from tests.golden.reference import Entries, Reference, seen, with_video


def entries(reference: Reference) -> Entries:
    """Section 6.2 without generation."""
    made: Entries = {
        "vqa.decoder_memory": lambda: question_memory(reference, reference.model)[0],
        "vqa.answer_logits": lambda: _logits(reference, reference.model),
        "vqa.answer_loss_per_answer": lambda: _loss(reference, reference.model).per_answer,
        "vqa.loss": lambda: _loss(reference, reference.model).loss.item(),
        "vqa.loss_with_distill_model": partial(_loss_with_teacher, reference),
        "vqa.momentum_logits_before_update": lambda: _teacher_logits(reference),
        "vqa.grad_norms": partial(_gradient_norms, reference),
    }
    for name in reference.expected:
        if found := re.match(r"vqa\.decoder_loss_alpha([\d.]+)$", name):
            made[name] = partial(_loss_over_time, reference, share=float(found[1]))
        if found := re.match(r"(vqa|videoqa)\.rank_topk_(ids|probs)$", name):
            made[name] = partial(_ranked, reference, name=name, video=found[1] == "videoqa")
    return made


def question_memory(reference: Reference, model: MPlug) -> tuple[Tensor, Tensor]:
    """[image; text] after fusion, and its mask."""
    image = model.encode_image(reference.inputs["image"])
    return fused_memory(
        model, image, reference.inputs["question_ids"], reference.inputs["question_mask"]
    )


def fused_memory(model: MPlug, image: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """What a decoder reads of an image and a text, and its mask."""
    fused_image, text = model.fuse(model.encode_text(ids, mask), image, mask)
    return torch.cat([fused_image, text], dim=1), torch.cat([seen(image), mask], dim=1)


def _logits(reference: Reference, model: MPlug) -> Tensor:
    """Of every answer, taught word by word, each beside its question."""
    memory, mask = question_memory(reference, model)
    counts, inputs = reference.inputs["answer_counts"], reference.inputs
    memory, mask = memory.repeat_interleave(counts, 0), mask.repeat_interleave(counts, 0)
    return model.decode(inputs["answer_ids"], inputs["answer_mask"], memory, mask)


def _teacher_logits(reference: Reference) -> Tensor:
    teacher = reference.original.teacher
    assert teacher is not None
    return _logits(reference, teacher)[:, :-1]


def _targets(reference: Reference) -> Tensor:
    return shifted(reference.inputs["answer_ids"], reference.inputs["answer_mask"])[2]


def _weighed(reference: Reference, token_losses: Tensor) -> AnswerLoss:
    weights, images = reference.inputs["answer_weights"], len(reference.inputs["image"])
    return answer_loss(token_losses, weights=weights, images=images)


def _loss(reference: Reference, model: MPlug) -> AnswerLoss:
    logits = _logits(reference, model)[:, :-1]
    return _weighed(reference, token_losses(logits, _targets(reference)))


def _loss_with_teacher(reference: Reference) -> float:
    """The released step: teachers run, but no share of the loss is ever given to them."""
    made = reference.imported()
    assert made.teacher is not None
    update_average(made.teacher, made.model, momentum=reference.config["momentum_used"])
    losses = distilled_token_losses(
        _logits(reference, made.model)[:, :-1],
        _targets(reference),
        teacher_logits=_logits(reference, made.teacher)[:, :-1],
        share=0.0,
    )
    return _weighed(reference, losses).loss.item()


def _loss_over_time(reference: Reference, *, share: float) -> Tensor:
    """The released fault: log-softmax over the places of an answer instead of the vocabulary."""
    logits, targets = _logits(reference, reference.model)[:, :-1], _targets(reference)
    over_time = logits.log_softmax(dim=1)
    taught = -(_teacher_logits(reference).softmax(dim=-1) * over_time).sum(dim=-1)
    taught = torch.where(targets >= 0, taught, 0.0).sum(dim=1)
    return (1 - share) * token_losses(logits, targets).sum(dim=1) + share * taught


def _ranked(reference: Reference, *, name: str, video: bool) -> Tensor:
    model, inputs = reference.model, reference.inputs
    if video:
        image = with_video(inputs["video_frames"], model.encode_image)
        ids, mask = (inputs[f"question_{kind}"][: len(image)] for kind in ("ids", "mask"))
        memory, memory_mask = fused_memory(model, image, ids, mask)
    else:
        memory, memory_mask = question_memory(reference, model)
    ranking: Ranking = rank_answers(
        model.decoder,
        memory,
        memory_mask,
        answers=inputs["rank_ids"],
        answers_mask=inputs["rank_mask"],
        keep=reference.expected[name].shape[1],
        score=ReleasedAnswerScore(),
    )
    return ranking.answers if name.endswith("_ids") else ranking.probabilities


def _gradient_norms(reference: Reference) -> dict[str, float | None]:
    model = reference.imported().model
    loss = _loss(reference, model).loss
    return reference.gradient_norms(model, loss, expected="vqa.grad_norms")
