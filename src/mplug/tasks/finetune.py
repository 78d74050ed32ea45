"""Fine-tuning on one task or on several at once: every picture is encoded once for all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mplug.config.schema import OptimConfig
from mplug.data.items import ItemBatch, TaskBatch
from mplug.models.mplug import MPlug
from mplug.objectives import contrastive
from mplug.tasks import answering, captioning, comparing, entailment, grounding
from mplug.tasks.groups import parameter_groups
from mplug.tasks.means import global_mean, over_processes, summarise
from mplug.tasks.model_file import model_file
from mplug.tasks.pair_objectives import PairObjectives
from mplug.tasks.pair_validation import blind_pairs, evaluate_pairs
from mplug.tasks.part import Part
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

VERDICTS = {
    "caption": captioning.VERDICT,
    "answer": answering.VERDICT,
    "ground": grounding.VERDICT,
    "compare": comparing.VERDICT,
    "entail": entailment.VERDICT,
}
Logs = dict[str, Tensor]


@dataclass(frozen=True)
class Weighted:
    """A part, and how much its loss counts."""

    part: Part
    weight: float


class Finetuning(nn.Module):
    """The model, the tasks it learns and, where retrieval is one of them, what pairs need."""

    def __init__(
        self,
        model: MPlug,
        *,
        parts: Mapping[str, Weighted],
        pairs: PairObjectives | None,
        pairs_weight: float,
        optim: OptimConfig,
        processes: Processes,
        validation: Callable[[], Sequence[TaskBatch]],
    ) -> None:
        super().__init__()
        self.model, self.pairs = model, pairs
        self.parts, self.pairs_weight = parts, pairs_weight
        self.optim, self.processes, self.validation = optim, processes, validation
        self._part = 0
        used = {name for each in parts.values() for name in each.part.used}
        for name, child in model.named_children():
            child.requires_grad_(name in used or pairs is not None)
        model.temperature.requires_grad_(pairs is not None)
        sight = (model.vision, model.visual_projection) if optim.vision_lr == 0 else ()
        self._frozen = (*sight, *((model.text_encoder,) if optim.text_lr == 0 else ()))
        for child in self._frozen:
            child.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode, except for an encoder that does not learn."""
        super().train(mode)
        for child in self._frozen:
            child.eval()
        return self

    def before_step(self, step: int) -> None:
        """Let the teacher of pairs follow the model."""
        self._part = 0
        if self.pairs is not None:
            self.pairs.follow(self.model, step)

    def after_step(self) -> None:
        """Keep the temperature in bounds."""
        if self.pairs is not None:
            contrastive.clamp_temperature(self.model.temperature)

    def forward(self, batch: TaskBatch, step: int) -> StepResult:
        """The weighted sum of the tasks' losses, each a mean over the global batch."""
        image = self.model.encode_image(batch.pixels)
        losses, logs = self._losses(batch, image)
        terms = [self.parts[name].weight * loss for name, loss in losses.items()]
        if self.pairs is not None and batch.pairs is not None:
            names = self.pairs.active(step)
            more, pair_logs = self.pairs.losses(
                self.model,
                batch.pairs,
                step,
                names=names,
                part=self._part,
                image=image[batch.pair_rows],
            )
            terms.append(self.pairs_weight * self.pairs.weighted(more))
            logs |= pair_logs
        self._part += 1
        return StepResult(torch.stack(terms).sum(), logs)

    def _losses(
        self, batch: TaskBatch, image: Float[Tensor, "pictures patches dim"]
    ) -> tuple[Logs, Logs]:
        losses: Logs = {}
        plain: Logs = {}
        for name, each in self.parts.items():
            items = batch.items.get(name)
            if items is None:  # another process may have some, and waits for our share of the mean
                none = image.new_zeros(0)
                losses[name], plain[name] = self._mean(none), self._mean(none)
                continue
            terms = each.part.terms(self.model, _pictures(image, items), items)
            losses[name] = self._mean(terms.loss)
            plain[name] = self._mean(terms.plain).detach()
        return losses, plain

    def _mean(self, terms: Float[Tensor, "terms"]) -> Float[Tensor, ""]:
        return global_mean(terms, processes=self.processes)

    @torch.no_grad()
    def blind(self, batch: TaskBatch, step: int) -> dict[str, float]:
        """The same questions about blank pictures."""
        figures = {
            f"{name}_blind": over_processes(value, processes=self.processes)
            for name, value in self._blind(batch).items()
        }
        if self.pairs is not None and batch.pairs is not None:
            figures |= blind_pairs(
                self.pairs, self.model, batch.pairs, step, part=0, processes=self.processes
            )
        return figures

    def _blind(self, batch: TaskBatch) -> Logs:
        blank = self.model.encode_image(torch.zeros_like(batch.pixels[:1]))
        return self._losses(batch, blank.expand(len(batch.pixels), -1, -1))[1]

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Each task's loss on validation items beside its blind value, and whether it has learned.

        Retrieval has the figures of pairs.
        """
        values: dict[str, list[tuple[float, float]]] = {name: [] for name in self.parts}
        batches = [batch.to(self.processes.device) for batch in self.validation()]
        for batch in batches:
            image = self.model.encode_image(batch.pixels)
            seen, unseen = self._losses(batch, image)[1], self._blind(batch)
            for name, pairs in values.items():
                both = (
                    over_processes(each[name], processes=self.processes) for each in (seen, unseen)
                )
                pairs.append((next(both), next(both)))
        figures = summarise(values, otherwise=VERDICTS)
        captioned = [batch.pairs for batch in batches if batch.pairs is not None]
        if self.pairs is not None and captioned:
            figures |= evaluate_pairs(self.pairs, self.model, captioned, processes=self.processes)
        return figures

    def files(self) -> dict[str, Callable[[Path], None]]:
        """What the model is."""
        return model_file(self.model)

    def parameter_groups(self) -> list[Group]:
        """What the tasks train."""
        return parameter_groups(self, model=self.model, optim=self.optim)


def _pictures(
    image: Float[Tensor, "pictures patches dim"], items: ItemBatch
) -> Float[Tensor, "items frames patches dim"]:
    return image[items.images]
