"""A model's answers, boxes and classes for many asks: in batches, in eval mode, no gradients.

Of a text that is longer than the model's positions, what does not fit is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mplug.config.schema import GenerationConfig
from mplug.data.asking import answer_ids, phrase_ids, question_ids, statement_ids
from mplug.data.items import ENTAILMENT, TRUTH
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.inference.grounding import find_boxes
from mplug.inference.pairs import each_once
from mplug.inference.rank import rank_answers
from mplug.models.decoder import shifted
from mplug.objectives.answers import token_losses
from mplug.objectives.boxes import from_bins, to_corners
from mplug.tasks.asked import Ask
from mplug.tasks.observer import Images, Observer, Progress, Texts, silent

BATCH = 100  # asks that go through the network at once
KEPT = 128  # answers of a list that are scored to their end, as released
ANSWER_TOKENS = 10  # word pieces of the longest answer, as released

Floats = npt.NDArray[np.float64]
Seen = Float[Tensor, "images patches dim"]


@dataclass(frozen=True)
class Asker:
    """What a fine-tuned model says; every method keeps the order of its asks."""

    observer: Observer
    generation: GenerationConfig

    @torch.inference_mode()
    def answers(
        self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent
    ) -> list[str]:
        """An answer in the model's own words to each question."""
        model, tokenizer = self.observer.model, self.observer.tokenizer
        room = min(ANSWER_TOKENS, model.config.text.max_positions)
        search = BeamSearch(
            self.generation.model_copy(update={"min_tokens": 1, "max_tokens": room})
        )
        rows = [question_ids(tokenizer, ask.text, text=ask.further) for ask in asks]
        said: list[str] = []
        for text, seen, places in self._batches(images, asks, rows, progress):
            memory = model.joint_memory(text.states, seen, text.mask, places=places)
            written = generate(
                model.writer,
                *memory,
                prompt=torch.full(
                    (len(text.mask), 1), tokenizer.cls_id, device=self.observer.device
                ),
                end_id=tokenizer.sep_id,
                search=search,
            )
            said += [tokenizer.decode(hypotheses[0].ids) for hypotheses in written]
        return said

    @torch.inference_mode()
    def choices(
        self,
        images: Images,
        asks: Sequence[Ask],
        *,
        answers: Sequence[str],
        progress: Progress = silent,
    ) -> list[str]:
        """The likeliest of the given answers to each question.

        Raises:
            ValueError: an answer has no words.
        """
        model, tokenizer = self.observer.model, self.observer.tokenizer
        written = [torch.tensor(answer_ids(tokenizer, answer)) for answer in answers]
        ids = pad_sequence(written, batch_first=True, padding_value=tokenizer.pad_id)
        lengths = torch.tensor([len(answer) for answer in written])
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        rows = [question_ids(tokenizer, ask.text, text=ask.further) for ask in asks]
        chosen: list[str] = []
        for text, seen, places in self._batches(images, asks, rows, progress):
            ranking = rank_answers(
                model.decoder,
                *model.joint_memory(text.states, seen, text.mask, places=places),
                answers=ids.to(self.observer.device),
                answers_mask=mask.to(self.observer.device),
                keep=KEPT,
            )
            chosen += [answers[best] for best in ranking.answers[:, 0].tolist()]
        return chosen

    @torch.inference_mode()
    def captions(
        self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent
    ) -> list[str]:
        """The model's own words behind each ask's text, without it: that is how they begin.

        Asks of one call have the same text.
        """
        model, tokenizer = self.observer.model, self.observer.tokenizer
        search = BeamSearch(self.generation)
        said: list[str] = []
        for start in range(0, len(asks), BATCH):
            part = asks[start : start + BATCH]
            prompt = [tokenizer.cls_id, *tokenizer.encode(part[0].text)]
            places = torch.tensor([ask.pictures for ask in part], device=images.device)
            written = generate(
                model.writer,
                images[places].flatten(1, 2),
                prompt=torch.tensor([prompt] * len(part), device=self.observer.device),
                end_id=tokenizer.sep_id,
                search=search,
            )
            said += [tokenizer.decode(one[0].ids[len(prompt) :]) for one in written]
            progress(start + len(part), len(asks))
        return said

    @torch.inference_mode()
    def boxes(self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent) -> Floats:
        """The likeliest box of each phrase, x0, y0, x1, y1 in shares of the sides [asks, 4]."""
        model, tokenizer = self.observer.model, self.observer.tokenizer
        rows = [phrase_ids(tokenizer, ask.text) for ask in asks]
        found = [np.zeros((0, 4))]
        for text, seen, places in self._batches(images, asks, rows, progress):
            memory = model.joint_memory(text.states, seen, text.mask, places=places)
            bins = find_boxes(
                model.writer,
                *memory,
                start_id=tokenizer.start_box_id,
                box_ids=tokenizer.box_ids,
            ).bins[:, 0]
            shares = from_bins(bins, bins=len(tokenizer.box_ids), dtype=torch.float64)
            found.append(to_corners(shares).clamp(0, 1).cpu().numpy())
        return np.concatenate(found)

    def truths(
        self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent
    ) -> list[str]:
        """`true` or `false` for each statement about two pictures."""
        shares = self.truth_shares(images, asks, progress=progress)
        return [TRUTH[place] for place in shares.argmax(axis=1)]

    def labels(
        self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent
    ) -> list[str]:
        """What each picture says to a hypothesis: entailment, neutral or contradiction."""
        shares = self.label_shares(images, asks, progress=progress)
        return [ENTAILMENT[place] for place in shares.argmax(axis=1)]

    @torch.inference_mode()
    def truth_shares(
        self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent
    ) -> Floats:
        """How likely each of `TRUTH` is for each statement about two pictures [asks, 2]."""
        model, tokenizer = self.observer.model, self.observer.tokenizer
        rows = [statement_ids(tokenizer, ask.text, text=ask.further) for ask in asks]
        found = [np.zeros((0, len(TRUTH)))]
        for text, seen, places in self._batches(images, asks, rows, progress):
            seen = seen if places is None else seen[places]
            first, second = seen.chunk(2, dim=1)
            logits = model.compare(text.states, first, second, text.mask)
            found.append(logits.double().softmax(dim=1).cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def label_shares(
        self, images: Images, asks: Sequence[Ask], *, progress: Progress = silent
    ) -> Floats:
        """How likely each of `ENTAILMENT` is for each hypothesis [asks, 3]."""
        model, tokenizer = self.observer.model, self.observer.tokenizer
        rows = [statement_ids(tokenizer, ask.text, text=ask.further) for ask in asks]
        found = [np.zeros((0, len(ENTAILMENT)))]
        for text, seen, places in self._batches(images, asks, rows, progress):
            fused = model.fuse_text(text.states, seen, text.mask, places=places, first=1)
            logits = model.entail(fused)
            found.append(logits.double().softmax(dim=1).cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def answer_shares(
        self, images: Images, asks: Sequence[Ask], *, answers: Sequence[str]
    ) -> Floats:
        """How likely the model finds each ask's answer, to its end, among all texts [asks]."""
        model, tokenizer = self.observer.model, self.observer.tokenizer
        rows = [question_ids(tokenizer, ask.text, text=ask.further) for ask in asks]
        found = [np.zeros(0)]
        done = 0
        for text, seen, places in self._batches(images, asks, rows, silent):
            written = [
                torch.tensor(answer_ids(tokenizer, answer), device=self.observer.device)
                for answer in answers[done : done + len(text.mask)]
            ]
            done += len(text.mask)
            targets = pad_sequence(written, batch_first=True, padding_value=-1)
            ids, mask, wanted = shifted(targets.clamp(min=0), targets >= 0)
            memory = model.joint_memory(text.states, seen, text.mask, places=places)
            losses = token_losses(model.decode(ids, mask, *memory), wanted)
            found.append((-losses.double().sum(dim=1)).exp().cpu().numpy())
        return np.concatenate(found)

    def blind(self, say: Callable[..., Any], asks: Sequence[Ask]) -> list[Any]:
        """What one of these methods says of the same asks about grey pictures.

        A grey picture is the same whatever it stands for, so every text is asked once; and short
        ones before long ones, so that little padding is computed.
        """
        size = self.observer.model.config.vision.image_size
        grey = self.observer.images(np.zeros((1, 3, size, size), dtype=np.float32))
        blank = [ask._replace(pictures=(0,) * len(ask.pictures)) for ask in asks]
        said: dict[Ask, Any] = {}
        for frames in {len(ask.pictures) for ask in blank}:
            unique = list(dict.fromkeys(ask for ask in blank if len(ask.pictures) == frames))
            unique.sort(key=lambda ask: len(ask.text))
            said.update(zip(unique, say(grey, unique), strict=True))
        return [said[ask] for ask in blank]

    def _batches(
        self, images: Images, asks: Sequence[Ask], rows: Sequence[list[int]], progress: Progress
    ) -> Iterator[tuple[Texts, Seen, Tensor | None]]:
        """Encoded texts, the states of their pictures, one behind the other, and which are whose.

        What several texts are about is there once; None says that nothing is.
        """
        places = torch.tensor([ask.pictures for ask in asks], device=images.device)
        longest = self.observer.model.config.text.max_positions
        for start in range(0, len(asks), BATCH):
            part = slice(start, start + BATCH)
            text = self.observer.encoded([row[:longest] for row in rows[part]])
            unique, own = each_once(places[part])
            yield text, images[unique].flatten(1, 2), own
            progress(min(part.stop, len(asks)), len(asks))
