"""CLIP's pretraining: in a batch of pairs, find each picture's text and each text's picture.

Radford et al., arXiv 2103.00020, section 2.3. A batch may hold the same picture or the same text
twice; then each of them is as right as the other, where the paper takes one to be wrong.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mplug.config.schema_clip_run import ClipOptim
from mplug.data.batch import Batch
from mplug.models.clip import MAX_LOGIT_SCALE, Clip
from mplug.objectives import contrastive
from mplug.tasks.clip_groups import clip_groups
from mplug.tasks.means import over_processes, summarise
from mplug.tasks.model_file import model_file
from mplug.tasks.recall import recall_at_1
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

VERDICTS = {"itc": "at chance"}


class Pairs(NamedTuple):
    """Unit vectors of pictures and of the texts beside them."""

    images: Float[Tensor, "pairs embed"]
    texts: Float[Tensor, "pairs embed"]


class ContrastivePretraining(nn.Module):
    """The model and its one loss, over the pairs of all processes."""

    def __init__(
        self,
        model: Clip,
        *,
        optim: ClipOptim,
        processes: Processes,
        validation: Callable[[], Sequence[Batch]],
    ) -> None:
        super().__init__()
        self.model = model
        self.optim, self.processes, self.validation = optim, processes, validation

    def before_step(self, step: int) -> None:
        """Nothing is to be prepared."""

    def after_step(self) -> None:
        """Keep the temperature in bounds."""
        clamp_logit_scale(self.model)

    def forward(self, batch: Batch, step: int) -> StepResult:
        """The loss of this process's pairs among everyone's, and what to log."""
        return self._result(self._encode(batch, parts=self.optim.cached_parts), batch)

    def _encode(self, batch: Batch, *, parts: int) -> Pairs:
        model = self.model
        images = in_parts(model.encode_image, batch.pixels, parts=parts)
        texts = in_parts(model.encode_text, batch.ids, batch.mask, parts=parts)
        return Pairs(model.image_embedding(images), model.text_embedding(texts))

    def _result(self, own: Pairs, batch: Batch) -> StepResult:
        bank = Pairs(*map(self.processes.gather_with_gradient, own))
        positive = contrastive.positives(
            batch.image_ids,
            batch.caption_ids,
            bank_image_ids=self.processes.gather(batch.image_ids),
            bank_caption_ids=self.processes.gather(batch.caption_ids),
        )
        temperature = (-self.model.logit_scale).exp()
        by_image = contrastive.similarity(own.images, bank.texts, temperature=temperature)
        by_text = contrastive.similarity(own.texts, bank.images, temperature=temperature)
        shares = contrastive.equal_shares(positive)
        loss = contrastive.contrastive(by_image, by_text, text_targets=shares, image_targets=shares)
        candidates = torch.tensor(positive.shape[1], device=loss.device)
        logs = {
            "itc": loss.detach(),
            "itc_blind": contrastive.blind_loss(candidates),
            "itc_accuracy": contrastive.accuracy(by_image.detach(), positive),
            "temperature": temperature.detach(),
        }
        return StepResult(loss, logs)

    def blind(self, batch: Batch, step: int) -> dict[str, float]:
        """Nothing: every step's loss brings its blind value along."""
        return {}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The loss on validation batches beside its blind value, and recall among all of them."""
        losses: dict[str, list[tuple[float, float]]] = {"itc": []}
        found = []
        gather = self.processes.gather
        for batch in self.validation():
            moved = batch.to(self.processes.device)
            own = self._encode(moved, parts=1)
            logs = self._result(own, moved).logs
            both = [
                over_processes(logs[name], processes=self.processes)
                for name in ("itc", "itc_blind")
            ]
            losses["itc"].append((both[0], both[1]))
            found.append(tuple(map(gather, (*own, moved.image_ids, moved.caption_ids))))
        recall = recall_at_1(*(torch.cat(rows) for rows in zip(*found, strict=True)))
        figures = summarise(losses, otherwise=VERDICTS)
        return figures | {f"validation_{name}": value for name, value in recall.items()}

    def parameter_groups(self) -> list[Group]:
        """Everything; the image encoder has a rate of its own where the run gives one."""
        return clip_groups(self, model=self.model, optim=self.optim)

    def files(self) -> dict[str, Callable[[Path], None]]:
        """What the model is."""
        return model_file(self.model)


def in_parts(encode: Callable[..., Tensor], *inputs: Tensor, parts: int) -> Tensor:
    """`encode(*inputs)`, the rows in `parts` equal parts, none of which keeps its inner states.

    In the backward pass each part is encoded once more, when the gradient of its rows is known: no
    more than one part is ever held in memory, and the loss still sees all rows. Random numbers, as
    dropout draws them, are drawn again alike.
    """
    if parts == 1:
        return encode(*inputs)
    slices = zip(*(each.chunk(parts) for each in inputs), strict=True)
    return torch.cat([checkpoint(encode, *each, use_reentrant=False) for each in slices])


def clamp_logit_scale(model: Clip) -> None:
    """Keep the learned log scale between 0 and log 100, in place."""
    with torch.no_grad():
        model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
