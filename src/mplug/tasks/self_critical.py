"""Self-critical training: captions that score better than their rivals become likelier.

Captions of each picture are drawn, scored by CIDEr-D against what people wrote, and scored again
with gradient by the model that drew them (Rennie et al., arXiv 1612.00563; mPLUG paper, 4.1).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.config.schema import GenerationConfig, OptimConfig, SelfCriticalConfig
from mplug.data.items import TaskBatch
from mplug.data.tokenizer import Tokenizer
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import Search, generate
from mplug.inference.sampling import Sampling
from mplug.metrics.captions import DocumentFrequency
from mplug.metrics.cider import FixedCiderD
from mplug.metrics.ptb import ptb_tokens
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives.self_critical import (
    leave_one_out,
    mean_reward,
    self_critical,
    sequence_log_probability,
)
from mplug.tasks.captioning import Captioning
from mplug.tasks.groups import parameter_groups
from mplug.tasks.means import over_processes
from mplug.tasks.model_file import model_file
from mplug.tasks.part import joined
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

FREQUENCY_FILE = "document_frequency.json"
Rewards = Float[Tensor, "pictures samples"]
Memory = Float[Tensor, "pictures keys dim"]


class SelfCritical(nn.Module):
    """The model, and the score that its captions are to raise."""

    def __init__(
        self,
        model: MPlug,
        *,
        settings: SelfCriticalConfig,
        generation: GenerationConfig,
        tokenizer: Tokenizer,
        frequency: DocumentFrequency,
        optim: OptimConfig,
        seed: int,
        processes: Processes,
        validation: Callable[[], Sequence[TaskBatch]],
    ) -> None:
        super().__init__()
        self.model = model
        self.settings, self.generation, self.tokenizer = settings, generation, tokenizer
        self.frequency, self.reward = frequency, FixedCiderD(frequency)
        self.optim, self.seed = optim, seed
        self.processes, self.validation = processes, validation
        self._part = 0
        for name, child in model.named_children():
            child.requires_grad_(name in Captioning().used)
        model.temperature.requires_grad_(False)
        if optim.vision_lr == 0:
            model.vision.requires_grad_(False)
            model.visual_projection.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Never training mode: what is scored must be the model that drew, without dropout."""
        return super().train(False)

    def before_step(self, step: int) -> None:
        """Count the parts of an accumulated step, which draw different captions."""
        self._part = 0

    def after_step(self) -> None:
        """Nothing needs clamping."""

    def forward(self, batch: TaskBatch, step: int) -> StepResult:
        """Draw, score, and score again with gradient."""
        items = batch.items["caption"]
        memory = joined(self.model.encode_image(batch.pixels)[items.images])
        ids, rewards = self._draw(memory.detach(), items.references, step)
        said = self._said(memory, ids, self.settings.samples)
        baseline = self._baseline(memory.detach(), items.references, rewards)
        found = self_critical(said, rewards, baseline=baseline)
        self._part += 1
        logs = {"reward": rewards.mean(), "reward_spread": rewards.std(dim=1).mean()}
        return StepResult(found.loss, {"self_critical": found.loss.detach(), **logs})

    @torch.no_grad()
    def blind(self, batch: TaskBatch, step: int) -> dict[str, float]:
        """What captions of a blank picture score."""
        items = batch.items["caption"]
        blank = self.model.encode_image(torch.zeros_like(batch.pixels[:1]))
        memory = joined(blank.expand(len(batch.pixels), -1, -1)[items.images])
        _, rewards = self._draw(memory, items.references, step)
        return {"reward_blind": over_processes(rewards.mean(), processes=self.processes)}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """CIDEr-D of captions written as the model writes them, on validation pictures."""
        scores: list[Tensor] = []
        for batch in self.validation():
            items = batch.items["caption"].to(self.processes.device)
            pixels = batch.pixels.to(self.processes.device)
            memory = joined(self.model.encode_image(pixels)[items.images])
            search = BeamSearch(self.generation)
            scores.append(self._scored(memory, items.references, search, best=1)[1].mean())
        mean = torch.stack(scores).mean()
        return {"validation_cider_d": over_processes(mean, processes=self.processes)}

    def files(self) -> dict[str, Callable[[Path], None]]:
        """What the model is, and the document frequencies that rewards are made with."""
        frequency = {FREQUENCY_FILE: lambda path: write_frequency(path, self.frequency)}
        return model_file(self.model) | frequency

    def parameter_groups(self) -> list[Group]:
        """What writes captions."""
        return parameter_groups(self, model=self.model, optim=self.optim)

    def _draw(
        self, memory: Memory, references: Sequence[Sequence[str]], step: int
    ) -> tuple[list[list[int]], Rewards]:
        search: Search = BeamSearch(
            self.generation.model_copy(update={"beams": self.settings.samples})
        )
        if self.settings.draw == "sample":
            first = self.processes.rank * len(memory)
            seeds = [
                int(np.random.SeedSequence((self.seed, step, self._part, row)).generate_state(1)[0])
                for row in range(first, first + len(memory))
            ]
            search = Sampling(seeds, self.generation)
        return self._scored(memory, references, search, best=self.settings.samples)

    @torch.no_grad()
    def _scored(
        self, memory: Memory, references: Sequence[Sequence[str]], search: Search, *, best: int
    ) -> tuple[list[list[int]], Rewards]:
        """`best` captions of each picture, in a row, and what they score."""
        prompt = torch.full(
            (len(memory), 1), self.tokenizer.cls_id, dtype=torch.long, device=memory.device
        )
        found = generate(
            self.model.decoder,
            memory,
            prompt=prompt,
            end_id=self.tokenizer.sep_id,
            search=search,
            best=best,
        )
        said = [[each.ids for each in hypotheses] for hypotheses in found]
        return [ids for one in said for ids in one], memory.new_tensor(
            self.rewards(said, references)
        )

    def rewards(
        self, said: Sequence[Sequence[list[int]]], references: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """What each picture's captions score against what people wrote of it."""
        decode = self.tokenizer.decode
        written = [[ptb_tokens(decode(ids)) for ids in captions] for captions in said]
        known = [[ptb_tokens(text) for text in texts] for texts in references]
        return self.reward.of_samples(written, known)

    def _said(self, memory: Memory, ids: Sequence[Sequence[int]], samples: int) -> Rewards:
        """The mean log-probability of each caption's tokens; a picture is read once for all."""
        longest = max(len(each) for each in ids)
        pad = self.tokenizer.pad_id
        padded = [[*each, *[pad] * (longest - len(each))] for each in ids]
        lengths = torch.tensor([[len(each)] for each in ids], device=memory.device)
        words = torch.tensor(padded, device=memory.device)
        mask = torch.arange(longest, device=memory.device) < lengths
        given, given_mask, targets = shifted(words, mask)
        counted: Bool[Tensor, "texts words"] = targets >= 0
        decoder = self.model.decoder
        logits = decoder.logits(decoder.states(given, given_mask, memory)[counted])
        said = sequence_log_probability(logits, targets, counted=counted)
        return (said / counted.sum(dim=1)).view(-1, samples)

    def _baseline(
        self, memory: Memory, references: Sequence[Sequence[str]], rewards: Rewards
    ) -> Rewards:
        if self.settings.baseline == "leave_one_out":
            return leave_one_out(rewards)
        if self.settings.baseline == "mean":
            return mean_reward(rewards)
        greedy = BeamSearch(self.generation.model_copy(update={"beams": 1}))
        return self._scored(memory, references, greedy, best=1)[1].expand_as(rewards)


def write_frequency(path: Path, frequency: DocumentFrequency) -> None:
    """Write document frequencies as JSON: how many documents, and n-grams with their counts."""
    counts = {" ".join(ngram): count for ngram, count in frequency.counts.items()}
    content = {"documents": frequency.documents, "counts": counts}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_frequency(path: Path) -> DocumentFrequency:
    """What `write_frequency` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    counts = {tuple(ngram.split(" ")): count for ngram, count in content["counts"].items()}
    return DocumentFrequency(counts, content["documents"])
