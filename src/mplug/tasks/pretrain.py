"""Pretraining on image-caption pairs: the model, its teacher, and what validation says of both."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mplug.config.schema import ObjectivesConfig, OptimConfig
from mplug.data.batch import Batch
from mplug.models.mplug import MPlug
from mplug.objectives import contrastive
from mplug.tasks.groups import parameter_groups
from mplug.tasks.means import over_processes, summarise
from mplug.tasks.pair_objectives import PairObjectives
from mplug.tasks.recall import recall_at_1
from mplug.tasks.words import Words
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

VERDICTS = {
    "itc": "at chance",
    "itm": "at chance",
    "mlm": "no better than blind",
    "prefix_lm": "no better than blind",
}
VALIDATION = 2**40  # a step that no training reaches, whose draws are validation's


class Pretraining(nn.Module):
    """The model and the objectives of its pairs."""

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
    def blind(self, batch: Batch, step: int, *, part: int = 0) -> dict[str, float]:
        """The word objectives, asked for the same words, of the same batch with blank images."""
        blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
        names = [name for name in ("mlm", "prefix_lm") if self.pairs.term(name).weight > 0]
        _, logs = self.pairs.losses(self.model, blank, step, names=names, part=part, remember=False)
        return {
            f"{name}_blind": over_processes(logs[name], processes=self.processes) for name in names
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Losses on validation batches beside their blind values, verdicts, and recall."""
        names = [name for name in VERDICTS if self.pairs.term(name).weight > 0]
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        embeddings = []
        for part, batch in enumerate(self.validation()):
            moved = batch.to(self.processes.device)
            _, logs = self.pairs.losses(
                self.model, moved, VALIDATION, names=names, part=part, remember=False
            )
            blind = self.blind(moved, VALIDATION, part=part)
            for name in names:
                value = over_processes(logs[name], processes=self.processes)
                pairs[name].append(
                    (value, blind.get(f"{name}_blind", float(logs.get(f"{name}_blind", 0))))
                )
            embeddings.append(self._embed(moved))
        recall = recall_at_1(*(torch.cat(parts) for parts in zip(*embeddings, strict=True)))
        figures = summarise(pairs, otherwise=VERDICTS)
        return figures | {f"validation_{name}": value for name, value in recall.items()}

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors of everyone's images and texts, and which images and captions they are."""
        ids, mask = self.pairs.words.without_end(batch.ids, batch.mask)
        image = self.model.image_embedding(self.model.encode_image(batch.pixels))
        text = self.model.text_embedding(self.model.encode_text(ids, mask))
        gather = self.processes.gather
        return gather(image), gather(text), gather(batch.image_ids), gather(batch.caption_ids)

    def parameter_groups(self) -> list[Group]:
        """Everything but the teacher."""
        return parameter_groups(self, model=self.model, optim=self.optim)

    def files(self) -> dict[str, Callable[[Path], None]]:
        """Nothing beside the state."""
        return {}
