"""A model on a gallery of scenes: does it find, name and describe, and better than blind?

Every figure has a 95% interval over scenes and stands beside what is had without seeing: chance,
the neighbour by pixels, the same model given a grey picture, the most frequent caption.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from mplug.config.schema import GenerationConfig, ScenesConfig
from mplug.data.scenes.phrases import RELATION, relation_holds, reverse_relation
from mplug.data.scenes.scene import OPPOSITE
from mplug.data.scenes.stream import Captioned, SceneExamples, to_pixels
from mplug.data.scenes.world import TEST_ARTISTS
from mplug.metrics.baselines import chance_recall
from mplug.metrics.bootstrap import mean_parts, micro_f1, ratio
from mplug.metrics.captions import SIMPLE_TOKENISER, CiderD, DocumentFrequency, simple_tokens
from mplug.metrics.objects import names_in, object_counts
from mplug.metrics.retrieval import grades, ground_truth, hits
from mplug.metrics.signature import (
    Signature,
    cider_signature,
    object_signature,
    retrieval_signature,
)
from mplug.tasks.figures import Figure, figure_of, value_of
from mplug.tasks.observer import Images, Observer, Texts
from mplug.tasks.untrained import Untrained

__all__ = ["Evaluation", "Figure", "Gallery", "SplitName", "evaluate"]

Floats = npt.NDArray[np.float64]
Phases = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

SplitName = Literal["training_artists", "validation_artist", "unseen_artist"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
GALLERY_SEED = 7  # the same object sets for every model and every artist
WAYS = ("image_to_text", "text_to_image")
BLANK = "blank_image"


@dataclass(frozen=True)
class Gallery:
    """Scenes whose captions all differ, and every name that a caption could hold."""

    split: str
    scenes: Sequence[Captioned]
    names: Collection[str]

    @classmethod
    def held_out(
        cls,
        config: ScenesConfig,
        *,
        split: SplitName,
        image_size: int,
        count: int,
        objects: Sequence[int] = (2,),
    ) -> Self:
        """`count` scenes of combinations that no training scene holds, by the artists of `split`.

        Every split has the same sets of objects, so that only the artists differ.

        Raises:
            ConfigError: the world holds out fewer combinations than asked for.
        """
        artists = artists_of(config, split)
        examples = SceneExamples(config, image_size=image_size)
        scenes = examples.gallery(count, artists=artists, seed=GALLERY_SEED, objects=objects)
        return cls(split, scenes, frozenset(examples.world.names))

    @property
    def captions(self) -> list[str]:
        """The caption to search each scene with."""
        return [each.caption for each in self.scenes]

    @property
    def objects(self) -> list[set[str]]:
        """What is in each scene."""
        return [set(each.scene.names) for each in self.scenes]


@dataclass(frozen=True)
class Evaluation:
    """A model's figures on a gallery, and what they were computed from.

    `figures` are what a model is judged by; `extras` show what it understands beyond names.
    """

    figures: tuple[Figure, ...]
    extras: tuple[Figure, ...]
    similarity: Floats = field(repr=False)  # [images, texts]
    captions: tuple[str, ...] = field(repr=False)


def artists_of(config: ScenesConfig, split: SplitName) -> tuple[str, ...]:
    """Whose drawings a split shows."""
    artists: dict[SplitName, tuple[str, ...]] = {
        "training_artists": config.artists,
        "validation_artist": config.validation_artists,
        "unseen_artist": TEST_ARTISTS,
    }
    return artists[split]


def silent(phase: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def evaluate(
    observer: Observer,
    gallery: Gallery,
    *,
    untrained: Untrained,
    generation: GenerationConfig,
    rerank: int = 0,
    progress: Phases = silent,
) -> Evaluation:
    """Measure a model on a gallery, each picture and each text encoded once.

    `rerank` is how many of the nearest of each query are also judged by matching; 0 leaves it out.
    """
    pixels = np.stack([to_pixels(each.scene.image) for each in gallery.scenes])
    images = observer.images(pixels, progress=partial(progress, "looking at pictures"))
    texts = observer.texts(gallery.captions)
    similarity = observer.similarity(images, texts)
    captions = observer.captions(
        images, generation=generation, progress=partial(progress, "writing captions")
    )
    grey = observer.images(np.zeros_like(pixels[:1]))
    (blind_caption,) = observer.captions(grey, generation=generation)
    said = untrained.captions_for(gallery.scenes)
    tables = {
        "pixel_nearest_neighbour": untrained.similarity(
            said["pixel_nearest_neighbour"], gallery.scenes
        ),
        # A grey picture is the same whatever it stands for, so its similarities tie exactly.
        BLANK: np.broadcast_to(observer.similarity(grey, texts), similarity.shape),
    }
    said[BLANK] = [blind_caption] * len(captions)
    recall = partial(_recall, gallery, similarity, tables)
    described = [*_described(gallery, captions, said, beams=generation.beams)]
    return Evaluation(
        figures=(*(recall(way, k=1) for way in WAYS), *described),
        extras=(
            *(recall(way, k=5) for way in WAYS),
            *_reranked(observer, images, texts, gallery, similarity, top=rerank, progress=progress),
            *_relations(gallery, captions),
            *_reversals(observer, images, texts, gallery),
        ),
        similarity=similarity,
        captions=tuple(captions),
    )


def _recall(
    gallery: Gallery, similarity: Floats, tables: Mapping[str, Floats], way: str, *, k: int
) -> Figure:
    """Recall at k, beside that of chance and of other tables of similarities."""
    count = len(similarity)
    metric = f"recall_at_{k}_{way}"
    baselines = {"chance": chance_recall(gallery=count, k=k)} | {
        name: float(_hits(table, way, k=k).mean()) for name, table in tables.items()
    }
    signature = retrieval_signature(metric, split=gallery.split, images=count, texts=count)
    parts = mean_parts(_hits(similarity, way, k=k))
    return figure_of("retrieval", signature, parts, baselines=baselines)


def _hits(table: Floats, way: str, *, k: int) -> Floats:
    """The chance that each query finds its own among the first k."""
    right = ground_truth(np.arange(len(table)), images=len(table))
    return hits(table if way == "image_to_text" else table.T, right, k=k)


def _described(
    gallery: Gallery,
    captions: Sequence[str],
    others: Mapping[str, Sequence[str]],
    *,
    beams: int,
) -> Iterator[Figure]:
    """Objects named and CIDEr-D of captions, beside those of other captions."""
    scenes, beam_setting = len(gallery.scenes), {"beams": str(beams)}

    def counts(texts: Sequence[str]) -> Floats:
        predicted = [names_in(text, gallery.names) for text in texts]
        return object_counts(predicted, gallery.objects).astype(np.float64)

    yield figure_of(
        "captioning",
        object_signature("object_f1", split=gallery.split, scenes=scenes, names=len(gallery.names)),
        counts(captions),
        statistic=micro_f1,
        baselines={name: value_of(counts(texts), micro_f1) for name, texts in others.items()},
        settings=beam_setting,
    )
    references = [[simple_tokens(text) for text in each.references] for each in gallery.scenes]
    scorer = CiderD(DocumentFrequency.of(references))

    def agreement(texts: Sequence[str]) -> Floats:
        return mean_parts(scorer.scores([simple_tokens(text) for text in texts], references))

    yield figure_of(
        "captioning",
        cider_signature(
            split=gallery.split,
            images=scenes,
            references=sum(map(len, references)),
            tokeniser=SIMPLE_TOKENISER,
            document_frequency="references",
        ),
        agreement(captions),
        baselines={name: value_of(agreement(texts), ratio) for name, texts in others.items()},
        settings=beam_setting,
    )


def _reranked(
    observer: Observer,
    images: Images,
    texts: Texts,
    gallery: Gallery,
    similarity: Floats,
    *,
    top: int,
    progress: Phases,
) -> Iterator[Figure]:
    """Recall at 1 when the nearest `top` are put in order by matching, alone and added to ITC."""
    if not top:
        return
    top, count = min(top, len(similarity)), len(similarity)
    for way in WAYS:
        table = similarity if way == "image_to_text" else similarity.T
        nearest = np.argsort(-table, axis=1, kind="stable")[:, :top]
        queries, found = np.repeat(np.arange(count), top), nearest.reshape(-1)
        rows = (queries, found) if way == "image_to_text" else (found, queries)
        matches = observer.match(
            images,
            texts,
            image_rows=rows[0],
            text_rows=rows[1],
            progress=partial(progress, "matching pairs"),
        )
        judged, matched = np.zeros(table.shape, dtype=bool), np.zeros(table.shape)
        judged[queries, found], matched[queries, found] = True, matches
        right = ground_truth(np.arange(count), images=count)
        baseline = {"similarity_alone": float(hits(table, right, k=1).mean())}
        for name, scores in [
            ("itm", matched),
            ("itc_and_itm", matched + table / observer.temperature),
        ]:
            graded = grades(table, rerank_scores=scores, ranked_mask=judged)
            metric = f"recall_at_1_{way}_by_{name}"
            signature = retrieval_signature(metric, split=gallery.split, images=count, texts=count)
            yield figure_of(
                "retrieval",
                signature,
                mean_parts(hits(graded, right, k=1)),
                baselines=baseline,
                settings={"reranked": str(top)},
            )


def _relations(gallery: Gallery, captions: Sequence[str]) -> Iterator[Figure]:
    """Of captions that name just what is there and state a relation: is it true?"""
    true, guessed = [], []
    for text, each, objects in zip(captions, gallery.scenes, gallery.objects, strict=True):
        holds = relation_holds(text, each.scene)
        if holds is None or names_in(text, gallery.names) != objects:
            continue
        true.append(holds)
        others = [RELATION.sub(word, text, count=1) for word in OPPOSITE]
        guessed.append(np.mean([bool(relation_holds(other, each.scene)) for other in others]))
    if true:
        counts = {"scenes": len(gallery.scenes), "stated": len(true)}
        yield figure_of(
            "captioning",
            Signature("relation_accuracy", gallery.split, counts, {"among": "right_objects"}),
            mean_parts(true),
            baselines={"chance": float(np.mean(guessed))},
        )


def _reversals(
    observer: Observer, images: Images, texts: Texts, gallery: Gallery
) -> Iterator[Figure]:
    """Does matching prefer a true caption to the same with its relation turned round?"""
    turned = [(row, reverse_relation(text)) for row, text in enumerate(gallery.captions)]
    pairs = [(row, text) for row, text in turned if text is not None]
    if not pairs:
        return
    rows = np.array([row for row, _ in pairs])
    true = observer.match(images, texts, image_rows=rows, text_rows=rows)
    false = observer.match(
        images,
        observer.texts([text for _, text in pairs]),
        image_rows=rows,
        text_rows=np.arange(len(rows)),
    )
    preferred = np.where(true == false, 0.5, true > false)
    yield figure_of(
        "matching",
        Signature("true_over_reversed", gallery.split, {"pairs": len(pairs)}, {"ties": "half"}),
        mean_parts(preferred),
        baselines={"chance": 0.5},
    )
