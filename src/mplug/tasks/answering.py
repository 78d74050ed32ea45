"""Visual question answering: answers written from the fused image and question (paper, 4.2).

A question has several answers, each as right as the share of people who gave it.
"""

from dataclasses import dataclass

import torch

from mplug.data.items import ItemBatch
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.answers import token_losses
from mplug.tasks.part import Pictures, Terms, joined

VERDICT = "no better than blind"


@dataclass(frozen=True)
class Answering:
    """Summed cross-entropy of each answer's words, weighted, a mean over questions."""

    used: tuple[str, ...] = (
        "vision",
        "visual_projection",
        "text_encoder",
        "fusion",
        "decoder",
    )

    def terms(self, model: MPlug, pictures: Pictures, items: ItemBatch) -> Terms:
        """A term for each question."""
        text = model.encode_text(items.text, items.text_mask)
        memory, memory_mask = model.joint_memory(text, joined(pictures), items.text_mask)
        ids, mask, targets = shifted(items.target_ids, items.target_mask)
        rows = items.target_item
        logits = model.decode(
            ids, mask, memory[rows], None if memory_mask is None else memory_mask[rows]
        )
        answers = token_losses(logits, targets).sum(dim=1) * items.target_weight.to(logits.dtype)
        loss = torch.zeros(len(items), dtype=answers.dtype, device=answers.device)
        loss = loss.index_add(0, rows, answers)
        return Terms(loss, loss.detach())
