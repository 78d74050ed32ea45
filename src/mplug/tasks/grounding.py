"""Grounding: a phrase to the four coordinate tokens of its box (paper, section 4.4)."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mplug.data.items import ItemBatch
from mplug.models.mplug import MPlug
from mplug.objectives.boxes import box_weights, from_bins, to_bins, to_centres
from mplug.tasks.part import Pictures, Terms, joined

VERDICT = "no better than blind"
WEIGHT_FLOOR = 0.1  # a coordinate that is right still counts this much


@dataclass(frozen=True)
class Grounding:
    """Cross-entropy of each coordinate among the coordinate tokens, a mean over coordinates.

    `weighted` counts a coordinate by how far off the likeliest box is, as the released model does,
    but never to nothing.
    """

    start_id: int
    box_ids: range
    box_loss: Literal["cross_entropy", "weighted"] = "cross_entropy"
    used: tuple[str, ...] = (
        "vision",
        "visual_projection",
        "text_encoder",
        "fusion",
        "decoder",
    )

    def terms(self, model: MPlug, pictures: Pictures, items: ItemBatch) -> Terms:
        """A term for each coordinate of each box."""
        boxes = to_centres(items.boxes)
        bins = to_bins(boxes, bins=len(self.box_ids))
        logits = self._logits(model, pictures, items, bins)
        plain = F.cross_entropy(logits.flatten(0, 1), bins.flatten(), reduction="none")
        if self.box_loss == "cross_entropy":
            return Terms(plain, plain.detach())
        likeliest = from_bins(logits.argmax(dim=-1), bins=len(self.box_ids), dtype=boxes.dtype)
        weights = box_weights(likeliest, boxes, floor=WEIGHT_FLOOR)
        return Terms(plain * weights.flatten(), plain.detach())

    def _logits(
        self, model: MPlug, pictures: Pictures, items: ItemBatch, bins: Tensor
    ) -> Float[Tensor, "items 4 bins"]:
        text = model.encode_text(items.text, items.text_mask)
        memory, memory_mask = model.joint_memory(text, joined(pictures), items.text_mask)
        start = torch.full_like(bins[:, :1], self.start_id)
        ids = torch.cat([start, bins[:, :-1] + self.box_ids[0]], dim=1)
        states = model.decoder.states(ids, None, memory, memory_mask)
        logits: Tensor = model.decoder.logits(states)
        return logits[..., self.box_ids[0] : self.box_ids[-1] + 1]
