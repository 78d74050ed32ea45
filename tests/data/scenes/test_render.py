import numpy as np
import pytest

from mplug.data.scenes import world
from mplug.data.scenes.render import MAX_SHARED, STRIPES, Renderer, background
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.sprites import PAINTS, colour_share, painted

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


@pytest.mark.parametrize("colour", PAINTS)
def test_a_painted_drawing_is_of_its_colour_nearly_everywhere(colour: str) -> None:
    for artist in world.artist_names():
        for name in world.World.load(concepts=8, seed=0).names:
            pixels = world.drawing(artist, name)
            opaque = pixels[pixels[..., 3] >= 200][None, :, :3]
            shades = painted(opaque, colour=colour)[0]
            assert colour_share(shades, colour) > 0.8, (artist, name)
            assert len(np.unique(shades, axis=0)) > 2


def test_a_share_of_drawings_is_painted_but_none_whose_name_holds_a_colour() -> None:
    names = ["horse", "red apple"]
    renderer = Renderer(("noto", "twemoji"), 64, painted=0.4, repainted=True)
    placed = [
        each
        for seed in range(100)
        for each in renderer.scene(names, random=np.random.default_rng(seed)).objects
    ]
    painted_ones = [each for each in placed if each.painted]
    assert 25 < len(painted_ones) < 55
    assert {each.name for each in painted_ones} == {"horse"}
    assert {each.colour for each in painted_ones} == set(PAINTS)
    assert all(each.colour is None for each in placed if not each.painted)


def test_a_screen_stands_where_no_object_hides_it() -> None:
    renderer = Renderer(("noto", "twemoji"), 64, screened=True)
    for seed in range(30):
        scene = renderer.scene(NAMES[:3], random=np.random.default_rng(seed))
        screen = scene.screen
        assert screen is not None
        assert 0 <= screen.x0 < screen.x1 <= 64
        assert 0 <= screen.y0 < screen.y1 <= 64
        assert all(screen.shared(each.box) <= MAX_SHARED for each in scene.objects)
        region = scene.image[screen.y0 : screen.y1, screen.x0 : screen.x1].reshape(-1, 3)
        striped = (region == STRIPES[0]).all(axis=1) | (region == STRIPES[1]).all(axis=1)
        assert striped.mean() > 0.75
