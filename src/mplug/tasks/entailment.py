"""SNLI-VE: does an image entail a hypothesis, contradict it, or leave it open? (paper, 4.5)."""

from dataclasses import dataclass

import torch.nn.functional as F

from mplug.data.items import ItemBatch
from mplug.models.mplug import MPlug
from mplug.tasks.part import Pictures, Terms, joined

VERDICT = "no better than blind"


@dataclass(frozen=True)
class Entailment:
    """Cross-entropy of the three classes, a mean over hypotheses."""

    used: tuple[str, ...] = (
        "vision",
        "visual_projection",
        "text_encoder",
        "fusion",
        "entail_head",
    )

    def terms(self, model: MPlug, pictures: Pictures, items: ItemBatch) -> Terms:
        """A term for each hypothesis."""
        text = model.encode_text(items.text, items.text_mask)
        fused = model.fuse_text(text, joined(pictures), items.text_mask, first=1)
        loss = F.cross_entropy(model.entail(fused), items.labels, reduction="none")
        return Terms(loss, loss.detach())
