from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.items import ENTAILMENT
from mplug.data.regions import scene_bank as module
from mplug.data.regions.batch import collate_region_tasks, collate_regions
from mplug.data.regions.scene_bank import SceneBank, class_count, scene_bank
from mplug.data.regions.scene_examples import SceneRegions, SceneRegionTasks, answers_of
from mplug.data.regions.stored import Floats
from mplug.data.scenes.stream import SceneExamples
from mplug.data.tokenizer import Tokenizer

CONFIG = ScenesConfig(concepts=20, max_objects=3, held_out_pairs=30)
SIZE = 24  # pixels


def describe(pixels: Floats, boxes: Sequence[Floats]) -> list[Floats]:
    """The mean colour of the picture, and the box's left side."""
    means = pixels.mean(axis=(2, 3))
    return [
        np.concatenate([np.tile(mean, (len(each), 1)), each[:, :1]], axis=1)
        for mean, each in zip(means, boxes, strict=True)
    ]


def bank(folder: Path, *, count: int = 40, encoder: str = "a") -> SceneBank:
    return scene_bank(
        folder,
        CONFIG,
        split="train",
        count=count,
        image_size=SIZE,
        encoder=encoder,
        describe=lambda: describe,
    )


@lru_cache
def kept() -> SceneBank:
    return bank(Path(mkdtemp()))


@lru_cache
def pictures() -> SceneRegions:
    corpus = SceneExamples(CONFIG, image_size=SIZE).captions_for_tokenizer()
    tokenizer = Tokenizer.train(corpus, vocab_size=500)
    return SceneRegions(kept(), CONFIG, split="train", tokenizer=tokenizer, max_words=19)


def test_a_bank_is_read_where_it_was_made(tmp_path: Path) -> None:
    made = bank(tmp_path)
    (file,) = tmp_path.iterdir()
    again = scene_bank(
        tmp_path,
        CONFIG,
        split="train",
        count=40,
        image_size=SIZE,
        encoder="a",
        describe=lambda: pytest.fail("it has been described before"),
    )
    assert file.suffix == ".npz"
    for one, other in zip(made.regions, again.regions, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.boxes, other.boxes)
    assert [scene.objects for scene in made.scenes] == [scene.objects for scene in again.scenes]


def test_other_settings_make_another_bank(tmp_path: Path) -> None:
    bank(tmp_path, count=3)
    bank(tmp_path, count=3, encoder="b")
    bank(tmp_path, count=4)
    assert len(list(tmp_path.iterdir())) == 3


def test_every_object_is_a_region_and_so_is_a_screen() -> None:
    for scene, regions in zip(kept().scenes, kept().regions, strict=True):
        assert len(regions) == len(scene.objects) + (scene.screen is not None)
        assert regions.soft_labels is not None
        np.testing.assert_allclose(regions.soft_labels.sum(axis=1), 1, atol=1e-5)
        assert regions.soft_labels.shape[1] == class_count(CONFIG) == 22
        right = regions.soft_labels.argmax(axis=1)
        names = pictures().scenes.world.names
        assert [names[place - 1] for place in right[: len(scene.objects)]] == list(scene.names)
        assert (right[len(scene.objects) :] == 21).all()
        np.testing.assert_allclose(regions.features[:, 3], regions.boxes[:, 0], atol=1e-3)
    assert any(scene.screen for scene in kept().scenes)


def test_an_example_is_a_function_of_seed_and_position() -> None:
    one, other = (pictures().example(5, seed=3) for _ in range(2))
    assert one.ids == other.ids
    assert one.image_id == other.image_id
    more = {pictures().example(place, seed=3).image_id for place in range(30)}
    assert len(more) > 15
    assert len(collate_regions([one, pictures().example(6, seed=3)]).ids) == 2


def test_every_task_asks_of_the_pictures_it_names() -> None:
    answers = answers_of(kept(), CONFIG)
    tasks = SceneRegionTasks(
        pictures(),
        tasks=("answer", "retrieve", "compare", "ground", "entail"),
        answers={answer: place for place, answer in enumerate(answers)},
    )
    examples = [tasks.example(place, seed=1) for place in range(24)]
    batch = collate_region_tasks(examples)
    assert set(batch.items) == {"answer", "compare", "ground", "entail"}
    assert batch.items["compare"].images.shape[1] == 2
    assert batch.items["answer"].target_ids.max() < len(answers)
    assert set(batch.items["entail"].labels.tolist()) <= set(range(len(ENTAILMENT)))
    assert batch.pairs is not None
    for row, label in zip(batch.items["ground"].images, batch.items["ground"].labels, strict=True):
        assert batch.regions.mask[row[0], label]
    assert len(batch.regions) == 3 * len(examples)


def test_answers_are_names_numbers_places_and_more() -> None:
    answers = answers_of(kept(), CONFIG)
    assert {"yes", "no", "2", "left"} <= set(answers)
    assert list(answers) == sorted(set(answers))


def test_the_order_of_classes_is_the_worlds() -> None:
    assert module.scenes_names(CONFIG) == pictures().scenes.world.names
