"""What a fine-tuned model is asked of pictures: questions, phrases, statements, hypotheses."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mplug.config.schema import GenerationConfig, MPlugConfig, Skill
from mplug.data.asking import answer_ids, phrase_ids, question_ids, statement_ids
from mplug.data.items import ENTAILMENT
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.compute import Compute, chunks
from mplug.interfaces.pictures import ImageSource, Picture, as_list, as_texts, named, paired
from mplug.interfaces.writing import require_room, writing

DEEDS: Mapping[Skill, str] = {
    "caption": "describe pictures",
    "answer": "answer questions",
    "ground": "ground phrases",
    "compare": "compare pictures",
    "entail": "judge entailment",
}
ANSWER_LENGTH = {"min_tokens": 1, "max_tokens": 10}  # word pieces, as released
SEARCHED = 4  # boxes looked at for each that is wanted, where several are
SAME_BOX = 0.5  # boxes that overlap by more (IoU) are taken for the same thing

Images = ImageSource | Sequence[ImageSource]
Texts = str | Sequence[str]


class Box(NamedTuple):
    """Left, top, right and bottom in the picture's own pixels, and the box's probability."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float


class Asking:
    """Pairs pictures with texts, reads both, and asks the network in small batches."""

    def __init__(
        self,
        compute: Compute,
        *,
        config: MPlugConfig,
        generation: GenerationConfig,
        read: Callable[..., Picture],
    ) -> None:
        self._compute, self._config, self._generation = compute, config, generation
        self._read, self._tokenizer = read, compute.tokenizer

    def answer(
        self,
        images: Images,
        questions: Texts,
        *,
        answers: Sequence[str] | None,
        text: Texts,
        seed: int | None,
        options: Mapping[str, float],
    ) -> str | list[str]:
        """See `Model.answer`."""
        self._require("answer")
        rows, single = paired(
            {
                "pictures": self._pictures(images),
                "questions": as_texts(questions),
                "further texts": as_texts(text),
            }
        )
        if answers is not None:
            _require_choice(answers, seed=seed, options=options)
        chosen = writing(self._generation, {**ANSWER_LENGTH, **options}, seed=seed, what="answers")
        require_room(1, max_tokens=chosen.config.max_tokens, config=self._config)
        found: list[str] = []
        for pictures, part in self._batches(rows):
            asked = [question_ids(self._tokenizer, one, text=[more]) for one, more in part]
            if answers is not None:
                found += self._choose(pictures, asked, answers)
            else:
                search = chosen.search(range(len(found), len(found) + len(part)))
                found += self._compute.answer(pictures, asked, search=search)
        return found[0] if single else found

    def ground(self, images: Images, phrases: Texts, *, best: int) -> Any:
        """See `Model.ground`."""
        self._require("ground")
        if best < 1:
            raise ConfigError(f"ground: best = {best}: at least one box must be asked for")
        rows, single = paired({"pictures": self._pictures(images), "phrases": as_texts(phrases)})
        beams = 1 if best == 1 else SEARCHED * best
        found: list[Any] = []
        for pictures, part in self._batches(rows, clips=False):
            asked = [phrase_ids(self._tokenizer, phrase) for (phrase,) in part]
            shares, scores = self._compute.ground(pictures, asked, beams=beams)
            for picture, *one in zip(pictures, shares, scores, strict=True):
                boxes = pixel_boxes(*one, size=picture.size, best=best)
                found.append(boxes[0] if best == 1 else boxes)
        return found[0] if single else found

    def compare(self, first: Images, second: Images, statements: Texts) -> Any:
        """See `Model.compare`."""
        self._require("compare")
        rows, single = paired(
            {
                "first pictures": self._pictures(first),
                "second pictures": self._pictures(second),
                "statements": as_texts(statements),
            }
        )
        found: list[np.ndarray] = []
        for part in chunks(rows):
            firsts, seconds, texts = zip(*part, strict=True)
            asked = [statement_ids(self._tokenizer, statement) for statement in texts]
            left, right = (self._opened(each, clips=False) for each in (firsts, seconds))
            found.append(self._compute.compare(left, right, asked))
        probabilities = np.concatenate(found) if found else np.zeros(0, dtype=np.float32)
        return float(probabilities[0]) if single else probabilities

    def entail(self, images: Images, hypotheses: Texts, *, premise: Texts) -> Any:
        """See `Model.entail`."""
        self._require("entail")
        rows, single = paired(
            {
                "pictures": self._pictures(images),
                "hypotheses": as_texts(hypotheses),
                "premises": as_texts(premise),
            }
        )
        found: list[dict[str, float]] = []
        for pictures, part in self._batches(rows):
            asked = [statement_ids(self._tokenizer, one, text=[more]) for one, more in part]
            for row in self._compute.entail(pictures, asked):
                found.append(dict(zip(ENTAILMENT, row.tolist(), strict=True)))
        return found[0] if single else found

    def _require(self, skill: Skill) -> None:
        """The model must have been trained for `skill`."""
        if skill not in self._config.skills:
            able = ", ".join(DEEDS[one] for one in self._config.skills)
            raise CheckpointError(
                f"this model was not trained to {DEEDS[skill]}"
                f"{f' (it was trained to {able})' if able else ''}: fine-tune it with the task "
                f"{skill!r}, or name another model"
            )

    def _choose(
        self, pictures: list[Picture], questions: list[list[int]], answers: Sequence[str]
    ) -> list[str]:
        given = [answer_ids(self._tokenizer, answer) for answer in answers]
        ranking = self._compute.rank(pictures, questions, answers=given)
        return [answers[place] for place in ranking.answers[:, 0].tolist()]

    def _pictures(self, images: Images) -> tuple[list[tuple[ImageSource, str | None]], bool]:
        """The pictures with their names for errors, and whether it was a single one."""
        sources, single = as_list(images)
        return list(named(sources)), single

    def _batches(
        self, rows: Sequence[tuple[Any, ...]], *, clips: bool = True
    ) -> Iterator[tuple[list[Picture], list[tuple[str, ...]]]]:
        """Pictures, each read when its turn comes, and the texts beside them."""
        for part in chunks(rows):
            yield self._opened([row[0] for row in part], clips=clips), [row[1:] for row in part]

    def _opened(
        self, sources: Sequence[tuple[ImageSource, str | None]], *, clips: bool
    ) -> list[Picture]:
        """The pictures of one batch; one that is named again is read once."""
        read: dict[int, Picture] = {}
        for source, name in sources:
            if id(source) not in read:
                picture = self._read(source, name=name)
                if picture.is_clip and not clips:
                    raise DataError(
                        f"{name or str(source)}: a clip; this is asked of still pictures"
                    )
                read[id(source)] = picture
        return [read[id(source)] for source, _ in sources]


def _require_choice(
    answers: Sequence[str], *, seed: int | None, options: Mapping[str, float]
) -> None:
    if not answers or not all(answer.strip() for answer in answers):
        raise DataError("answers: the list is empty, or holds an answer without words")
    if seed is not None or options:
        raise ConfigError("answers: a given list is ranked, so nothing is written: no options")


def pixel_boxes(
    shares: np.ndarray, scores: np.ndarray, *, size: tuple[int, int], best: int
) -> list[Box]:
    """Of boxes in shares, likeliest first, those that are not the same thing as a likelier one.

    They come back in pixels; `scores` are log-probabilities.
    """
    from mplug.metrics.grounding import iou  # late: who asks for a caption needs no metric

    kept: list[int] = []
    for row in range(len(scores)):
        there_is = len(kept) < best and np.isfinite(scores[row])
        if there_is and not (iou(shares[row : row + 1], shares[kept]) > SAME_BOX).any():
            kept.append(row)
    width, height = size
    pixels = (shares[kept] * np.array([width, height, width, height])).tolist()
    return [
        Box(left, top, right, bottom, score=math.exp(scores[row]))
        for (left, top, right, bottom), row in zip(pixels, kept, strict=True)
    ]
