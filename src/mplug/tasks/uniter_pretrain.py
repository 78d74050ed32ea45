"""UNITER's pretraining: every step draws one objective, and hides either words or regions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from mplug.config.schema_uniter_run import RegionObjective, UniterObjectives, UniterOptim
from mplug.data.regions.batch import PaddedRegions, RegionBatch
from mplug.models.uniter import Uniter
from mplug.tasks.means import global_mean, over_processes, summarise
from mplug.tasks.uniter_draws import draw_objective, draw_regions
from mplug.tasks.uniter_groups import uniter_groups
from mplug.tasks.uniter_objectives import Terms, blind_regions, terms
from mplug.tasks.words import Words
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

VERDICTS = {
    "itm": "at chance",
    "mlm": "no better than blind",
    "mrfr": "no better than the mean feature",
    "mrc": "no better than how common each class is",
    "mrc_kl": "no better than the mean label",
}
REGION_OBJECTIVES = ("mrfr", "mrc", "mrc_kl")
VALIDATION = 2**40  # a step that no training reaches, whose draws are validation's


class UniterPretraining(nn.Module):
    """The model, and the mix of objectives that it learns."""

    def __init__(
        self,
        model: Uniter,
        *,
        objectives: UniterObjectives,
        optim: UniterOptim,
        words: Words,
        most: tuple[int, int],
        seed: int,
        processes: Processes,
        validation: Callable[[], Sequence[RegionBatch]],
    ) -> None:
        """`most` bounds the words of any text and the regions of any picture."""
        super().__init__()
        self.model = model
        self.objectives, self.optim, self.words, self.most = objectives, optim, words, most
        self.seed, self.processes, self.validation = seed, processes, validation
        self._part = 0

    def before_step(self, step: int) -> None:
        """Count this step's parts anew."""
        self._part = 0

    def after_step(self) -> None:
        """Nothing is to be kept in bounds."""

    def objective(self, step: int) -> RegionObjective:
        """The one objective that a step learns."""
        return draw_objective(self.objectives.mix.shares, seed=self.seed, step=step)

    def forward(self, batch: RegionBatch, step: int) -> StepResult:
        """The loss of this step's objective, and what to log."""
        name = self.objective(step)
        found = self._terms(name, batch, step, part=self._part)
        self._part += 1
        loss = global_mean(found.loss, processes=self.processes)
        logs = {name: loss.detach(), **dict(found.more)}
        return StepResult(loss if found.also is None else loss + found.also, logs)

    def _terms(self, name: RegionObjective, batch: RegionBatch, step: int, *, part: int) -> Terms:
        draws = draw_regions(
            seed=self.seed,
            step=step,
            part=part,
            shape=(*batch.ids.shape, batch.regions.mask.shape[1]),
            most=self.most,
            processes=self.processes,
            device=batch.ids.device,
        )
        return terms(
            name, self.model, batch, settings=self.objectives, words=self.words, draws=draws
        )

    @torch.no_grad()
    def blind(self, batch: RegionBatch, step: int) -> dict[str, float]:
        """What each objective of the mix costs on this batch, if one sees nothing."""
        return {
            f"{name}_blind": self._losses(name, batch, step, part=0)[1]
            for name in self.objectives.mix.shares
        }

    def _losses(
        self, name: RegionObjective, batch: RegionBatch, step: int, *, part: int
    ) -> tuple[float, float]:
        """The global loss of one objective, and its blind value."""
        found = self._terms(name, batch, step, part=part)
        blind = found.blind
        if blind is None:
            unseen = replace(batch, regions=blank(batch.regions))
            hidden = self._terms(name, unseen, step, part=part)
            blind = global_mean(hidden.loss, processes=self.processes)
        loss = global_mean(found.loss, processes=self.processes)
        both = [over_processes(value, processes=self.processes) for value in (loss, blind)]
        return both[0], both[1]

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Every objective of the mix on validation batches, beside its blind value."""
        batches = [batch.to(self.processes.device) for batch in self.validation()]
        pairs: dict[str, list[tuple[float, float]]] = {}
        for name in self.objectives.mix.shares:
            pairs[name] = [
                self._losses(name, batch, VALIDATION, part=part)
                for part, batch in enumerate(batches)
            ]
            if name in REGION_OBJECTIVES:
                blind = over_processes(
                    blind_regions(name, *(batch.regions for batch in batches)),
                    processes=self.processes,
                )
                pairs[name] = [(value, blind) for value, _ in pairs[name]]
        return summarise(pairs, otherwise=VERDICTS)

    def parameter_groups(self) -> list[Group]:
        """Everything."""
        return uniter_groups(self, model=self.model, optim=self.optim)

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        """Nothing beside the state: the run's config says what the model is."""
        return {}


def blank(regions: PaddedRegions) -> PaddedRegions:
    """A single region without features or place: what is left of a picture that is not seen."""
    first = torch.zeros_like(regions.mask)
    first[:, 0] = True
    return replace(
        regions,
        features=torch.zeros_like(regions.features),
        boxes=torch.zeros_like(regions.boxes),
        mask=first,
    )
