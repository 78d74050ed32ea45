"""Random numbers that know the step, and not the machine."""

import torch
from torch.testing import assert_close

from mplug.tasks.draws import Draws, draw
from mplug.training.distributed import Processes

LONGEST = 11


def drawn(
    *, rank: int = 0, world: int = 1, rows: int = 6, words: int = 7, place: tuple[int, ...] = (1, 2)
) -> Draws:
    seed, step, *part = place
    return draw(
        seed=seed,
        step=step,
        part=part[0] if part else 0,
        rows=rows,
        words=words,
        longest=LONGEST,
        processes=Processes(rank=rank, world=world),
    )


def test_processes_draw_their_rows_of_what_one_process_draws() -> None:
    whole = drawn()
    shared = [drawn(rank=rank, world=3, rows=2) for rank in range(3)]
    for name, expected in whole._asdict().items():
        assert_close(torch.cat([getattr(each, name) for each in shared]), expected)


def test_a_batchs_own_padding_changes_no_number() -> None:
    short, long = drawn(words=4), drawn(words=9)
    assert_close(short.masking, long.masking[:, :4])
    assert_close(short.prefix, long.prefix)


def test_seed_step_and_part_each_change_every_number() -> None:
    places = [(1, 2, 0), (1, 2, 1), (1, 3, 0), (2, 2, 0), (2, 1, 0)]
    found = [drawn(place=place) for place in places]
    for name in Draws._fields:
        values = {getattr(each, name).flatten()[0].item() for each in found}
        assert len(values) == len(places)


def test_the_numbers_are_those_of_yesterday() -> None:
    found = drawn()
    assert_close(found.negative_images[:2], torch.tensor([0.2552935481, 0.5609167218]))
    assert_close(found.prefix[0], torch.tensor([0.8289014101, 0.6473827362]))
