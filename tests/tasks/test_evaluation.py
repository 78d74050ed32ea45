from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mplug.config.schema import GenerationConfig, ScenesConfig
from mplug.data.scenes.phrases import reverse_relation
from mplug.data.scenes.stream import SceneExamples, to_pixels
from mplug.errors import ConfigError
from mplug.tasks.evaluation import Evaluation, Figure, Gallery, evaluate
from mplug.tasks.observer import Observer, Texts
from mplug.tasks.untrained import Untrained
from tests.tiny import tiny_model, tiny_tokenizer

WORLD = ScenesConfig(concepts=12, held_out_pairs=25)
COUNT = 20
GREY = -1


@dataclass(frozen=True)
class Knowing(Observer):
    """Stands in for a model that knows the gallery by heart; of a grey picture it knows nothing.

    With `reversed_relations` it turns round every relation, and believes that.
    """

    gallery: Gallery = field(kw_only=True)
    reversed_relations: bool = False
    heard: list[str] = field(default_factory=list)

    def images(self, pixels: Any, *, progress: Any = None) -> Tensor:
        known = [to_pixels(each.scene.image) for each in self.gallery.scenes]
        rows = [
            next((row for row, one in enumerate(known) if np.array_equal(one, each)), GREY)
            for each in pixels
        ]
        return torch.tensor(rows, dtype=torch.float32)[:, None, None]

    def texts(self, texts: Sequence[str]) -> Texts:
        self.heard.extend(texts)
        rows = torch.arange(len(self.heard) - len(texts), len(self.heard)).float()
        return Texts(rows[:, None, None], torch.ones(len(texts), 1, dtype=torch.bool))

    def similarity(self, images: Tensor, texts: Texts) -> Any:
        return np.array(
            [
                [float(self.true(int(row)) == self.heard[int(text)]) for text in texts.states]
                for row in images
            ]
        )

    def match(
        self, images: Tensor, texts: Texts, *, image_rows: Any, text_rows: Any, progress: Any = None
    ) -> Any:
        pairs = zip(image_rows, text_rows, strict=True)
        return np.array(
            [
                float(self.said(int(images[row])) == self.heard[int(texts.states[text])])
                for row, text in pairs
            ]
        )

    def captions(self, images: Tensor, *, generation: Any, progress: Any = None) -> list[str]:
        return [self.said(int(row)) for row in images]

    def true(self, row: int) -> str:
        return "" if row == GREY else self.gallery.scenes[row].caption

    def said(self, row: int) -> str:
        text = self.true(row)
        return (reverse_relation(text) or text) if self.reversed_relations else text


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return Gallery.held_out(WORLD, split="unseen_artist", image_size=32, count=COUNT)


@pytest.fixture(scope="module")
def untrained() -> Untrained:
    return Untrained.remember(SceneExamples(WORLD, image_size=32), count=60, seed=0)


def evaluated(
    gallery: Gallery, untrained: Untrained, *, reversed_relations: bool = False, rerank: int = 0
) -> Evaluation:
    observer = Knowing(
        tiny_model(), tiny_tokenizer(), gallery=gallery, reversed_relations=reversed_relations
    )
    return evaluate(
        observer, gallery, untrained=untrained, generation=GenerationConfig(), rerank=rerank
    )


def figure(evaluation: Evaluation, metric: str) -> Figure:
    (found,) = [each for each in (*evaluation.figures, *evaluation.extras) if each.metric == metric]
    return found


def test_who_knows_everything_is_above_every_baseline(
    gallery: Gallery, untrained: Untrained
) -> None:
    evaluation = evaluated(gallery, untrained)
    assert [each.metric for each in evaluation.figures] == [
        "recall_at_1_image_to_text",
        "recall_at_1_text_to_image",
        "object_f1",
        "cider_d",
    ]
    for each in evaluation.figures:
        assert each.low > max(each.baselines.values())
        assert each.low <= each.value <= each.high
        assert each.n == COUNT
    assert figure(evaluation, "object_f1").value == 1.0
    assert figure(evaluation, "relation_accuracy").value == 1.0
    assert figure(evaluation, "true_over_reversed").value == 1.0


def test_every_figure_stands_beside_what_needs_no_sight(
    gallery: Gallery, untrained: Untrained
) -> None:
    evaluation = evaluated(gallery, untrained)
    blind = {"chance", "pixel_nearest_neighbour", "blank_image"}
    assert set(figure(evaluation, "recall_at_1_text_to_image").baselines) == blind
    assert set(figure(evaluation, "object_f1").baselines) == blind | {"most_frequent_caption"}
    assert set(figure(evaluation, "cider_d").baselines) == blind | {"most_frequent_caption"}


def test_a_grey_picture_finds_what_chance_finds(gallery: Gallery, untrained: Untrained) -> None:
    for way in ("image_to_text", "text_to_image"):
        baselines = figure(evaluated(gallery, untrained), f"recall_at_1_{way}").baselines
        assert baselines["blank_image"] == pytest.approx(1 / COUNT)
        assert baselines["chance"] == pytest.approx(1 / COUNT)


def test_who_turns_relations_round_names_all_objects_but_states_what_is_false(
    gallery: Gallery, untrained: Untrained
) -> None:
    evaluation = evaluated(gallery, untrained, reversed_relations=True)
    assert figure(evaluation, "object_f1").value == 1.0
    relation = figure(evaluation, "relation_accuracy")
    assert relation.value == 0.0
    assert relation.baselines == {"chance": 0.25}  # one of four words is true
    assert figure(evaluation, "true_over_reversed").value == 0.0
    assert figure(evaluation, "cider_d").value < 10.0


def test_reranking_is_left_out_unless_asked_for(gallery: Gallery, untrained: Untrained) -> None:
    plain, reranked = evaluated(gallery, untrained), evaluated(gallery, untrained, rerank=4)
    added = {each.metric for each in reranked.extras} - {each.metric for each in plain.extras}
    assert added == {
        f"recall_at_1_{way}_by_{name}"
        for way in ("image_to_text", "text_to_image")
        for name in ("itm", "itc_and_itm")
    }


def test_matching_that_knows_nothing_leaves_reranked_places_to_similarity(
    gallery: Gallery, untrained: Untrained
) -> None:
    believes_reversed = evaluated(gallery, untrained, reversed_relations=True, rerank=4)
    by_itm = figure(believes_reversed, "recall_at_1_image_to_text_by_itm")
    listed = sum(reverse_relation(text) is None for text in gallery.captions)
    assert by_itm.value == pytest.approx(1.0)  # every pair is refused alike, so ITC decides
    assert by_itm.baselines == {"similarity_alone": 1.0}
    assert listed < COUNT


def test_figures_say_how_they_were_computed(gallery: Gallery, untrained: Untrained) -> None:
    evaluation = evaluated(gallery, untrained, rerank=4)
    assert "beams:5" in figure(evaluation, "object_f1").signature
    assert "reranked:4" in figure(evaluation, "recall_at_1_image_to_text_by_itm").signature
    assert "split:unseen_artist" in figure(evaluation, "cider_d").signature


def test_galleries_differ_in_their_artists_only() -> None:
    both = [
        Gallery.held_out(WORLD, split=split, image_size=32, count=COUNT).objects
        for split in ("training_artists", "unseen_artist")
    ]
    assert both[0] == both[1]
    assert len({frozenset(names) for names in both[0]}) == COUNT


def test_a_gallery_larger_than_the_world_is_refused() -> None:
    with pytest.raises(ConfigError, match="held_out_pairs"):
        Gallery.held_out(WORLD, split="unseen_artist", image_size=32, count=26)
