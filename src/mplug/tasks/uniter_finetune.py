"""Fine-tuning UNITER on one task or on several at once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mplug.config.schema_uniter_run import UniterOptim, UniterRetrieval, UniterTasks
from mplug.data.regions.batch import RegionBatch, RegionTaskBatch
from mplug.models.uniter import Uniter
from mplug.objectives import ranking
from mplug.tasks.means import global_mean, over_processes, summarise
from mplug.tasks.uniter_draws import draw_regions
from mplug.tasks.uniter_groups import HEADS, PRETRAINING, uniter_groups
from mplug.tasks.uniter_parts import PARTS
from mplug.tasks.uniter_pretrain import VALIDATION
from mplug.tasks.uniter_retrieval import ranking_losses
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

VERDICTS = {name: "no better than blind" for name in ("answer", "compare", "ground", "entail")}
VERDICTS["retrieve"] = "at chance"


class UniterFinetuning(nn.Module):
    """The model, and the tasks it learns."""

    def __init__(
        self,
        model: Uniter,
        *,
        tasks: UniterTasks,
        optim: UniterOptim,
        seed: int,
        processes: Processes,
        validation: Callable[[], Sequence[RegionTaskBatch]],
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = {name: task.weight for name, task in tasks.chosen.items()}
        self.parts = {name: PARTS[name]() for name in self.weights if name in PARTS}
        self.retrieval: UniterRetrieval | None = tasks.retrieve
        self.optim, self.seed = optim, seed
        self.processes, self.validation = processes, validation
        self._part = 0
        self._freeze_unused()

    def _freeze_unused(self) -> None:
        used = {part.head for part in self.parts.values()}
        used |= {"rank_head"} if self.retrieval else set()
        for name in (*HEADS, *PRETRAINING):
            child = getattr(self.model, name)
            if isinstance(child, nn.Module):
                child.requires_grad_(name in used)
        if self.model.second_segment is not None:
            self.model.second_segment.requires_grad_("compare" in self.parts)
        self.model.region_embeddings.hidden_feature.requires_grad_(False)

    def before_step(self, step: int) -> None:
        """Count this step's parts anew."""
        self._part = 0

    def after_step(self) -> None:
        """Nothing is to be kept in bounds."""

    def forward(self, batch: RegionTaskBatch, step: int) -> StepResult:
        """The weighted sum of the tasks' losses, each a mean over the global batch."""
        losses = self._losses(batch, step, part=self._part)
        self._part += 1
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        return StepResult(total, {name: loss.detach() for name, loss in losses.items()})

    def _losses(self, batch: RegionTaskBatch, step: int, *, part: int) -> dict[str, Tensor]:
        losses = self._asked(batch, blind=False)
        if self.retrieval is not None and batch.pairs is not None:
            losses["retrieve"] = self._mean(self._ranked(batch.pairs, step, part=part))
        return losses

    def _asked(self, batch: RegionTaskBatch, *, blind: bool) -> dict[str, Tensor]:
        """Losses of the tasks that ask about pictures; a model that is blind sees none."""
        losses: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            items = batch.items.get(name)
            if items is None:  # another process may have some, and waits for our share of the mean
                losses[name] = self._mean(batch.regions.features.new_zeros(0))
                continue
            regions = part.unseen(batch.regions) if blind else batch.regions
            terms = part.losses(part.logits(self.model, regions, items), items)
            losses[name] = self._mean(terms)
        return losses

    def _ranked(self, pairs: RegionBatch, step: int, *, part: int) -> Float[Tensor, "losses"]:
        assert self.retrieval is not None
        count = len(pairs.ids)
        draws = draw_regions(
            seed=self.seed,
            step=step,
            part=part,
            shape=(count, 0, count),
            most=(0, count),
            processes=self.processes,
            device=pairs.ids.device,
        )
        losses = ranking_losses(self.model, pairs, settings=self.retrieval, uniforms=draws.regions)
        return losses.reshape(-1)

    def _mean(self, terms: Float[Tensor, "terms"]) -> Float[Tensor, ""]:
        return global_mean(terms, processes=self.processes)

    @torch.no_grad()
    def blind(self, batch: RegionTaskBatch, step: int) -> dict[str, float]:
        """The same questions about blank pictures."""
        figures = {
            f"{name}_blind": over_processes(value, processes=self.processes)
            for name, value in self._asked(batch, blind=True).items()
        }
        if self.retrieval is not None:
            figures["retrieve_blind"] = ranking.blind_loss(self.retrieval.margin)
        return figures

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Each task's loss on validation items beside its blind value, and a verdict."""
        values: dict[str, list[tuple[float, float]]] = {name: [] for name in self.weights}
        for part, batch in enumerate(self.validation()):
            moved = batch.to(self.processes.device)
            losses, blind = self._losses(moved, VALIDATION, part=part), self.blind(moved, 0)
            for name, loss in losses.items():
                value = over_processes(loss, processes=self.processes)
                values[name].append((value, blind[f"{name}_blind"]))
        return summarise(values, otherwise=VERDICTS)

    def parameter_groups(self) -> list[Group]:
        """What the tasks train."""
        return uniter_groups(self, model=self.model, optim=self.optim)

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        """Nothing beside the state: the run's config says what the model is."""
        return {}
