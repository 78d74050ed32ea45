from collections import Counter

import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.grounding import SHARES, phrases
from mplug.data.scenes.scene import Box, Placed, Scene
from mplug.data.scenes.stream import SceneExamples
from tests.data.scenes.truth import fits

EXAMPLES = SceneExamples(ScenesConfig(concepts=30, held_out_pairs=0, max_objects=3), image_size=32)


def test_exactly_one_object_fits_a_phrase_and_the_box_is_its_own() -> None:
    kinds: Counter[str] = Counter()
    for position in range(500):
        scene, _ = EXAMPLES.captioned_scene(position, seed=0)
        for phrase in phrases(scene, random=np.random.default_rng(position), count=2):
            assert [each.box for each in fits(scene, phrase.text)] == [phrase.box]
            kinds[phrase.kind] += 1
    assert set(kinds) == set(SHARES)
    assert all(count > 0.08 * kinds.total() for count in kinds.values())


def test_phrases_are_a_function_of_scene_and_random_numbers() -> None:
    scene, _ = EXAMPLES.captioned_scene(3, seed=0)
    one, other = (phrases(scene, random=np.random.default_rng(1), count=5) for _ in range(2))
    assert one == other
    assert len({each.text for each in one}) == len(one)


@pytest.mark.parametrize(
    ("names", "texts"), [(("tree", "palm tree"), set()), (("tree",), {"the tree"})]
)
def test_a_name_that_fits_two_things_is_no_phrase(names: tuple[str, ...], texts: set[str]) -> None:
    boxes = [Box(0, 0, 16, 16), Box(0, 2, 16, 18)]
    placed = tuple(Placed(name, "noto", box) for name, box in zip(names, boxes, strict=False))
    scene = Scene(np.zeros((96, 96, 3), dtype=np.uint8), placed)
    found = phrases(scene, random=np.random.default_rng(0), count=20)
    assert {each.text for each in found} == texts
