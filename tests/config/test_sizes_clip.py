import pytest
import torch

from mplug.config.sizes_clip import CLIP_SIZES, clip_size
from mplug.models.clip import Clip

# Of the published weights.
PARAMETERS = {
    "rn50": 102_007_137,
    "rn101": 119_688_033,
    "rn50x4": 178_300_601,
    "rn50x16": 290_979_217,
    "rn50x64": 623_258_305,
    "vit-b32": 151_277_313,
    "vit-b16": 149_620_737,
    "vit-l14": 427_616_513,
    "vit-l14-336": 427_944_193,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_published_size_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = Clip(clip_size(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_every_size_is_one_of_those() -> None:
    assert set(CLIP_SIZES) == {"tiny", *PARAMETERS}
