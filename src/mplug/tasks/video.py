"""A model asked about clips, which it need not have been trained on (mPLUG paper, section 5.4.2).

Every frame goes through the image encoder, and the tokens of all frames in a row are read as one
large image: by matching, and by the decoder as captions and answers are written. For search, a
clip's vector is the mean of its frames' unit vectors, scaled to length 1.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.data.asking import answer_ids, question_ids
from mplug.data.text import clean_caption
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.inference.rank import rank_answers
from mplug.metrics.retrieval import Grades, grades
from mplug.tasks.asked import Ask
from mplug.tasks.asker import Asker
from mplug.tasks.observer import Observer, Progress, Texts, silent

Floats = npt.NDArray[np.float64]

CLIPS = 8  # that go through the decoder at once
KEPT = 128  # answers of a list that are scored to their end, as released
RERANKED = 128  # nearest that matching looks at again, as released for clips
MAX_WORDS = 40  # of a caption that is searched with, as released for clips
PROMPT = "a picture of"
# What a caption begins with that says nothing of the clip: "a video of", "a close-up photo of".
PREAMBLE = re.compile(
    r"^(?:an?|the)\s+(?:[\w-]+\s+)?(?:picture|video|photo|photograph|image|clip|view)\s+"
    r"(?:of|showing)\s+",
    re.IGNORECASE,
)


class Clips(NamedTuple):
    """Clips after the image encoder, frame by frame, and a unit vector of each clip."""

    frames: Float[Tensor, "clips frames patches dim"]
    vectors: Float[Tensor, "clips embed"]

    @property
    def tokens(self) -> Float[Tensor, "clips tokens dim"]:
        """The tokens of all frames in a row."""
        return self.frames.flatten(1, 2)

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Clips of as many frames, one after the other."""
        frames, vectors = zip(*parts, strict=True)
        return cls(torch.cat(frames), torch.cat(vectors))


class Found(NamedTuple):
    """How near each text is to each clip, and how each query grades its items after matching."""

    similarity: Floats  # cosines [clips, texts]
    clip_to_text: Grades  # [clips, texts], higher is better
    text_to_clip: Grades  # [texts, clips]


@dataclass(frozen=True)
class ClipObserver:
    """An observer of pictures that is shown clips."""

    observer: Observer

    @torch.inference_mode()
    def clips(self, pixels: npt.NDArray[np.float32]) -> Clips:
        """Encode normalised clips [clips, frames, 3, height, width]."""
        count, frames = pixels.shape[:2]
        states = self.observer.images(pixels.reshape(count * frames, *pixels.shape[2:]))
        units = self.observer.model.image_embedding(states)
        mean = units.reshape(count, frames, -1).mean(dim=1)
        return Clips(states.reshape(count, frames, *states.shape[1:]), F.normalize(mean, dim=-1))

    def texts(self, captions: Sequence[str]) -> Texts:
        """Encode captions to search with, cleaned and cut as in training."""
        tokenizer = self.observer.tokenizer
        cleaned = (clean_caption(caption, max_words=MAX_WORDS) for caption in captions)
        ids = [[tokenizer.cls_id, *tokenizer.encode(caption)] for caption in cleaned]
        longest = self.observer.model.config.text.max_positions
        return self.observer.encoded([row[:longest] for row in ids])

    @torch.inference_mode()
    def similarity(self, clips: Clips, texts: Texts) -> Floats:
        """Cosines of every clip and every text [clips, texts]."""
        words = self.observer.model.text_embedding(texts.states).double()
        table: Floats = (clips.vectors.double() @ words.T).cpu().numpy()
        return table

    def find(
        self,
        clips: Clips,
        texts: Texts,
        *,
        top: int = RERANKED,
        add_similarity: bool = True,
        progress: Progress = silent,
    ) -> Found:
        """Search both ways; the `top` nearest of each query (or all, if fewer) are matched too.

        Those come first, by the logit of matching, to which `add_similarity` adds their cosine. The
        others follow by similarity.
        """
        table = self.similarity(clips, texts)
        queries, items = _nearest(table, top=top)
        forth = self._match(clips, texts, queries, items, progress)
        texts_asked, clips_found = _nearest(table.T, top=top)
        back = self._match(clips, texts, clips_found, texts_asked, progress)
        add = table if add_similarity else np.zeros_like(table)
        return Found(
            table,
            _graded(table, add, queries, items, forth),
            _graded(table.T, add.T, texts_asked, clips_found, back),
        )

    def _match(
        self,
        clips: Clips,
        texts: Texts,
        clip_rows: npt.NDArray[np.int64],
        text_rows: npt.NDArray[np.int64],
        progress: Progress,
    ) -> Floats:
        return self.observer.match(
            clips.tokens, texts, image_rows=clip_rows, text_rows=text_rows, progress=progress
        )

    def captions(
        self, clips: Clips, *, generation: GenerationConfig, prompt: str = PROMPT
    ) -> list[str]:
        """The model's own words behind `prompt`, without it or another such beginning."""
        tokenizer = self.observer.tokenizer
        words = torch.tensor([[tokenizer.cls_id, *tokenizer.encode(prompt)]])
        words = words.to(self.observer.device)
        said: list[str] = []
        for part in _parts(len(clips.frames)):
            memory = clips.tokens[part]
            written = generate(
                self.observer.model.writer,
                memory,
                prompt=words.repeat(len(memory), 1),
                end_id=tokenizer.sep_id,
                search=BeamSearch(generation),
            )
            said += [tokenizer.decode(one[0].ids[words.shape[1] :]) for one in written]
        return [without_preamble(caption) for caption in said]

    def answers(
        self,
        clips: Clips,
        questions: Sequence[str],
        *,
        clip_rows: Sequence[int],
        generation: GenerationConfig,
    ) -> list[str]:
        """The model's own answer to each question about the clip of its row."""
        frames = clips.frames.shape[1]
        asks = [
            Ask(tuple(range(row * frames, (row + 1) * frames)), question)
            for row, question in zip(clip_rows, questions, strict=True)
        ]
        return Asker(self.observer, generation).answers(clips.frames.flatten(0, 1), asks)

    @torch.inference_mode()
    def choices(
        self,
        clips: Clips,
        questions: Sequence[str],
        *,
        clip_rows: Sequence[int],
        answers: Sequence[str],
        keep: int = KEPT,
    ) -> list[str]:
        """The likeliest of the given answers to each question about the clip of its row.

        Raises:
            ValueError: an answer has no words.
        """
        tokenizer = self.observer.tokenizer
        ids, mask = _padded([answer_ids(tokenizer, one) for one in answers], tokenizer.pad_id)
        ids, mask = ids.to(self.observer.device), mask.to(self.observer.device)
        rows = torch.tensor(clip_rows, device=clips.frames.device)
        chosen: list[str] = []
        for part in _parts(len(questions)):
            asked = self.observer.encoded([question_ids(tokenizer, one) for one in questions[part]])
            tokens = clips.tokens[rows[part]]
            ranking = rank_answers(
                self.observer.model.decoder,
                *self.observer.model.joint_memory(asked.states, tokens, asked.mask),
                answers=ids,
                answers_mask=mask,
                keep=keep,
            )
            chosen += [answers[best] for best in ranking.answers[:, 0].tolist()]
        return chosen


def without_preamble(caption: str) -> str:
    """The caption without "a video of" and the like, which say nothing of what is to be seen."""
    return PREAMBLE.sub("", caption, count=1)


def _nearest(table: Floats, *, top: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of a query and one of its nearest items, from a table [queries, items]."""
    top = min(top, table.shape[1])
    nearest = np.argsort(-table, axis=1, kind="stable")[:, :top]
    return np.repeat(np.arange(len(table)), top), nearest.reshape(-1)


def _graded(
    table: Floats,
    add: Floats,
    queries: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    matches: Floats,
) -> Grades:
    judged, scores = np.zeros(table.shape, dtype=np.bool_), add.copy()
    judged[queries, items] = True
    scores[queries, items] += matches
    return grades(table, rerank_scores=scores, ranked_mask=judged)


def _padded(texts: Sequence[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Texts of ids with padding on the right, and where there is none [texts, longest]."""
    longest = max(map(len, texts))
    ids = torch.tensor([[*text, *[pad_id] * (longest - len(text))] for text in texts])
    lengths = torch.tensor([len(text) for text in texts])
    return ids, torch.arange(longest) < lengths[:, None]


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + CLIPS) for start in range(0, count, CLIPS))
