"""Contrastive learning on candidates that fit on a napkin."""

import math

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from mplug.objectives import contrastive

IMAGES, CAPTIONS = torch.tensor([1, 2, 3]), torch.tensor([10, 20, 30])


def test_the_loss_is_the_mean_of_both_directions() -> None:
    image_to_text = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    text_to_image = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    wanted = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    loss = contrastive.contrastive(
        image_to_text, text_to_image, text_targets=wanted, image_targets=wanted
    )
    images = (math.log(math.e**2 + 2) - 2 + math.log(3)) / 2
    texts = (math.log(3) + math.log(math.e + 2) - 0.5) / 2
    assert loss.item() == pytest.approx((images + texts) / 2)


def test_similarity_is_the_cosine_over_the_temperature() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = contrastive.similarity(queries, bank, temperature=torch.tensor(0.5))
    assert_close(found, torch.tensor([[2.0, 0.0, 0.0], [1.2, 1.6, -1.6]]))


@pytest.mark.parametrize("positives_of_a_row", [1, 4])
def test_a_model_that_cannot_tell_candidates_apart_pays_the_blind_loss(
    positives_of_a_row: int,
) -> None:
    everything_alike = normalize(torch.ones(7, 5), dim=1)
    scores = contrastive.similarity(
        everything_alike[:3], everything_alike, temperature=torch.tensor(0.07)
    )
    shares = contrastive.equal_shares(torch.arange(7).expand(3, 7) < positives_of_a_row)
    loss = contrastive.contrastive(scores, scores, text_targets=shares, image_targets=shares)
    assert_close(loss, contrastive.blind_loss(torch.tensor(7)))
    assert loss.item() == pytest.approx(math.log(7))


def test_the_same_image_or_the_same_caption_is_a_positive() -> None:
    found = contrastive.positives(
        IMAGES,
        CAPTIONS,
        bank_image_ids=torch.tensor([1, 2, 3, 1, 9, 9]),
        bank_caption_ids=torch.tensor([10, 20, 30, 99, 30, 99]),
    )
    assert found.int().tolist() == [
        [1, 0, 0, 1, 0, 0],  # itself, and its image with another caption
        [0, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 1, 0],  # itself, and its caption under another image
    ]


def test_positives_share_a_target_equally() -> None:
    positive = torch.tensor([[True, False, True, False, True], [False, True, False, False, False]])
    third = 1 / 3
    expected = torch.tensor([[third, 0, third, 0, third], [0, 1, 0, 0, 0]])
    assert_close(contrastive.equal_shares(positive), expected)


def test_softening_hands_a_share_to_the_teacher() -> None:
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    teacher = torch.tensor([[0.0, math.log(2), 0.0]])  # says 1/4, 1/2, 1/4
    softened = contrastive.soften(targets, teacher_similarity=teacher, share=0.4)
    assert_close(softened, torch.tensor([[0.6 + 0.1, 0.2, 0.1]]))
    assert_close(contrastive.soften(targets, teacher_similarity=teacher, share=0.0), targets)


def test_accuracy_counts_rows_whose_best_candidate_is_any_positive() -> None:
    scores = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0], [0.0, 0.0, 9.0], [1.0, 2.0, 0.0]])
    positive = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]]).bool()
    assert contrastive.accuracy(scores, positive).item() == pytest.approx(2 / 4)


@pytest.mark.parametrize(
    ("before", "after"), [(0.7, 0.5), (-0.1, 0.001), (0.0, 0.001), (0.07, 0.07)]
)
def test_the_temperature_stays_between_a_thousandth_and_a_half(before: float, after: float) -> None:
    temperature = torch.nn.Parameter(torch.tensor(before))
    contrastive.clamp_temperature(temperature)
    assert temperature.item() == pytest.approx(after)
    assert temperature.requires_grad
