"""Tags: some patch should know each word of the caption."""

import math

import torch
from torch.testing import assert_close

from mplug.objectives import tags


def test_labels_are_the_counted_words_once_each() -> None:
    ids = torch.tensor([[1, 4, 6, 4], [1, 5, 0, 0]])
    counted = torch.tensor([[False, True, True, True], [False, True, False, False]])
    labels = tags.tag_labels(ids, counted=counted, vocab_size=7)
    assert labels.int().tolist() == [[0, 0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 1, 0]]


def test_a_word_costs_the_cross_entropy_of_its_strongest_patch() -> None:
    logits = torch.tensor([[[0.0, -9.0], [-5.0, -9.0], [-7.0, math.log(3)]]])
    losses = tags.tag_losses(logits, torch.tensor([[1.0, 0.0]]))
    assert_close(losses, torch.tensor([math.log(2) + math.log(4)]))


def test_only_the_strongest_patch_of_each_word_learns() -> None:
    logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0], [0.0, 1.0]]], requires_grad=True)
    torch.autograd.backward(tags.tag_losses(logits, torch.tensor([[1.0, 0.0]])).sum())
    assert logits.grad is not None
    assert (logits.grad[0] != 0).int().tolist() == [[1, 0], [0, 1], [0, 0]]


def test_telling_words_are_held_by_some_captions_and_not_by_many() -> None:
    shares = tags.WordShares(3)
    shares.count(torch.tensor([4.0, 0.0, 1.0]), captions=4)
    shares.count(torch.tensor([6.0, 0.0, 0.0]), captions=6)
    assert shares.telling(below=0.2).tolist() == [False, False, True]
    assert not shares.telling(below=0.1).any()  # a tenth is not less than a tenth
    assert shares.state_dict().keys() == {"holding", "captions"}  # so that a resumed run knows
