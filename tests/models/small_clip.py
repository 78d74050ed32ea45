"""CLIP models with sizes that all differ, and weights large enough for everything to matter."""

import torch

from mplug.config.schema import VisionConfig
from mplug.config.schema_clip import (
    BagOfWordsConfig,
    CausalTextConfig,
    ClipConfig,
    ResNetConfig,
)
from mplug.models.clip import Clip
from tests.models.small import enliven

VOCABULARY, EMBED = 41, 7
TRANSFORMER = VisionConfig(
    image_size=12, patch_size=4, hidden_size=14, num_layers=2, num_heads=2, intermediate_size=22
)
RESNET = ResNetConfig(image_size=96, stages=(1, 2, 1, 3), width=2, num_heads=4)
CAUSAL = CausalTextConfig(
    vocab_size=VOCABULARY,
    hidden_size=18,
    num_layers=3,
    num_heads=3,
    intermediate_size=26,
    max_positions=9,
)
BAG = BagOfWordsConfig(vocab_size=VOCABULARY, hidden_size=11)


def clip_config(
    vision: VisionConfig | ResNetConfig = TRANSFORMER,
    text: CausalTextConfig | BagOfWordsConfig = CAUSAL,
) -> ClipConfig:
    return ClipConfig(vision=vision, text=text, embed_dim=EMBED)


def small_clip(config: ClipConfig | None = None, *, seed: int = 0) -> Clip:
    torch.manual_seed(seed)
    model = Clip(config or clip_config()).eval()
    enliven(model, seed=seed)
    return model


def pictures(config: ClipConfig, images: int, *, seed: int = 1) -> torch.Tensor:
    side = config.vision.image_size
    return torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(seed))
