"""Pretraining a model put together from parts: every step learns all of its objectives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mplug.config.schema import OptimConfig
from mplug.config.schema_zoo import PairConfig, ZooConfig
from mplug.config.schema_zoo_run import OBJECTIVES as NAMES
from mplug.config.schema_zoo_run import JointObjective, JointObjectives
from mplug.data.joint_batch import JointBatch
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.writer import WriterModel
from mplug.tasks.means import global_mean, over_processes, summarise
from mplug.tasks.uniter_objectives import Terms
from mplug.tasks.zoo_draws import ZooDraws
from mplug.tasks.zoo_hiding import Vocabulary
from mplug.tasks.zoo_objectives import OBJECTIVES
from mplug.tasks.zoo_step import Step
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

VERDICTS: dict[str, str] = {name: "no better than blind" for name in NAMES}
VALIDATION = 2**40  # a step that no training reaches, whose draws are validation's


def make_model(config: ZooConfig) -> PairModel | WriterModel:
    """The model of a configuration, with new weights from torch's current seed."""
    return PairModel(config) if isinstance(config, PairConfig) else WriterModel(config)


class ZooPretraining(nn.Module):
    """The model, and the objectives that it learns."""

    def __init__(
        self,
        model: PairModel | WriterModel,
        *,
        objectives: JointObjectives,
        optim: OptimConfig,
        vocabulary: Vocabulary,
        most: int,
        seed: int,
        processes: Processes,
        validation: Callable[[], Sequence[JointBatch]],
    ) -> None:
        """`most` bounds the words of any text, and the regions or places of any picture."""
        super().__init__()
        self.model = model
        self.objectives, self.optim, self.vocabulary = objectives, optim, vocabulary
        self.most, self.seed, self.processes = most, seed, processes
        self.validation = validation
        self._part = 0

    def before_step(self, step: int) -> None:
        """Count this step's parts anew."""
        self._part = 0

    def after_step(self) -> None:
        """Nothing is to be kept in bounds."""

    def forward(self, batch: JointBatch, step: int) -> StepResult:
        """The weighted sum of the objectives, and what to log."""
        total: Tensor | float = 0.0
        logs: dict[str, Tensor] = {}
        for name, weight in self.objectives.chosen.items():
            found = self.terms(name, batch, step, part=self._part)
            loss = global_mean(found.loss, processes=self.processes)
            logs |= {name: loss.detach(), **dict(found.more)}
            total = total + weight * (loss if found.also is None else loss + found.also)
        self._part += 1
        assert isinstance(total, Tensor)
        return StepResult(total, logs)

    def terms(self, name: JointObjective, batch: JointBatch, step: int, *, part: int) -> Terms:
        """The losses of one objective."""
        draws = ZooDraws(
            self.seed, step, part, self.most, self.processes, batch.captions.ids.device
        )
        return OBJECTIVES[name](Step(self.model, batch, self.objectives, self.vocabulary, draws))

    @torch.no_grad()
    def blind(self, batch: JointBatch, step: int) -> dict[str, float]:
        """What each objective costs on this batch, if one sees nothing."""
        return {
            f"{name}_blind": self._losses(name, batch, step, part=0)[1]
            for name in self.objectives.chosen
        }

    def _losses(
        self, name: JointObjective, batch: JointBatch, step: int, *, part: int
    ) -> tuple[float, float]:
        """The global loss of one objective, and its blind value."""
        found = self.terms(name, batch, step, part=part)
        assert found.blind is not None
        loss = global_mean(found.loss, processes=self.processes)
        both = [over_processes(value, processes=self.processes) for value in (loss, found.blind)]
        return both[0], both[1]

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Every objective on validation batches, beside its blind value."""
        pairs: dict[str, list[tuple[float, float]]] = {}
        for part, batch in enumerate(self.validation()):
            moved = batch.to(self.processes.device)
            for name in self.objectives.chosen:
                value = self._losses(name, moved, VALIDATION, part=part)
                pairs.setdefault(name, []).append(value)
        return summarise(pairs, otherwise=VERDICTS)

    def parameter_groups(self) -> list[Group]:
        """Everything at one rate; embeddings and positions do not decay."""
        spared = frozenset(
            name
            for name, parameter in self.named_parameters()
            if parameter.ndim < 2 or "words." in name or "positions" in name
        )
        return [Group("all", list(self.named_parameters()), self.optim.lr, spared)]

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        """Nothing beside the state: the run's config says what the model is."""
        return {}
