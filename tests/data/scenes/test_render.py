import numpy as np
import pytest

from mplug.data.scenes.render import MAX_SHARED, Renderer, background
from mplug.data.scenes.scene import Scene

NAMES = ["horse", "taxi", "pear", "violin"]


def scene_of(count: int, *, seed: int = 0, size: int = 64, augment: bool = False) -> Scene:
    renderer = Renderer(("noto", "twemoji"), size, 1.3, turned=augment, repainted=augment)
    return renderer.scene(NAMES[:count], random=np.random.default_rng(seed))


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_boxes_stay_inside_and_hardly_overlap(count: int, augment: bool) -> None:
    for seed in range(20):
        scene = scene_of(count, seed=seed, augment=augment)
        assert scene.names == tuple(NAMES[:count])
        boxes = [each.box for each in scene.objects]
        for place, box in enumerate(boxes):
            assert 0 <= box.x0 < box.x1 <= 64
            assert 0 <= box.y0 < box.y1 <= 64
            assert all(box.shared(other) <= MAX_SHARED for other in boxes[:place])


def test_a_box_holds_exactly_the_pixels_that_its_object_changes() -> None:
    for seed in range(10):
        scene = scene_of(1, seed=seed)
        empty = background(64, np.random.default_rng(seed))
        changed = np.abs(scene.image - empty).max(axis=2) > 8
        rows, columns = np.nonzero(changed)
        box = scene.objects[0].box
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.subtract(edges, box)).max() <= 1


def test_the_same_random_state_gives_the_same_picture() -> None:
    for augment in (False, True):
        one, other = (scene_of(2, seed=3, augment=augment) for _ in range(2))
        assert np.array_equal(one.image, other.image)
        assert one.objects == other.objects


@pytest.mark.parametrize("size", [48, 64, 96])
def test_the_picture_has_the_size_asked_for(size: int) -> None:
    assert scene_of(2, size=size).image.shape == (size, size, 3)


def test_without_augmentation_drawings_keep_their_colours() -> None:
    from mplug.data.scenes.world import drawing

    scene = scene_of(1, seed=1)
    box = scene.objects[0].box
    middle = scene.image[box.y0 : box.y1, box.x0 : box.x1].reshape(-1, 3).astype(int)
    stored = drawing(scene.objects[0].artist, "horse")
    common = np.median(stored[stored[..., 3] > 250][:, :3], axis=0)
    assert np.abs(middle - common).max(axis=1).min() < 12
