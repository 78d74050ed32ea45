"""Asks a UNITER model about pictures as regions: answers, classes, regions, ranks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mplug.data.asking import phrase_ids, question_ids, statement_ids
from mplug.data.items import ENTAILMENT, TRUTH, Item, ItemBatch, collate_items
from mplug.data.joint_batch import pad_texts
from mplug.data.regions.batch import PaddedRegions, RegionBatch, pad_regions
from mplug.data.regions.stored import Regions
from mplug.data.tokenizer import Tokenizer
from mplug.models.uniter import YES, Uniter
from mplug.tasks.asked import Ask
from mplug.tasks.uniter_parts import PARTS, RegionPart
from mplug.tasks.uniter_retrieval import read_pairs

AT_ONCE = 128  # asks answered together
RANKED = 4096  # pairs ranked between two words of progress
Floats = npt.NDArray[np.float64]
Shown = Callable[[RegionPart, PaddedRegions], PaddedRegions]


def as_they_are(part: RegionPart, regions: PaddedRegions) -> PaddedRegions:
    """The regions of one who sees."""
    return regions


def without_sight(part: RegionPart, regions: PaddedRegions) -> PaddedRegions:
    """The regions of one who sees nothing."""
    return part.unseen(regions)


def boxes_alone(part: RegionPart, regions: PaddedRegions) -> PaddedRegions:
    """The regions of one who sees where things are, and not what."""
    return replace(regions, features=torch.zeros_like(regions.features))


class Known(NamedTuple):
    """A model with its words, its answers, and where it computes."""

    model: Uniter
    tokenizer: Tokenizer
    answers: tuple[str, ...]
    device: torch.device


class UniterAsker:
    """What a model says of pictures that are given as regions."""

    def __init__(self, known: Known) -> None:
        self.model = known.model.to(known.device).eval()
        self.tokenizer, self.answer_list, self.device = known[1:]

    def answers(
        self, pictures: Sequence[Regions], asks: Sequence[Ask], *, shown: Shown = as_they_are
    ) -> list[str]:
        """The likeliest answer to each question."""
        items = [
            Item(ask.pictures, question_ids(self.tokenizer, ask.text, text=ask.further))
            for ask in asks
        ]
        return [self.answer_list[place] for place in self._best("answer", pictures, items, shown)]

    def truths(
        self, pictures: Sequence[Regions], asks: Sequence[Ask], *, shown: Shown = as_they_are
    ) -> list[str]:
        """Whether each statement is true of its two pictures."""
        found = self._best("compare", pictures, self._statements(asks), shown)
        return [TRUTH[place] for place in found]

    def labels(
        self, pictures: Sequence[Regions], asks: Sequence[Ask], *, shown: Shown = as_they_are
    ) -> list[str]:
        """What each picture says to its hypothesis."""
        found = self._best("entail", pictures, self._statements(asks), shown)
        return [ENTAILMENT[place] for place in found]

    def regions(
        self, pictures: Sequence[Regions], asks: Sequence[Ask], *, shown: Shown = as_they_are
    ) -> list[int]:
        """The place of the region that each phrase means."""
        items = [Item(ask.pictures, phrase_ids(self.tokenizer, ask.text)) for ask in asks]
        return self._best("ground", pictures, items, shown)

    def ranks(
        self,
        pictures: Sequence[Regions],
        texts: Sequence[str],
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Floats:
        """How well each picture goes with each text, as logits [pictures, texts]."""
        return self._scored(pictures, texts, self.model.rank, progress)

    def matches(self, pictures: Sequence[Regions], texts: Sequence[str]) -> Floats:
        """The probability that each picture and each text belong together [pictures, texts]."""

        def together(states: Tensor) -> Tensor:
            return self.model.match(states).softmax(dim=1)[:, YES]

        return self._scored(pictures, texts, together)

    @torch.no_grad()
    def _scored(
        self,
        pictures: Sequence[Regions],
        texts: Sequence[str],
        score: Callable[[Tensor], Tensor],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Floats:
        pairs = self._paired(pictures, texts).to(self.device)
        total = len(pictures) * len(texts)
        rows = torch.arange(total, device=self.device)
        found = []
        for start in range(0, total, RANKED):
            some = rows[start : start + RANKED]
            shown, said = some // len(texts), some % len(texts)
            found.append(read_pairs(self.model, pairs, said, shown, score=score).double().cpu())
            progress(min(start + RANKED, total), total)
        return torch.cat(found).reshape(len(pictures), len(texts)).numpy()

    def _paired(self, pictures: Sequence[Regions], texts: Sequence[str]) -> RegionBatch:
        """Every picture and every text once; which belongs to which is not said."""
        ids = [
            [self.tokenizer.cls_id, *self.tokenizer.encode(text), self.tokenizer.sep_id]
            for text in texts
        ]
        padded, mask = self.padded(ids)
        nobody = torch.zeros(len(ids), dtype=torch.int64)
        return RegionBatch(pad_regions(pictures), padded, mask, nobody, nobody)

    def padded(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Ids [texts, longest], and the mask of what is no padding, where the model is."""
        found = pad_texts(texts, pad_id=self.tokenizer.pad_id).to(self.device)
        return found.ids, found.mask

    def _statements(self, asks: Sequence[Ask]) -> list[Item]:
        return [
            Item(ask.pictures, statement_ids(self.tokenizer, ask.text, text=ask.further))
            for ask in asks
        ]

    def _best(
        self, task: str, pictures: Sequence[Regions], items: Sequence[Item], shown: Shown
    ) -> list[int]:
        """The likeliest choice of each item, many at once."""
        found: list[int] = []
        for start in range(0, len(items), AT_ONCE):
            some = items[start : start + AT_ONCE]
            found += self.logits(task, pictures, some, shown=shown).argmax(dim=1).tolist()
        return found

    @torch.no_grad()
    def logits(
        self,
        task: str,
        pictures: Sequence[Regions],
        items: Sequence[Item],
        *,
        shown: Shown = as_they_are,
    ) -> Tensor:
        """What the task's head says of every choice [items, choices], all items at once.

        Choices are answers, regions (minus infinity where a picture has no more), or classes.
        """
        part = PARTS[task]()
        regions, batch = self._some(task, pictures, items)
        return part.logits(self.model, shown(part, regions), batch)

    def _some(
        self, task: str, pictures: Sequence[Regions], items: Sequence[Item]
    ) -> tuple[PaddedRegions, ItemBatch]:
        """These items, with the pictures that they name and no others."""
        named = sorted({place for item in items for place in item.images})
        row = {place: new for new, place in enumerate(named)}
        moved = tuple(
            replace(item, images=tuple(row[place] for place in item.images)) for item in items
        )
        batch = collate_items([(len(named), {task: moved})], pad_id=self.tokenizer.pad_id)
        regions = pad_regions([pictures[place] for place in named])
        return regions.to(self.device), batch[task].to(self.device)
