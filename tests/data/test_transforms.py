import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mplug.data.transforms import (
    MEAN,
    STD,
    FinetuneAugmentation,
    PretrainAugmentation,
    RecolourAugmentation,
    random_flip,
    random_resized_crop,
    to_array,
    to_image,
)


def picture(size: tuple[int, int] = (50, 30)) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_values_are_normalised_with_the_statistics_of_clip() -> None:
    array = to_array(Image.new("RGB", (7, 9), (255, 0, 128)), size=5)
    assert array.shape == (3, 5, 5)
    assert array.dtype == np.float32
    assert array[0, 0, 0] == pytest.approx((1 - 0.48145466) / 0.26862954)
    assert array[1, 0, 0] == pytest.approx(-0.4578275 / 0.26130258)
    assert array[2, 0, 0] == pytest.approx((128 / 255 - 0.40821073) / 0.27577711)


def slow_array(image: Image.Image, *, size: int) -> np.ndarray:
    """The arithmetic on every pixel: the twin of looking values up."""
    values = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC).convert("RGB"))
    normalised = (values.astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


@pytest.mark.parametrize(("mode", "size"), [("RGB", 64), ("L", 37), ("CMYK", 37)])
def test_values_looked_up_are_the_bits_that_arithmetic_gives(mode: str, size: int) -> None:
    image = picture((64, 64)).convert(mode)
    array, slow = to_array(image, size=size), slow_array(image, size=size)
    assert array.flags.c_contiguous
    assert array.dtype == slow.dtype
    np.testing.assert_array_equal(array, slow)


@pytest.mark.parametrize("size", [(640, 480), (97, 203), (31, 17)])
def test_the_quick_filter_is_pillows_but_for_rounding(size: tuple[int, int]) -> None:
    array, slow = to_array(picture(size), size=59), slow_array(picture(size), size=59)
    levels = np.abs(array - slow) * STD[:, None, None] * 255
    assert levels.max() < 2.5
    assert (levels > 0.5).mean() < 0.02


def test_a_picture_of_the_right_size_comes_back_unchanged() -> None:
    image = picture((12, 12))
    assert to_image(to_array(image, size=12)).tobytes() == image.tobytes()


def test_resizing_does_not_keep_the_aspect() -> None:
    wide = Image.new("RGB", (100, 10), "black")
    wide.paste((255, 255, 255), (50, 0, 100, 10))
    array = to_array(wide, size=10)
    assert array[0, :, 0].max() < 0 < array[0, :, 9].min()


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(0, 1000),
    st.sampled_from(
        [
            PretrainAugmentation(size=11),
            FinetuneAugmentation(size=11),
            RecolourAugmentation(size=11),
        ]
    ),
)
def test_any_picture_becomes_a_square_and_the_seed_decides_it(
    size: tuple[int, int], seed: int, augmentation: PretrainAugmentation
) -> None:
    def once() -> tuple[bytes, str]:
        random = np.random.default_rng(seed)
        image, caption = augmentation(Image.new("RGB", size, "red"), "a cat", random=random)
        assert (image.size, image.mode) == ((11, 11), "RGB")
        return image.tobytes(), caption

    assert once() == once()


def test_different_seeds_give_different_pictures() -> None:
    augmentation = PretrainAugmentation(size=16)
    drawn = {
        augmentation(picture(), "a", random=np.random.default_rng(seed))[0].tobytes()
        for seed in range(20)
    }
    assert len(drawn) == 20


def ramp() -> Image.Image:
    """Red is the place across, green the place down, in 0..255 over 256 x 256 pixels."""
    across, down = np.meshgrid(np.arange(256), np.arange(256))
    return Image.fromarray(np.stack([across, down, across], axis=2).astype(np.uint8))


@pytest.mark.parametrize("smallest", [0.2, 0.5])
def test_crops_keep_at_least_the_given_share_within_the_aspects(smallest: float) -> None:
    random, areas = np.random.default_rng(0), []
    for _ in range(300):
        crop = random_resized_crop(ramp(), size=64, smallest_share=smallest, random=random)
        values = np.asarray(crop).astype(float)
        width = (values[32, -1, 0] - values[32, 0, 0]) / 63 * 64
        height = (values[-1, 32, 1] - values[0, 32, 1]) / 63 * 64
        areas.append(width * height / 256**2)
        assert 0.7 < width / height < 1.43
    assert min(areas) == pytest.approx(smallest, abs=0.05)
    assert max(areas) > 0.9


def test_half_of_the_pictures_are_flipped_with_their_words() -> None:
    image, random, flipped = picture(), np.random.default_rng(0), 0
    mirror = ImageOps.mirror(image).tobytes()
    for _ in range(200):
        changed, caption = random_flip(image, "a cat left of a dog", random=random)
        is_mirrored = changed.tobytes() == mirror
        flipped += is_mirrored
        assert caption == ("a cat right of a dog" if is_mirrored else "a cat left of a dog")
    assert 70 < flipped < 130


@pytest.mark.parametrize(
    ("caption", "may_flip"), [("what is left over", True), ("a cat left of a dog", False)]
)
def test_no_flip_where_the_words_cannot_follow_or_it_is_forbidden(
    caption: str, may_flip: bool
) -> None:
    image, random = picture(), np.random.default_rng(0)
    for _ in range(20):
        changed, same = random_flip(image, caption, random=random, may_flip=may_flip)
        assert (changed.tobytes(), same) == (image.tobytes(), caption)


def test_a_flip_that_is_skipped_leaves_later_draws_where_they_were() -> None:
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    random_flip(picture(), "a cat", random=one)
    random_flip(picture(), "what is left over", random=other)
    assert one.random() == other.random()
