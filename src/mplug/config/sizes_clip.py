"""CLIP's sizes: the nine that were published (paper, tables 19 and 20), and one for two cores."""

from typing import NamedTuple

from mplug.config.schema import VisionConfig
from mplug.config.schema_clip import (
    BagOfWordsConfig,
    CausalTextConfig,
    ClipConfig,
    ResNetConfig,
)

VOCABULARY = 49408  # byte pairs, start and end
CONTEXT = 77  # tokens, start and end among them
TEXT_LAYERS = 12
HEAD_WIDTH = 64


class ResNetSize(NamedTuple):
    """A row of the paper's table 19."""

    image_size: int
    stages: tuple[int, int, int, int]
    width: int
    embed_dim: int
    text_width: int


class TransformerSize(NamedTuple):
    """A row of the paper's table 20."""

    image_size: int
    patch_size: int
    layers: int
    width: int
    embed_dim: int
    text_width: int


RESNETS = {
    "rn50": ResNetSize(224, (3, 4, 6, 3), 64, 1024, 512),
    "rn101": ResNetSize(224, (3, 4, 23, 3), 64, 512, 512),
    "rn50x4": ResNetSize(288, (4, 6, 10, 6), 80, 640, 640),
    "rn50x16": ResNetSize(384, (6, 8, 18, 8), 96, 768, 768),
    "rn50x64": ResNetSize(448, (3, 15, 36, 10), 128, 1024, 1024),
}
TRANSFORMERS = {
    "vit-b32": TransformerSize(224, 32, 12, 768, 512, 512),
    "vit-b16": TransformerSize(224, 16, 12, 768, 512, 512),
    "vit-l14": TransformerSize(224, 14, 24, 1024, 768, 768),
    "vit-l14-336": TransformerSize(336, 14, 24, 1024, 768, 768),
}
CLIP_SIZES = ("tiny", *RESNETS, *TRANSFORMERS)


def clip_size(name: str) -> ClipConfig:
    """The configuration of one of `CLIP_SIZES`.

    Raises:
        KeyError: there is no such size.
    """
    if name == "tiny":
        return tiny()
    if name in RESNETS:
        size = RESNETS[name]
        return ClipConfig(
            vision=ResNetConfig(
                image_size=size.image_size,
                stages=size.stages,
                width=size.width,
                num_heads=size.width * 32 // HEAD_WIDTH,
            ),
            text=_text(size.text_width),
            embed_dim=size.embed_dim,
        )
    patches = TRANSFORMERS[name]
    return ClipConfig(
        vision=VisionConfig(
            image_size=patches.image_size,
            patch_size=patches.patch_size,
            hidden_size=patches.width,
            num_layers=patches.layers,
            num_heads=patches.width // HEAD_WIDTH,
            intermediate_size=4 * patches.width,
        ),
        text=_text(patches.text_width),
        embed_dim=patches.embed_dim,
    )


def tiny() -> ClipConfig:
    """For two cores: 64 px through a stride-8 convolution stem, words without their order."""
    return ClipConfig(
        vision=VisionConfig(
            image_size=64,
            patch_size=8,
            stem="convolution",
            stem_channels=(32, 64, 128),
            hidden_size=128,
            num_layers=1,
            num_heads=4,
            intermediate_size=512,
        ),
        text=BagOfWordsConfig(vocab_size=1000, hidden_size=128),
        embed_dim=128,
        image_pooling="max",
    )


def _text(width: int) -> CausalTextConfig:
    return CausalTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_layers=TEXT_LAYERS,
        num_heads=width // HEAD_WIDTH,
        intermediate_size=4 * width,
        max_positions=CONTEXT,
    )
