"""Retrieval among validation pairs, where the same picture or caption may come more than once."""

from jaxtyping import Float, Int
from torch import Tensor

from mplug.metrics.retrieval import grades, hits
from mplug.objectives.contrastive import positives


def recall_at_1(
    images: Float[Tensor, "pairs embed"],
    texts: Float[Tensor, "pairs embed"],
    image_ids: Int[Tensor, "pairs"],
    caption_ids: Int[Tensor, "pairs"],
) -> dict[str, float]:
    """Recall at 1 both ways; the same picture again, or the same caption, is as right."""
    right = positives(
        image_ids, caption_ids, bank_image_ids=image_ids, bank_caption_ids=caption_ids
    )
    shown, said = (each.float().cpu().numpy() for each in (images, texts))
    partners = right.cpu().numpy()
    return {
        "recall_at_1_image_to_text": float(hits(grades(shown @ said.T), partners, k=1).mean()),
        "recall_at_1_text_to_image": float(hits(grades(said @ shown.T), partners, k=1).mean()),
    }
