import pytest
import torch
from torch.testing import assert_close

from mplug.objectives.boxes import (
    box_loss,
    box_weights,
    from_bins,
    generalised_iou,
    to_bins,
    to_centres,
    to_corners,
)


def test_formats_are_two_views_of_one_box() -> None:
    boxes = torch.tensor([[0.5, 0.4, 0.2, 0.6]])
    assert_close(to_corners(boxes), torch.tensor([[0.4, 0.1, 0.6, 0.7]]))
    assert_close(to_centres(to_corners(boxes)), boxes)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], 1.0),
        ([0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0], 1 / 3),  # half overlaps, no empty hull
        ([0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0], -1 / 3),  # apart, a third of the hull empty
        ([0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], 1 / 7 - 2 / 9),
    ],
)
def test_overlap_by_hand(first: list[float], second: list[float], expected: float) -> None:
    made = generalised_iou(torch.tensor([first]), torch.tensor([second]))
    assert made.item() == pytest.approx(expected, abs=1e-4)


def test_bins_reach_from_edge_to_edge() -> None:
    boxes = torch.tensor([[0.0, 1.0, 0.5, 0.999], [-0.3, 1.4, 0.25, 0.001]])
    assert to_bins(boxes, bins=337).tolist() == [[0, 336, 168, 335], [0, 336, 84, 0]]


def test_a_bin_says_its_lower_edge() -> None:
    bins = torch.tensor([[0, 336, 168, 84]])
    assert from_bins(bins, bins=337, dtype=torch.float64).tolist() == [[0.0, 1.0, 0.5, 0.25]]


def test_a_coordinate_counts_by_how_wrong_it_is() -> None:
    predicted = torch.tensor([[0.5, 0.5, 0.4, 0.4]])
    weights = box_weights(predicted, torch.tensor([[0.7, 0.5, 0.4, 0.4]]))
    # Overlap 0.08, union 0.24, hull 0.24: 1 - 1/3.
    assert_close(weights, torch.tensor([[0.2 * 2 / 3, 0.0, 0.0, 0.0]]), atol=1e-4, rtol=0)


def test_a_distance_counts_no_more_than_five() -> None:
    far, near = torch.tensor([[9.0, 0.0, 1.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    disagreement = 1 - generalised_iou(to_corners(far), to_corners(near)).item()
    assert box_weights(far, near)[0, 0].item() == pytest.approx(5.0 * disagreement)


def test_an_exact_box_still_teaches() -> None:
    target = from_bins(torch.tensor([[3, 2, 4, 1]]), bins=9, dtype=torch.float32)
    logits = torch.nn.functional.one_hot(torch.tensor([[3, 2, 4, 1]]), 9).float().requires_grad_()
    made = box_loss(logits, target, floor=0.1)
    assert made.weights.tolist() == [[pytest.approx(0.1)] * 4]
    made.loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_every_box_is_weighed_by_its_own_prediction_alone() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 4, 9), torch.rand(3, 4)
    together = box_loss(logits, target).loss
    alone = [box_loss(logits[row : row + 1], target[row : row + 1]).loss for row in range(3)]
    assert_close(together, torch.stack(alone).mean())


def test_weights_carry_no_gradient() -> None:
    predicted = torch.rand(2, 4, requires_grad=True)
    assert not box_weights(predicted, torch.rand(2, 4)).requires_grad
