"""A UNITER with sizes that all differ, and weights large enough for everything to matter."""

from typing import Any

import torch
from torch import Tensor

from mplug.config.schema import TextConfig
from mplug.config.schema_uniter import RegionsConfig, UniterConfig
from mplug.models.uniter import Uniter
from mplug.nn.regions import Regions
from tests.models.small import VOCABULARY, enliven

FEATURES, CLASSES, ANSWERS, DIM = 7, 9, 11, 18
ALL_SKILLS = ("answer", "retrieve", "compare", "ground", "entail")


def small_uniter_config(**changes: Any) -> UniterConfig:
    return UniterConfig(
        text=TextConfig(
            vocab_size=VOCABULARY,
            hidden_size=DIM,
            num_layers=2,
            num_heads=3,
            intermediate_size=26,
            max_positions=31,
            dropout=0.5,
        ),
        regions=RegionsConfig(feature_size=FEATURES, classes=CLASSES),
        **changes,
    )


def small_uniter(*, seed: int = 0, **changes: Any) -> Uniter:
    torch.manual_seed(seed)
    model = Uniter(small_uniter_config(**changes)).eval()
    enliven(model, seed=seed)
    return model


def some_regions(*counts: int, width: int | None = None, seed: int = 3) -> Regions:
    """Random regions, so many of each picture, padded with zeros."""
    generator = torch.Generator().manual_seed(seed)
    places = (len(counts), width or max(counts))
    mask = torch.arange(places[1]) < torch.tensor(counts)[:, None]
    features = torch.randn(*places, FEATURES, generator=generator)
    low = torch.rand(*places, 2, generator=generator) * 0.5
    boxes = torch.cat([low, low + torch.rand(*places, 2, generator=generator) * 0.5], dim=-1)
    return Regions(features * mask[..., None], boxes * mask[..., None], mask)


def spoilt(regions: Regions) -> Regions:
    """The same regions, with nonsense where there is none."""
    assert regions.mask is not None
    nothing = ~regions.mask[..., None]

    def spoil(values: Tensor) -> Tensor:
        return values.masked_fill(nothing, 9.0)

    return Regions(spoil(regions.features), spoil(regions.boxes), regions.mask)
