"""Pretraining on image-caption pairs: the model and the objectives of its pairs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from mplug.config.schema import ObjectivesConfig, OptimConfig
from mplug.data.batch import Batch
from mplug.models.mplug import MPlug
from mplug.objectives import contrastive
from mplug.tasks.groups import parameter_groups
from mplug.tasks.model_file import model_file
from mplug.tasks.pair_objectives import PairObjectives
from mplug.tasks.pair_validation import VERDICTS, blind_pairs, evaluate_pairs
from mplug.tasks.words import Words
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

__all__ = ["VERDICTS", "Pretraining"]


class Pretraining(nn.Module):
    """The model, and what learning from pairs takes."""

    def __init__(
        self,
        model: MPlug,
        *,
        objectives: ObjectivesConfig,
        optim: OptimConfig,
        words: Words,
        longest: int,
        seed: int,
        processes: Processes,
        validation: Callable[[], Sequence[Batch]],
    ) -> None:
        super().__init__()
        self.model = model
        self.pairs = PairObjectives(
            model,
            objectives=objectives,
            words=words,
            longest=longest,
            seed=seed,
            processes=processes,
        )
        self.optim, self.processes, self.validation = optim, processes, validation
        self._part = 0

    def before_step(self, step: int) -> None:
        """Let the teacher follow the student."""
        self._part = 0
        self.pairs.follow(self.model, step)

    def after_step(self) -> None:
        """Keep the temperature in bounds."""
        contrastive.clamp_temperature(self.model.temperature)

    def forward(self, batch: Batch, step: int) -> StepResult:
        """The weighted sum of the objectives that are on at this step, and what to log."""
        names = self.pairs.active(step)
        losses, logs = self.pairs.losses(self.model, batch, step, names=names, part=self._part)
        self._part += 1
        return StepResult(self.pairs.weighted(losses), logs)

    @torch.no_grad()
    def blind(self, batch: Batch, step: int) -> dict[str, float]:
        """The word objectives, asked for the same words, of the same batch with blank images."""
        return blind_pairs(self.pairs, self.model, batch, step, part=0, processes=self.processes)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Losses on validation batches beside their blind values, verdicts, and recall."""
        return evaluate_pairs(self.pairs, self.model, self.validation(), processes=self.processes)

    def parameter_groups(self) -> list[Group]:
        """Everything but the teacher."""
        return parameter_groups(self, model=self.model, optim=self.optim)

    def files(self) -> dict[str, Callable[[Path], None]]:
        """What the model is."""
        return model_file(self.model)
