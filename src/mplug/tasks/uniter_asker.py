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
from mplug.data.regions.batch import PaddedRegions, RegionBatch, pad_regions
from mplug.data.regions.stored import Regions
from mplug.data.tokenizer import Tokenizer
from mplug.models.uniter import Uniter
from mplug.tasks.asked import Ask
from mplug.tasks.uniter_parts import PARTS, RegionPart
from mplug.tasks.uniter_retrieval import score_pairs

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

    @torch.no_grad()
    def ranks(
        self,
        pictures: Sequence[Regions],
        texts: Sequence[str],
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Floats:
        """How well each picture goes with each text [pictures, texts]."""
        pairs = self._paired(pictures, texts).to(self.device)
        total = len(pictures) * len(texts)
        rows = torch.arange(total, device=self.device)
        found = []
        for start in range(0, total, RANKED):
            some = rows[start : start + RANKED]
            shown, said = some // len(texts), some % len(texts)
            found.append(score_pairs(self.model, pairs, said, shown).double().cpu())
            progress(min(start + RANKED, total), total)
        return torch.cat(found).reshape(len(pictures), len(texts)).numpy()

    def _paired(self, pictures: Sequence[Regions], texts: Sequence[str]) -> RegionBatch:
        """Every picture and every text once; which belongs to which is not said."""
        ids = [
            [self.tokenizer.cls_id, *self.tokenizer.encode(text), self.tokenizer.sep_id]
            for text in texts
        ]
        longest = max(map(len, ids))
        padded = [each + [self.tokenizer.pad_id] * (longest - len(each)) for each in ids]
        lengths = torch.tensor([len(each) for each in ids])
        nobody = torch.zeros(len(ids), dtype=torch.int64)
        mask = torch.arange(longest) < lengths[:, None]
        return RegionBatch(pad_regions(pictures), torch.tensor(padded), mask, nobody, nobody)

    def _statements(self, asks: Sequence[Ask]) -> list[Item]:
        return [
            Item(ask.pictures, statement_ids(self.tokenizer, ask.text, text=ask.further))
            for ask in asks
        ]

    @torch.no_grad()
    def _best(
        self, task: str, pictures: Sequence[Regions], items: Sequence[Item], shown: Shown
    ) -> list[int]:
        """The likeliest choice of each item, many at once."""
        part = PARTS[task]()
        found: list[int] = []
        for start in range(0, len(items), AT_ONCE):
            regions, batch = self._some(task, pictures, items[start : start + AT_ONCE])
            logits: Tensor = part.logits(self.model, shown(part, regions), batch)
            found += logits.argmax(dim=1).tolist()
        return found

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
