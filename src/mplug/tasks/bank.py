"""ITC's candidates: what the momentum teacher makes of every process's batch, and its queue."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.data.batch import Batch
from mplug.models.mplug import MPlug
from mplug.objectives.contrastive import positives
from mplug.objectives.momentum import FeatureQueue
from mplug.training.distributed import Processes


class Bank(NamedTuple):
    """The teacher's features of the global batch, then the queue's; and of this process's rows."""

    own_images: Float[Tensor, "batch embed"]
    own_texts: Float[Tensor, "batch embed"]
    images: Float[Tensor, "bank embed"]
    texts: Float[Tensor, "bank embed"]
    image_ids: Int[Tensor, "bank"]
    caption_ids: Int[Tensor, "bank"]
    positive: Bool[Tensor, "batch bank"]


@torch.no_grad()
def gather_bank(
    teacher: MPlug,
    queue: FeatureQueue | None,
    *,
    image: Float[Tensor, "batch patches dim"],
    ids: Int[Tensor, "batch words"],
    mask: Bool[Tensor, "batch words"],
    batch: Batch,
    processes: Processes,
) -> Bank:
    """The bank of a batch whose images the teacher has encoded; without a queue, of it alone."""
    own_images = teacher.image_embedding(image)
    own_texts = teacher.text_embedding(teacher.encode_text(ids, mask))
    images, texts = processes.gather(own_images), processes.gather(own_texts)
    image_ids, caption_ids = processes.gather(batch.image_ids), processes.gather(batch.caption_ids)
    if queue is not None:
        images = torch.cat([images, queue.images.to(images.dtype)])
        texts = torch.cat([texts, queue.texts.to(texts.dtype)])
        image_ids = torch.cat([image_ids, queue.image_ids])
        caption_ids = torch.cat([caption_ids, queue.caption_ids])
    positive = positives(
        batch.image_ids, batch.caption_ids, bank_image_ids=image_ids, bank_caption_ids=caption_ids
    )
    return Bank(own_images, own_texts, images, texts, image_ids, caption_ids, positive)
