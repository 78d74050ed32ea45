import pytest
import torch
from torch.testing import assert_close

from mplug.config.schema import VisionConfig
from mplug.models.vision import VisionTransformer
from tests.models.small import PATCHES, enliven, pixels, small_config


@pytest.fixture
def vision() -> VisionTransformer:
    torch.manual_seed(0)
    made = VisionTransformer(small_config().vision).eval()
    enliven(made)
    return made


def test_a_class_token_and_every_patch_come_out(vision: VisionTransformer) -> None:
    assert vision(pixels(2)).shape == (2, PATCHES, 14)


def test_other_pictures_in_the_batch_change_nothing(vision: VisionTransformer) -> None:
    batch = pixels(3)
    assert_close(vision(batch)[1:2], vision(batch[1:2]), atol=1e-5, rtol=1e-5)


def test_pictures_of_any_multiple_of_the_patch_can_be_read(vision: VisionTransformer) -> None:
    assert vision(torch.randn(2, 3, 8, 20)).shape == (2, 1 + 2 * 5, 14)


def test_other_sizes_are_refused(vision: VisionTransformer) -> None:
    with pytest.raises(ValueError, match="12 x 13 pixels do not divide into 4 px"):
        vision(torch.randn(1, 3, 12, 13))


def test_where_a_patch_lies_matters(vision: VisionTransformer) -> None:
    picture = pixels(1)
    assert not torch.allclose(vision(picture)[:, 0], vision(picture.flip(3).flip(2))[:, 0])


def test_a_convolution_stem_gives_as_many_places_as_patches() -> None:
    config = VisionConfig.model_validate(
        small_config().vision.model_dump() | {"stem": "convolution", "stem_channels": (6, 8)}
    )
    assert VisionTransformer(config)(pixels(2)).shape == (2, PATCHES, 14)
