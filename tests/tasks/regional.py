"""A tiny UNITER, and batches of random regions for it."""

import torch

from mplug.config.schema import TextConfig
from mplug.config.schema_uniter import RegionsConfig, UniterConfig, UniterSkill
from mplug.data.regions.batch import PaddedRegions, RegionBatch
from mplug.models.uniter import Uniter
from mplug.tasks.words import Words

VOCAB, SPECIAL, CLASSES, FEATURES, ANSWERS = 29, 5, 7, 6, 11
CPU = torch.device("cpu")


def uniter(*skills: UniterSkill, seed: int = 0) -> Uniter:
    torch.manual_seed(seed)
    text = TextConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        intermediate_size=24,
        max_positions=13,
    )
    regions = RegionsConfig(feature_size=FEATURES, classes=CLASSES)
    return Uniter(UniterConfig(text=text, regions=regions, skills=skills, answers=ANSWERS))


def words() -> Words:
    ordinary = torch.arange(VOCAB) >= SPECIAL
    return Words(0, 3, 4, torch.arange(SPECIAL, VOCAB), ordinary)


def random_regions(pictures: int, *, most: int = 4, seed: int = 0) -> PaddedRegions:
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, most + 1, (pictures,), generator=generator)
    counts[0] = most
    mask = torch.arange(most) < counts[:, None]
    corners = torch.rand(pictures, most, 4, generator=generator).sort(dim=2).values
    labels = (4 * torch.randn(pictures, most, CLASSES, generator=generator)).softmax(dim=2)
    features = torch.randn(pictures, most, FEATURES, generator=generator)
    there = mask[..., None]
    return PaddedRegions(features * there, corners * there, mask, labels * there)


def random_pairs(pairs: int, *, seed: int = 0) -> RegionBatch:
    """Captions of which each names its picture's place."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(SPECIAL, VOCAB, (pairs, 9), generator=generator)
    lengths = torch.randint(4, 10, (pairs,), generator=generator)
    lengths[0] = 9
    mask = torch.arange(9) < lengths[:, None]
    ids[:, 0] = 2
    ids[torch.arange(pairs), lengths - 1] = 3
    return RegionBatch(
        regions=random_regions(pairs, seed=seed),
        ids=ids.masked_fill(~mask, 0),
        mask=mask,
        image_ids=torch.arange(pairs),
        caption_ids=torch.arange(pairs) + 100,
    )
