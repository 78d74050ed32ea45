"""NLVR2: is a statement about two images true? (paper, section 4.5)."""

from dataclasses import dataclass

import torch.nn.functional as F

from mplug.data.items import ItemBatch
from mplug.models.mplug import MPlug
from mplug.tasks.part import Pictures, Terms

VERDICT = "no better than blind"


@dataclass(frozen=True)
class Comparing:
    """Cross-entropy of true and false, a mean over statements."""

    used: tuple[str, ...] = (
        "vision",
        "visual_projection",
        "text_encoder",
        "fusion",
        "second_image",
        "compare_head",
    )

    def terms(self, model: MPlug, pictures: Pictures, items: ItemBatch) -> Terms:
        """A term for each statement."""
        text = model.encode_text(items.text, items.text_mask)
        logits = model.compare(text, pictures[:, 0], pictures[:, 1], items.text_mask)
        loss = F.cross_entropy(logits, items.labels, reduction="none")
        return Terms(loss, loss.detach())
