"""What UNITER is fine-tuned on: answers, statements, hypotheses, and regions that phrases mean."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mplug.data.items import ItemBatch
from mplug.data.regions.batch import PaddedRegions
from mplug.models.uniter import Joint, Uniter
from mplug.tasks.uniter_objectives import seen
from mplug.tasks.uniter_pretrain import blank


@runtime_checkable
class RegionPart(Protocol):
    """One task: its head, the logits of its items, and what they cost."""

    @property
    def head(self) -> str:
        """The child of the model that this task alone trains."""
        ...

    def logits(self, model: Uniter, regions: PaddedRegions, items: ItemBatch) -> Tensor:
        """What the model says of every item [items, choices]."""
        ...

    def losses(self, logits: Tensor, items: ItemBatch) -> Float[Tensor, "items"]:
        """What that costs, item by item."""
        ...

    def unseen(self, regions: PaddedRegions) -> PaddedRegions:
        """The pictures of a model that sees nothing."""
        ...


def read(model: Uniter, regions: PaddedRegions, items: ItemBatch) -> Joint:
    """Each item's text and the regions of its first picture, having read each other."""
    shown = regions.rows(items.images[:, 0])
    return model.encode(items.text, items.text_mask, seen(shown))


@dataclass(frozen=True)
class ChoosingAnswers:
    """Binary cross-entropy of every answer on the list, summed: several may be right."""

    head: str = "answer_head"

    def logits(
        self, model: Uniter, regions: PaddedRegions, items: ItemBatch
    ) -> Float[Tensor, "items num_answers"]:
        """Of every answer."""
        return model.answer(read(model, regions, items).text)

    def losses(
        self, logits: Float[Tensor, "items num_answers"], items: ItemBatch
    ) -> Float[Tensor, "items"]:
        """Against the weights of the right answers."""
        targets = answer_targets(items, answers=logits.shape[1]).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)

    def unseen(self, regions: PaddedRegions) -> PaddedRegions:
        """Blank pictures."""
        return blank(regions)


@dataclass(frozen=True)
class Entailing:
    """Cross-entropy of contradiction, neutral and entailment."""

    head: str = "entail_head"

    def logits(
        self, model: Uniter, regions: PaddedRegions, items: ItemBatch
    ) -> Float[Tensor, "items 3"]:
        """Of the three."""
        return model.entail(read(model, regions, items).text)

    def losses(self, logits: Float[Tensor, "items 3"], items: ItemBatch) -> Float[Tensor, "items"]:
        """Against the label."""
        return F.cross_entropy(logits, items.labels, reduction="none")

    def unseen(self, regions: PaddedRegions) -> PaddedRegions:
        """Blank pictures."""
        return blank(regions)


@dataclass(frozen=True)
class ComparingRegions:
    """Cross-entropy of false and true, of a statement about two pictures."""

    head: str = "compare_head"

    def logits(
        self, model: Uniter, regions: PaddedRegions, items: ItemBatch
    ) -> Float[Tensor, "items 2"]:
        """Of false and true."""
        first, second = (seen(regions.rows(items.images[:, place])) for place in (0, 1))
        return model.compare(items.text, items.text_mask, first, second)

    def losses(self, logits: Float[Tensor, "items 2"], items: ItemBatch) -> Float[Tensor, "items"]:
        """Against the label."""
        return F.cross_entropy(logits, items.labels, reduction="none")

    def unseen(self, regions: PaddedRegions) -> PaddedRegions:
        """Blank pictures."""
        return blank(regions)


@dataclass(frozen=True)
class Referring:
    """Cross-entropy over the regions: which one does the phrase mean?"""

    head: str = "reference_head"

    def logits(
        self, model: Uniter, regions: PaddedRegions, items: ItemBatch
    ) -> Float[Tensor, "items regions"]:
        """Of every region; minus infinity where there is none."""
        shown = regions.rows(items.images[:, 0])
        joint = model.encode(items.text, items.text_mask, seen(shown))
        return model.refer(joint.regions, shown.mask)

    def losses(
        self, logits: Float[Tensor, "items regions"], items: ItemBatch
    ) -> Float[Tensor, "items"]:
        """Against the region that is meant."""
        return F.cross_entropy(logits, items.labels, reduction="none")

    def unseen(self, regions: PaddedRegions) -> PaddedRegions:
        """As many regions, none of which shows anything or lies anywhere."""
        return replace(
            regions,
            features=torch.zeros_like(regions.features),
            boxes=torch.zeros_like(regions.boxes),
        )


def answer_targets(items: ItemBatch, *, answers: int) -> Float[Tensor, "items num_answers"]:
    """How right each answer is to each question."""
    targets = torch.zeros(len(items), answers, device=items.target_weight.device)
    places = (items.target_item, items.target_ids[:, 0])
    return targets.index_put(places, items.target_weight, accumulate=True)


PARTS: dict[str, Callable[[], RegionPart]] = {
    "answer": ChoosingAnswers,
    "compare": ComparingRegions,
    "ground": Referring,
    "entail": Entailing,
}
