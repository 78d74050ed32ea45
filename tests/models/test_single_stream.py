import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.models.single_stream import PostNormStack, Segment, read_together
from tests.models.small import enliven
from tests.models.small_uniter import DIM, small_uniter_config

LENGTHS = (3, 5, 2)


def stack() -> PostNormStack:
    torch.manual_seed(0)
    made = PostNormStack(small_uniter_config().text).eval()
    enliven(made)
    return made


def segments(*, masked: bool) -> list[Segment]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for place, length in enumerate(LENGTHS):
        states = torch.randn(2, length, DIM, generator=generator)
        mask = torch.arange(length) < torch.tensor([length, 1 + place])[:, None]
        made.append(Segment(states, mask if masked else None))
    return made


def packed(layers: PostNormStack, parts: list[Segment], row: int) -> Tensor:
    """The slow way: one pair, what is there in one sequence without a gap, no mask."""
    there = [
        part.states[row] if part.mask is None else part.states[row][part.mask[row]]
        for part in parts
    ]
    read: Tensor = layers(torch.cat(there)[None], None)
    return read[0]


def test_a_padded_batch_is_read_as_packed_rows() -> None:
    layers, parts = stack(), segments(masked=True)
    read = read_together(layers, *parts)
    assert [states.shape[1] for states in read] == list(LENGTHS)
    for row in range(2):
        there = [
            states[row][part.mask[row]]
            for states, part in zip(read, parts, strict=True)
            if part.mask is not None
        ]
        assert_close(torch.cat(there), packed(layers, parts, row), atol=1e-5, rtol=1e-5)


def test_a_segment_without_a_mask_has_no_padding() -> None:
    layers, parts = stack(), segments(masked=False)
    full = [
        Segment(part.states, torch.ones(part.states.shape[:2], dtype=torch.bool)) for part in parts
    ]
    read = read_together(layers, *parts)
    assert_close(read, read_together(layers, *full))
    assert_close(read, read_together(layers, full[0], *parts[1:]))


def test_one_segment_is_the_stack_itself() -> None:
    layers, [part, *_] = stack(), segments(masked=False)
    [read] = read_together(layers, part)
    assert_close(read, layers(part.states, None))


def test_who_may_look_at_whom_is_narrowed_but_padding_stays_unread() -> None:
    layers, [first, second, _] = stack(), segments(masked=True)
    places = first.states.shape[1] + second.states.shape[1]
    own = torch.arange(places) < first.states.shape[1]
    apart = (own[:, None] == own)[None].expand(2, -1, -1)
    read = read_together(layers, first, second, may_look=apart)
    alone = (*read_together(layers, first), *read_together(layers, second))
    for together, separate, part in zip(read, alone, (first, second), strict=True):
        assert part.mask is not None
        assert_close(together[part.mask], separate[part.mask], atol=1e-5, rtol=1e-5)
