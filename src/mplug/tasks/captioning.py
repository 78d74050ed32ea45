"""Captioning: a caption written from the image alone, as mPLUG writes it (spec of the decoder)."""

from dataclasses import dataclass

from mplug.data.items import ItemBatch
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.prefix_lm import next_word_losses
from mplug.tasks.part import Pictures, Terms, joined

VERDICT = "no better than blind"


@dataclass(frozen=True)
class Captioning:
    """Teacher-forced cross-entropy of every word, a mean over words."""

    label_smoothing: float = 0.0
    used: tuple[str, ...] = ("vision", "visual_projection", "decoder")

    def terms(self, model: MPlug, pictures: Pictures, items: ItemBatch) -> Terms:
        """A term for each word of each caption."""
        ids, mask, targets = shifted(items.target_ids, items.target_mask)
        wanted = targets >= 0
        memory = joined(pictures)[items.target_item]
        logits = model.decoder.logits(model.decoder.states(ids, mask, memory)[wanted])
        words = targets[wanted]
        loss = next_word_losses(logits, words, label_smoothing=self.label_smoothing)
        if self.label_smoothing == 0:
            return Terms(loss, loss.detach())
        return Terms(loss, next_word_losses(logits.detach(), words))
