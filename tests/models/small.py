"""A model with sizes that all differ, and weights large enough for everything to matter."""

import torch
from torch import Tensor, nn

from mplug.config.schema import (
    DecoderConfig,
    FusionConfig,
    MPlugConfig,
    Skill,
    TextConfig,
    VisionConfig,
)
from mplug.models.mplug import MPlug

PATCH, SIDE = 4, 12  # 9 patches and the class token
PATCHES = 10
VOCABULARY = 41


def small_config(
    *,
    connected_at: tuple[int, ...] = (1,),
    image_update: str = "replace",
    scheme: str = "skip",
    vision_dim: int = 14,
    skills: tuple[Skill, ...] = (),
) -> MPlugConfig:
    return MPlugConfig(
        vision=VisionConfig(
            image_size=SIDE,
            patch_size=PATCH,
            hidden_size=vision_dim,
            num_layers=2,
            num_heads=2,
            intermediate_size=22,
        ),
        text=TextConfig(
            vocab_size=VOCABULARY,
            hidden_size=18,
            num_layers=1,
            num_heads=3,
            intermediate_size=26,
            max_positions=31,
            dropout=0.5,
        ),
        fusion=FusionConfig.model_validate(
            {
                "scheme": scheme,
                "num_layers": 4,
                "connected_at": connected_at,
                "image_update": image_update,
            }
        ),
        decoder=DecoderConfig(num_layers=3),
        embed_dim=7,
        skills=skills,
    )


def enliven(module: nn.Module, *, seed: int = 0) -> None:
    """Weights so large that a wrong mask or order cannot hide behind small activations."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)


def small_model(config: MPlugConfig | None = None, *, seed: int = 0) -> MPlug:
    torch.manual_seed(seed)
    model = MPlug(config or small_config()).eval()
    enliven(model, seed=seed)
    with torch.no_grad():
        model.temperature.fill_(0.07)
    return model


def pixels(images: int, *, seed: int = 1) -> Tensor:
    return torch.randn(images, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def words(*lengths: int, width: int | None = None, seed: int = 2) -> tuple[Tensor, Tensor]:
    """Random texts of the given lengths, padded with 0, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    longest = width or max(lengths)
    ids = torch.randint(5, VOCABULARY, (len(lengths), longest), generator=generator)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return ids.masked_fill(~mask, 0), mask
