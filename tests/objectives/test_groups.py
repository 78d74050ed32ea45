import torch

from mplug.objectives.groups import as_spans, as_words, with_overlapping


def test_all_pieces_of_a_word_have_the_draw_of_its_first() -> None:
    draws = torch.tensor([[[0.1], [0.2], [0.3], [0.4], [0.5]]])
    continues = torch.tensor([[False, False, True, True, False]])
    told = as_words(draws, continues=continues)
    assert torch.equal(told[0, :, 0], torch.tensor([0.1, 0.2, 0.2, 0.2, 0.5]))


def test_neighbours_have_one_draw() -> None:
    draws = torch.tensor([[[0.1], [0.2], [0.3], [0.4], [0.5]]])
    assert torch.equal(as_spans(draws, length=2)[0, :, 0], torch.tensor([0.1, 0.1, 0.3, 0.3, 0.5]))


def test_what_overlaps_a_hidden_region_is_hidden_too() -> None:
    boxes = torch.tensor(
        [
            [
                [0.0, 0.0, 0.5, 0.5],
                [0.0, 0.0, 0.5, 0.4],  # 0.8 of the first
                [0.0, 0.0, 0.5, 0.1],  # 0.2 of the first
                [0.6, 0.6, 1.0, 1.0],
                [0.0, 0.0, 0.5, 0.5],  # padding
            ]
        ]
    )
    hidden = torch.tensor([[True, False, False, False, False]])
    mask = torch.tensor([[True, True, True, True, False]])
    assert with_overlapping(hidden, boxes, mask=mask).tolist() == [
        [True, True, False, False, False]
    ]
