import math

import pytest
import torch
from torch.testing import assert_close

from mplug.objectives import regions

MASK = torch.tensor([[True, True, True, False], [True, False, False, False], [False] * 4])


def test_regions_are_hidden_by_their_draw_and_never_padding() -> None:
    uniforms = torch.tensor([[0.05, 0.4, 0.1, 0.0], [0.9, 0.0, 0.0, 0.0], [0.0] * 4])
    hidden = regions.hide_regions(MASK, share=0.15, uniforms=uniforms)
    assert hidden.tolist() == [
        [True, False, True, False],
        [True, False, False, False],  # the only one there is
        [False] * 4,  # no region to hide
    ]


def test_about_the_share_is_hidden_and_one_at_least() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(40) < torch.full((500, 1), 37)
    hidden = regions.hide_regions(
        mask, share=0.15, uniforms=torch.rand(500, 40, generator=generator)
    )
    assert hidden.sum(dim=1).min() >= 1
    assert hidden[mask].float().mean().item() == pytest.approx(0.15, abs=0.01)


def test_features_are_regressed_by_squares() -> None:
    losses = regions.feature_losses(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, -2.5]]))
    assert losses.tolist() == [[4.0, 0.25]]


def test_background_is_never_the_likeliest_class_but_competes_with_it() -> None:
    soft = torch.tensor([[0.6, 0.1, 0.3], [0.2, 0.7, 0.1]])
    assert regions.likeliest_class(soft).tolist() == [2, 1]
    logits = torch.zeros(2, 3)
    assert_close(regions.class_losses(logits, soft), torch.full((2,), math.log(3)))


def test_a_divergence_is_nothing_at_the_soft_labels_themselves() -> None:
    soft = torch.tensor([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]])
    exact = regions.class_divergences(soft.log().clamp(min=-1e4), soft)
    assert_close(exact, torch.zeros(2, 3))
    terms = regions.class_divergences(torch.zeros(2, 3), soft)
    assert terms[0].tolist() == pytest.approx(
        [0.0, 0.25 * math.log(0.25 * 3), 0.75 * math.log(0.75 * 3)]
    )
    assert terms.sum(dim=1).min() > 0


def test_whoever_knows_only_the_means_pays_the_blind_losses() -> None:
    generator = torch.Generator().manual_seed(1)
    shown = torch.randn(50, 6, generator=generator)
    soft = torch.randn(50, 5, generator=generator).mul(3).softmax(dim=1)
    mean = shown.mean(dim=0).expand(50, -1)
    assert_close(regions.feature_losses(mean, shown).mean(), regions.blind_feature_loss(shown))
    shares = torch.bincount(regions.likeliest_class(soft), minlength=5) / 50
    paid = regions.class_losses(shares.log().expand(50, -1), soft).mean()
    assert_close(paid, regions.blind_class_loss(soft))
    paid = regions.class_divergences(soft.mean(dim=0).log().expand(50, -1), soft).sum(dim=1)
    assert_close(paid.mean(), regions.blind_divergence(soft))
