"""A model's figures on records of clips: search, captions and answers, beside what sees nothing.

Every figure has a 95% interval over clips: what is asked about one clip stands and falls together.
A clip that cannot be read ends an evaluation, because a set without it would be another set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mplug.config.schema import GenerationConfig
from mplug.data.records import Record
from mplug.data.text import lower_caption
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError
from mplug.metrics.baselines import chance_recall, heaviest, most_frequent
from mplug.metrics.bootstrap import mean_parts
from mplug.metrics.caption_figures import Tokenised, caption_figures
from mplug.metrics.retrieval import ground_truth, hits, ranks
from mplug.metrics.signature import Signature
from mplug.tasks.asked import Ask, Posed
from mplug.tasks.evaluate_answers import answer_figures, blind_answers
from mplug.tasks.figures import Figure, figure_of
from mplug.tasks.observer import Progress, silent
from mplug.tasks.video import PROMPT, RERANKED, ClipObserver, Clips
from mplug.tasks.video_records import ClipTest, questions_of

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

AT = (1, 5, 10)  # places that recall looks at
MEANS = ("rouge_l", "cider_d")  # caption metrics that are a mean over clips, so have an interval
BLANK = "blank_clip"


def evaluate_search(
    observer: ClipObserver,
    test: ClipTest,
    *,
    top: int = RERANKED,
    add_similarity: bool = True,
    progress: Progress = silent,
) -> list[Figure]:
    """Recall and median rank both ways, by similarity alone and with the `top` nearest matched.

    Raises:
        DataError: a clip has no caption, or cannot be read.
    """
    captions = test.captions
    owner = np.repeat(np.arange(len(captions)), [len(each) for each in captions])
    right = ground_truth(owner, images=len(captions))
    clips = Clips.together([part for _, part in test.watched(observer, progress=progress)])
    texts = observer.texts([text for each in captions for text in each])
    found = observer.find(clips, texts, top=top, add_similarity=add_similarity)
    blank = observer.similarity(test.blank(observer), texts)
    blank = np.broadcast_to(blank, found.similarity.shape)
    reranked = "itm_and_itc" if add_similarity else "itm"
    by_matching = test.settings(order=reranked, reranked=str(min(top, *right.shape)))
    figures: list[Figure] = []
    for way, alone, matched, nothing, truth, scenes in (
        ("clip_to_text", found.similarity, found.clip_to_text, blank, right, None),
        ("text_to_clip", found.similarity.T, found.text_to_clip, blank.T, right.T, owner),
    ):
        give = partial(_search_figures, test, way, truth, scenes)
        figures += give(alone, {BLANK: nothing}, test.settings(order="itc"))
        figures += give(matched, {"similarity_alone": alone}, by_matching, suffix="_reranked")
    return figures


def _search_figures(
    test: ClipTest,
    way: str,
    right: Flags,
    scenes: npt.NDArray[np.int64] | None,
    graded: npt.ArrayLike,
    others: Mapping[str, npt.ArrayLike],
    settings: dict[str, str],
    *,
    suffix: str = "",
) -> Iterator[Figure]:
    """Figures of one way to search [queries, items]; `scenes` are the clips that queries are of."""
    texts = right.shape[1] if scenes is None else right.shape[0]
    counts = {"clips": len(test.paths), "texts": texts}
    rows = np.arange(len(right)) if scenes is None else scenes
    for k in AT:
        chances = [
            chance_recall(gallery=right.shape[1], k=k, right=n) for n in right.sum(axis=1).tolist()
        ]
        baselines = {name: float(hits(table, right, k=k).mean()) for name, table in others.items()}
        yield figure_of(
            "video_retrieval",
            Signature(f"recall_at_{k}_{way}{suffix}", test.split, counts, {"ties": "expected"}),
            mean_parts(hits(graded, right, k=k), scene_of=rows),
            baselines={"chance": float(np.mean(chances)), **baselines},
            settings=settings,
        )
    places = ranks(graded, right)
    values = np.unique(places)
    first = (right.shape[1] + 1) / (right.sum(axis=1) + 1)  # expected place of the first right one
    baselines = {name: float(np.median(ranks(table, right))) for name, table in others.items()}
    yield figure_of(
        "video_retrieval",
        Signature(f"median_rank_{way}{suffix}", test.split, counts, {"ties": "expected"}),
        _counts(places, values, rows),
        statistic=partial(_median, values),
        baselines={"chance": float(np.median(first)), **baselines},
        settings=settings,
    )


def _counts(places: Floats, values: Floats, rows: npt.NDArray[np.int64]) -> Floats:
    """How often each value occurs among the queries of each clip [clips, values]."""
    counts = np.zeros((rows.max() + 1, len(values)))
    np.add.at(counts, (rows, np.searchsorted(values, places)), 1)
    return counts


def _median(values: Floats, counts: Floats) -> Floats:
    """The median of values that occur so often [resamples, values]: the mean of the middle two."""
    before = counts.cumsum(axis=1)
    total = before[:, -1:]
    lower, upper = ((before > (total - one) // 2).argmax(axis=1) for one in (1, 0))
    return (values[lower] + values[upper]) / 2


def evaluate_captions(
    observer: ClipObserver,
    test: ClipTest,
    *,
    generation: GenerationConfig,
    learned: Sequence[str],
    prompt: str = PROMPT,
    progress: Progress = silent,
) -> list[Figure]:
    """ROUGE-L and CIDEr-D of captions; `learned` are training captions, for the commonest one.

    Raises:
        DataError: a clip has no caption, or cannot be read.
        ValueError: there is no training caption.
    """
    references = test.captions
    say = partial(observer.captions, generation=generation, prompt=prompt)
    said = [text for _, clips in test.watched(observer, progress=progress) for text in say(clips)]
    (blank,) = say(test.blank(observer))
    others = {BLANK: blank, "most_frequent_caption": most_frequent(learned)}

    def scores(captions: Sequence[str]) -> dict[str, Floats]:
        figures = caption_figures(Tokenised.of(captions, references), split=test.split)
        return {each.metric: each.per_image for each in figures}

    blind = {name: scores([text] * len(said)) for name, text in others.items()}
    return [
        figure_of(
            "video_captioning",
            each.signature,
            mean_parts(each.per_image),
            baselines={name: float(values[each.metric].mean()) for name, values in blind.items()},
            settings=test.settings(prompt=prompt or "none", beams=str(generation.beams)),
        )
        for each in caption_figures(Tokenised.of(said, references), split=test.split)
        if each.metric in MEANS
    ]


def evaluate_answers(
    observer: ClipObserver,
    test: ClipTest,
    *,
    generation: GenerationConfig,
    learned: Sequence[Record],
    answers: Sequence[str] = (),
    progress: Progress = silent,
) -> list[Figure]:
    """The accuracy of answers in the model's own words, and of those chosen from `answers`, if any.

    Right is the heaviest answer, letter for letter as the tokenizer spells it. `learned` are
    training records, for the answers that are commonest; `answers` must come from training too.

    Raises:
        DataError: nothing is asked of any clip, there is nothing to learn from, or a clip cannot
            be read.
    """
    spell = partial(_spelled, observer.observer.tokenizer)
    listed = list(dict.fromkeys(map(spell, answers)))
    posed = [
        Posed(Ask((row,), question), right=spell(heaviest(known)))
        for row, each in enumerate(test.questions)
        for question, known in each
    ]
    taught = questions_of(learned)
    if not taught:
        raise DataError("no training record has a question and answers to compare with")
    known = [Posed(Ask((0,), text), right=spell(heaviest(weights))) for text, weights in taught]
    blind = blind_answers(posed, known)
    figures: list[Figure] = []
    ways = [("video_answering", "own_words")]
    ways += [("video_choosing", f"of_{len(listed)}")] if listed else []
    said = _said(observer, test, posed, generation=generation, listed=listed, progress=progress)
    for (task, way), (mine, blank) in zip(ways, said, strict=True):
        found = answer_figures(
            mine,
            posed,
            others={**blind, BLANK: blank},
            split=test.split,
            settings=test.settings(answers=way),
        )
        figures += [replace(figure, task=task) for figure in found]
    return figures


def _said(
    observer: ClipObserver,
    test: ClipTest,
    posed: Sequence[Posed],
    *,
    generation: GenerationConfig,
    listed: Sequence[str],
    progress: Progress,
) -> list[tuple[list[str], list[str]]]:
    """Answers to all questions, with the clip and with a blank one, for each way to answer."""
    ways = [partial(observer.answers, generation=generation)]
    ways += [partial(observer.choices, answers=listed)] if listed else []
    mine: list[list[str]] = [[] for _ in ways]
    for rows, clips in test.watched(observer, progress=progress):
        part = [one.ask for one in posed if rows.start <= one.ask.pictures[0] < rows.stop]
        for said, way in zip(mine, ways, strict=True):
            places = [ask.pictures[0] - rows.start for ask in part]
            said += way(clips, [ask.text for ask in part], clip_rows=places)
    blank = test.blank(observer)
    asked = list(dict.fromkeys(one.ask.text for one in posed))
    blind = [
        dict(zip(asked, way(blank, asked, clip_rows=[0] * len(asked)), strict=True)) for way in ways
    ]
    return [
        (said, [answers[one.ask.text] for one in posed])
        for said, answers in zip(mine, blind, strict=True)
    ]


def _spelled(tokenizer: Tokenizer, answer: str) -> str:
    """An answer as the model would write it."""
    return tokenizer.decode(tokenizer.encode(lower_caption(answer)))
