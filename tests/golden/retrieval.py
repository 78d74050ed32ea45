"""One training step of retrieval: ITC with momentum and queues, then ITM on hard negatives."""

import re
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from mplug.models.mplug import MPlug
from mplug.objectives import contrastive, matching
from mplug.objectives.momentum import NO_ID, FeatureQueue, averaged_copy, update_average
from tests.golden.reference import Entries, Reference

ALPHA = 0.4
SEED_OFFSET = 5  # the negatives were drawn with the set's seed plus this
NOT_AVERAGED = ("fusion", "decoder")


def entries(reference: Reference) -> Entries:
    """Section 6.4."""
    made: Entries = {}
    for variant, share in (("distill", ALPHA), ("plain", 0.0)):
        step = Step(reference, share)
        for name in reference.expected:
            if found := re.match(rf"retrieval\.{variant}\.(\w+)$", name):
                made[name] = partial(step.value, found[1], full_name=name)
    made["retrieval.image_feat"] = lambda: step.image_features
    made["retrieval.text_feat"] = lambda: step.text_features
    return made


@dataclass(frozen=True)
class Step:
    """The step with `share` of the targets given to the teacher."""

    reference: Reference
    share: float

    def value(self, name: str, *, full_name: str) -> Any:
        """One expected value."""
        if name == "grad_norms":
            loss = self.contrastive_loss + self.matched_loss
            return self.reference.gradient_norms(self.model, loss, expected=full_name)
        made: Entries = {
            "sim_i2t": lambda: self.image_to_text,
            "sim_t2i": lambda: self.text_to_image,
            "loss_ita": lambda: self.contrastive_loss.item(),
            "loss_itm": lambda: self.matched_loss.item(),
            "itm_logits": lambda: self.matched,
            "negative_image_for_text": lambda: self.negatives[0].tolist(),
            "negative_text_for_image": lambda: self.negatives[1].tolist(),
            "image_queue_after": lambda: self.queue_after.images.T,
            "text_queue_after": lambda: self.queue_after.texts.T,
            "idx_queue_after": lambda: [self.queue_after.image_ids.tolist()],
            "queue_ptr_after": lambda: [int(self.queue_after.pointer)],
            "vision_proj_m_weight_after": lambda: self.teacher.image_projection.weight,
        }
        return made[name]()

    @cached_property
    def model(self) -> MPlug:
        """The student, whose gradients are looked at."""
        return self.reference.imported().model

    @cached_property
    def teacher(self) -> MPlug:
        """The teacher after its update; its fusion is neither updated nor used."""
        imported = self.reference.imported()
        assert imported.teacher is not None
        teacher = averaged_copy(imported.teacher, without=NOT_AVERAGED)
        momentum = self.reference.config["momentum_used"]
        update_average(teacher, imported.model, momentum=momentum)
        return teacher

    @cached_property
    def images(self) -> Tensor:
        """The student's image states."""
        return self.model.encode_image(self.reference.inputs["image"])

    @cached_property
    def texts(self) -> Tensor:
        """The student's text states."""
        return self.model.encode_text(*self.words)

    @property
    def words(self) -> tuple[Tensor, Tensor]:
        """Ids and mask of the captions."""
        return self.reference.inputs["text_ids"], self.reference.inputs["text_mask"]

    @cached_property
    def image_features(self) -> Tensor:
        """Unit vectors of the images."""
        return self.model.image_embedding(self.images)

    @cached_property
    def text_features(self) -> Tensor:
        """Unit vectors of the texts."""
        return self.model.text_embedding(self.texts)

    @cached_property
    def teacher_features(self) -> tuple[Tensor, Tensor]:
        """The teacher's unit vectors of images and texts."""
        teacher = self.teacher
        image = teacher.encode_image(self.reference.inputs["image"])
        return teacher.image_embedding(image), teacher.text_embedding(
            teacher.encode_text(*self.words)
        )

    def queue(self) -> FeatureQueue:
        """The queue of the file."""
        held = self.reference.original.queues
        assert held is not None
        size, embed_dim = held.images.shape
        queue = FeatureQueue(size, embed_dim=embed_dim, generator=torch.Generator())
        queue.images.copy_(held.images)
        queue.texts.copy_(held.texts)
        queue.image_ids.copy_(held.image_ids)
        queue.pointer.fill_(held.pointer)
        return queue.to(self.reference.precision.dtype)

    @cached_property
    def queue_after(self) -> FeatureQueue:
        """The queue with the batch in it."""
        queue, (images, texts) = self.queue(), self.teacher_features
        ids = self.reference.inputs["idx"]
        queue.push(images, texts, image_ids=ids, caption_ids=torch.arange(len(ids)))
        return queue

    @cached_property
    def positive(self) -> Tensor:
        """Candidates of the same image; no two captions count as the same."""
        ids, queue = self.reference.inputs["idx"], self.queue()
        captions = torch.arange(len(ids))
        return contrastive.positives(
            ids,
            captions,
            bank_image_ids=torch.cat([ids, queue.image_ids]),
            bank_caption_ids=torch.cat([captions, torch.full_like(queue.image_ids, NO_ID)]),
        )

    @cached_property
    def banks(self) -> tuple[Tensor, Tensor]:
        """The candidates: the teacher's images and texts of the batch, then of the queue."""
        queue, (images, texts) = self.queue(), self.teacher_features
        return torch.cat([images, queue.images]), torch.cat([texts, queue.texts])

    @cached_property
    def image_to_text(self) -> Tensor:
        """What the student finds similar to its images."""
        return self.compare(self.image_features, self.banks[1])

    @cached_property
    def text_to_image(self) -> Tensor:
        """What the student finds similar to its texts."""
        return self.compare(self.text_features, self.banks[0])

    def compare(self, features: Tensor, bank: Tensor) -> Tensor:
        """Similarities at the student's temperature."""
        return contrastive.similarity(features, bank, temperature=self.model.temperature)

    @cached_property
    def contrastive_loss(self) -> Tensor:
        """ITC against the teacher's features and the queue before this batch."""
        (images, texts), (image_bank, text_bank) = self.teacher_features, self.banks
        return contrastive.contrastive(
            self.image_to_text,
            self.text_to_image,
            text_targets=self._targets(images, text_bank),
            image_targets=self._targets(texts, image_bank),
        )

    def _targets(self, features: Tensor, bank: Tensor) -> Tensor:
        hard = contrastive.equal_shares(self.positive)
        if self.share == 0.0:
            return self.reference.cast(hard)
        taught = self.compare(features, bank).detach()
        return contrastive.soften(hard, teacher_similarity=taught, share=self.share)

    @cached_property
    def negatives(self) -> tuple[Tensor, Tensor]:
        """Hard images for the texts, then hard texts for the images.

        Drawn as the reference drew them, and then again by the product from the middle of that
        candidate's share of the distribution: both must agree.
        """
        seed = self.reference.config["seed"] + SEED_OFFSET
        generator = torch.Generator().manual_seed(seed)
        rows = len(self.words[0])
        forbidden = self.positive[:, :rows]

        def draw(similarity: Tensor) -> Tensor:
            scores = similarity[:, :rows].detach()
            weights = scores.softmax(dim=1).masked_fill(forbidden, 0.0)
            drawn = torch.cat([torch.multinomial(row, 1, generator=generator) for row in weights])
            reached = (weights / weights.sum(dim=1, keepdim=True)).cumsum(dim=1)
            before = torch.nn.functional.pad(reached, (1, 0))
            middle = (reached + before[:, :-1]).gather(1, drawn[:, None])[:, 0] / 2
            return matching.hard_negatives(scores, forbidden=forbidden, uniforms=middle).indices

        return draw(self.text_to_image), draw(self.image_to_text)

    @cached_property
    def matched(self) -> Tensor:
        """ITM logits: the pairs, each text with a hard image, each image with a hard text."""
        images, texts, mask = self.images, self.texts, self.words[1]
        wrong_image, wrong_text = self.negatives
        own = torch.arange(len(mask))
        text_rows = torch.cat([own, own, wrong_text])
        image_rows = torch.cat([own, wrong_image, own])
        fused = self.model.fuse_text(texts[text_rows], images[image_rows], mask[text_rows])
        return self.model.match(fused)

    @cached_property
    def matched_loss(self) -> Tensor:
        """ITM's mean cross-entropy."""
        every_row = torch.ones(len(self.words[0]), dtype=torch.bool)
        return matching.matching(self.matched, matching.labels(every_row, every_row)).mean()
