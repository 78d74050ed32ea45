"""Captions: the decoder reads the unfused image and writes (mPLUG paper, section 3.4).

Text encoder and fusion take no part; with a frozen image encoder the model's search stays as it
was, so that one set of weights does both.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mplug.config.schema import OptimConfig
from mplug.data.batch import Batch
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.prefix_lm import next_word_losses
from mplug.tasks.groups import parameter_groups
from mplug.tasks.means import global_mean, over_processes, summarise
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

USED = ("vision", "visual_projection", "decoder")
VERDICTS = {"caption": "no better than blind"}


class Captioning(nn.Module):
    """Teacher-forced captions; only what writes them is trained."""

    def __init__(
        self,
        model: MPlug,
        *,
        optim: OptimConfig,
        label_smoothing: float,
        processes: Processes,
        validation: Callable[[], Sequence[Batch]],
    ) -> None:
        super().__init__()
        self.model = model
        self.optim, self.label_smoothing = optim, label_smoothing
        self.processes, self.validation = processes, validation
        for name, part in model.named_children():
            part.requires_grad_(name in USED)
        model.temperature.requires_grad_(False)
        if optim.vision_lr == 0:
            model.vision.requires_grad_(False)
            model.visual_projection.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode, except for an image encoder that does not learn."""
        super().train(mode)
        if self.optim.vision_lr == 0:
            self.model.vision.eval()
            self.model.visual_projection.eval()
        return self

    def before_step(self, step: int) -> None:
        """Nothing changes between steps but the parameters."""

    def after_step(self) -> None:
        """Nothing needs clamping."""

    def forward(self, batch: Batch, step: int) -> StepResult:
        """Cross-entropy of the next word, a mean over the words of the global batch."""
        loss, plain = self._losses(batch)
        return StepResult(loss, {"caption": plain})

    def _losses(self, batch: Batch) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        ids, mask, targets = shifted(batch.ids, batch.mask)
        wanted = targets >= 0
        memory = self.model.encode_image(batch.pixels)
        states = self.model.decoder.states(ids, mask, memory)[wanted]
        logits, words = self.model.decoder.logits(states), targets[wanted]
        loss = self._mean(next_word_losses(logits, words, label_smoothing=self.label_smoothing))
        if self.label_smoothing == 0:
            return loss, loss.detach()
        return loss, self._mean(next_word_losses(logits.detach(), words))

    def _mean(self, terms: Float[Tensor, "words"]) -> Float[Tensor, ""]:
        return global_mean(terms, processes=self.processes)

    @torch.no_grad()
    def blind(self, batch: Batch, step: int) -> dict[str, float]:
        """The same captions with blank images."""
        blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
        return {"caption_blind": over_processes(self._losses(blank)[1], processes=self.processes)}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The loss on validation captions beside its blind value, and whether it has learned."""
        pairs = []
        for batch in self.validation():
            moved = batch.to(self.processes.device)
            value = over_processes(self._losses(moved)[1], processes=self.processes)
            pairs.append((value, self.blind(moved, 0)["caption_blind"]))
        return summarise({"caption": pairs}, otherwise=VERDICTS)

    def files(self) -> dict[str, Callable[[Path], None]]:
        """Nothing beside the state."""
        return {}

    def parameter_groups(self) -> list[Group]:
        """What writes captions."""
        return parameter_groups(self, model=self.model, optim=self.optim)
