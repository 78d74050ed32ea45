"""The averaged teacher and the queue of its features."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.objectives import momentum


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Linear(3, 2)
        self.heard = nn.Linear(2, 5)
        self.spoken = nn.Linear(5, 7)
        self.drop = nn.Dropout(0.5)


def test_the_teacher_moves_by_exactly_one_minus_the_momentum() -> None:
    student = Student().double()
    teacher = momentum.averaged_copy(student, without=["spoken"])
    before = {name: value.clone() for name, value in teacher.named_parameters()}
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter))
    momentum.update_average(teacher, student, momentum=0.9)
    now = dict(student.named_parameters())
    for name, value in teacher.named_parameters():
        assert_close(value, 0.9 * before[name] + 0.1 * now[name], atol=1e-15, rtol=0)


def test_the_teacher_is_a_frozen_copy_in_evaluation_mode_without_what_it_does_not_need() -> None:
    student = Student()
    teacher = momentum.averaged_copy(student, without=["spoken"])
    assert {name for name, _ in teacher.named_children()} == {"seen", "heard", "drop"}
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    assert student.training
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert teacher.seen.weight is not student.seen.weight
    assert_close(teacher.seen.weight.data, student.seen.weight.data)


EMBED = 3


def queue(size: int) -> momentum.FeatureQueue:
    return momentum.FeatureQueue(size, embed_dim=EMBED, generator=torch.Generator().manual_seed(0))


def push(into: momentum.FeatureQueue, first: int, count: int) -> None:
    """Rows that can be told apart: row i is all i, of image i and caption -i."""
    numbers = torch.arange(first, first + count)
    rows = numbers[:, None].expand(count, EMBED).float()
    into.push(rows, rows + 0.5, image_ids=numbers, caption_ids=-numbers)


def contents(of: momentum.FeatureQueue) -> list[int]:
    ids = of.image_ids
    filled = ids != momentum.NO_ID
    expected = ids[filled, None].expand(-1, EMBED).float()
    assert_close(of.images[filled], expected)
    assert_close(of.texts[filled], expected + 0.5)
    assert_close(of.caption_ids[filled], -ids[filled])
    return sorted(ids[filled].tolist())


def test_a_new_queue_holds_random_unit_vectors_of_nobody() -> None:
    fresh = queue(11)
    for features in (fresh.images, fresh.texts):
        assert_close(features.norm(dim=1), torch.ones(11))
    assert not torch.equal(fresh.images, fresh.texts)
    assert set(fresh.image_ids.tolist()) == set(fresh.caption_ids.tolist()) == {momentum.NO_ID}


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("batches", [[4, 4, 4, 4], [5, 2, 7], [13], [1, 1, 1]])
def test_a_queue_of_any_length_holds_the_last_features(size: int, batches: list[int]) -> None:
    wrapping, pushed = queue(size), 0
    for batch in batches:
        push(wrapping, pushed, batch)
        pushed += batch
        assert contents(wrapping) == list(range(max(0, pushed - size), pushed))


def test_the_oldest_places_are_overwritten_first() -> None:
    wrapping = queue(5)
    push(wrapping, 0, 3)
    push(wrapping, 3, 3)
    assert wrapping.image_ids.tolist() == [5, 1, 2, 3, 4]
    push(wrapping, 6, 7)  # more than there is room for
    assert sorted(wrapping.image_ids.tolist()) == [8, 9, 10, 11, 12]
    push(wrapping, 13, 1)
    assert sorted(wrapping.image_ids.tolist()) == [9, 10, 11, 12, 13]


def test_everything_a_queue_knows_is_in_its_state() -> None:
    first, second = queue(5), queue(5)
    push(first, 0, 3)
    second.load_state_dict(first.state_dict())
    for each in (first, second):
        push(each, 3, 4)
    states: list[dict[str, Tensor]] = [first.state_dict(), second.state_dict()]
    assert states[0].keys() == {"images", "texts", "image_ids", "caption_ids", "pointer"}
    assert_close(states[0], states[1])


def test_running_statistics_move_with_the_parameters() -> None:
    student = nn.BatchNorm1d(3, track_running_stats=False)
    student.register_buffer("running_mean", torch.tensor([1.0, 2.0, 3.0]))
    teacher = momentum.averaged_copy(student)
    student.running_mean = torch.tensor([2.0, 2.0, 2.0])
    momentum.update_average(teacher, student, momentum=0.75)
    assert_close(teacher.running_mean, torch.tensor([1.25, 2.0, 2.75]))


def test_a_teacher_follows_closely_at_first() -> None:
    found = [momentum.warmed_up(0.9, step=step) for step in (0, 1, 30, 80, 10_000)]
    assert found == pytest.approx([1 / 10, 2 / 11, 31 / 40, 0.9, 0.9])
