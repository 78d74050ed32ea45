import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.phrases import caption, concept_names
from mplug.data.scenes.stream import Captioned, SceneExamples
from mplug.tasks.untrained import Untrained

WORLD = ScenesConfig(concepts=9, held_out_pairs=11)
SEED, COUNT = 3, 40


@pytest.fixture(scope="module")
def scenes() -> SceneExamples:
    return SceneExamples(WORLD, image_size=32)


@pytest.fixture(scope="module")
def untrained(scenes: SceneExamples) -> Untrained:
    return Untrained.remember(scenes, count=COUNT, seed=SEED)


def test_it_remembers_training_scenes_only(scenes: SceneExamples, untrained: Untrained) -> None:
    assert len(untrained.captions) == COUNT
    for text in untrained.captions:
        assert scenes.world.may_meet(concept_names(text, scenes.world.names))


def test_the_neighbour_of_a_scene_it_remembers_is_that_scene(
    scenes: SceneExamples, untrained: Untrained
) -> None:
    random = np.random.default_rng([WORLD.seed, SEED])
    renderer, seen = scenes.plain_renderer(), []
    for _ in range(7):
        scene = renderer.scene(scenes.draw_names(random), random=random)
        text = caption(scene, random=random)
        seen.append(Captioned(scene, text, (text,)))
    said = untrained.captions_for(seen)
    assert said["pixel_nearest_neighbour"] == [each.caption for each in seen]
    table = untrained.similarity(said["pixel_nearest_neighbour"], seen)
    assert np.diag(table) == pytest.approx(np.ones(7))


def test_one_common_caption_for_all_and_a_drawn_one_for_each(
    scenes: SceneExamples, untrained: Untrained
) -> None:
    gallery = scenes.gallery(10, artists=WORLD.artists, seed=0)
    said = untrained.captions_for(gallery)
    assert len(set(said["most_frequent_caption"])) == 1
    assert set(said["chance"]) <= set(untrained.captions)
    assert said == untrained.captions_for(gallery)
