import numpy as np
import pytest
from PIL import Image

from mplug.data import augment
from mplug.data.augment import OPERATIONS, Operation, rand_augment, recolour


def picture(size: tuple[int, int] = (40, 30)) -> Image.Image:
    values = np.random.default_rng(1).integers(40, 200, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def pixels(image: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    return np.asarray(image).astype(np.int64)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_keep_size_and_mode_and_repeat_with_the_seed(operation: Operation) -> None:
    one = operation(picture(), np.random.default_rng(3))
    other = operation(picture(), np.random.default_rng(3))
    assert (one.size, one.mode) == ((40, 30), "RGB")
    assert np.array_equal(pixels(one), pixels(other))


def test_brightness_multiplies_every_value() -> None:
    bright = augment.brightness(Image.new("RGB", (2, 2), (100, 50, 200)), np.random.default_rng(0))
    assert bright.getpixel((0, 0)) == (136, 68, 255)


@pytest.mark.parametrize(
    ("operation", "axis"), [(augment.translate_x, 1), (augment.translate_y, 0)]
)
def test_translation_moves_by_seven_pixels_either_way(operation: Operation, axis: int) -> None:
    before = pixels(picture())
    seen = set()
    for seed in range(20):
        after = pixels(operation(picture(), np.random.default_rng(seed)))
        for shift in (-7, 7):
            kept = slice(7, None) if shift > 0 else slice(None, -7)
            filled = slice(None, 7) if shift > 0 else slice(-7, None)
            moved = np.roll(before, shift, axis=axis)
            if np.array_equal(after.swapaxes(0, axis)[kept], moved.swapaxes(0, axis)[kept]):
                seen.add(shift)
                assert (after.swapaxes(0, axis)[filled] == 128).all()
    assert seen == {-7, 7}


def test_shear_moves_rows_in_proportion_to_their_height() -> None:
    line = Image.new("RGB", (60, 50))
    line.paste((127, 127, 127), (20, 0, 21, 50))
    sheared = pixels(augment.shear_x(line, np.random.default_rng(0)))[:, :, 0] % 128
    top, bottom = (int(np.argmax(sheared[row])) for row in (0, 48))
    assert abs(abs(bottom - top) - 0.21 * 48) <= 1


def test_rotation_turns_about_the_centre_and_fills_with_grey() -> None:
    dot = Image.new("RGB", (41, 41))
    dot.paste((255, 255, 255), (19, 19, 22, 22))
    turned = pixels(augment.rotate(dot, np.random.default_rng(0)))
    assert turned[20, 20, 0] == 255
    assert (turned[0, 0] == 128).all()


def test_auto_contrast_reaches_both_ends() -> None:
    values = pixels(augment.auto_contrast(picture(), np.random.default_rng(0)))
    assert (values.min(), values.max()) == (0, 255)


def test_half_of_the_two_draws_change_nothing_and_all_operations_come_up() -> None:
    random, before = np.random.default_rng(0), pixels(picture())
    results = [pixels(rand_augment(picture(), random=random)) for _ in range(400)]
    unchanged = sum(np.array_equal(result, before) for result in results) / 400
    assert unchanged == pytest.approx(0.55**2, abs=0.07)  # each draw: half, and identity
    assert len({result.tobytes() for result in results}) > 50


def test_a_single_pixel_survives_everything() -> None:
    for operation in OPERATIONS:
        assert operation(picture((1, 1)), np.random.default_rng(0)).size == (1, 1)


def test_other_colours_keep_what_stands_where_and_repeat_with_the_seed() -> None:
    halves = Image.new("RGB", (8, 6), (200, 40, 40))
    halves.paste((40, 40, 200), (4, 0, 8, 6))
    drawn = [pixels(recolour(halves, random=np.random.default_rng(seed))) for seed in range(40)]
    for values in drawn:
        assert values.shape == (6, 8, 3)
        for half in (values[:, :4], values[:, 4:]):
            assert (half == half[0, 0]).all()
    reds = {tuple(values[0, 0]) for values in drawn}
    assert len(reds) > 30
    assert all(red == max(red, green, blue) for red, green, blue in reds)  # a hue turns little
    again = pixels(recolour(halves, random=np.random.default_rng(7)))
    np.testing.assert_array_equal(again, drawn[7])
