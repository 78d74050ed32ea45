"""Texts of like lengths are read together, and say what they say alone."""

import pytest
import torch
from torch.testing import assert_close

from mplug.inference import texts
from mplug.inference.texts import buckets, encode_texts
from tests.models.small import small_model

LENGTHS = torch.tensor([4, 1, 6, 2, 6, 3, 5])


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_states_are_those_of_each_text_alone(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LEAST", 2)
    monkeypatch.setattr(texts, "SLACK", 1)
    model, seen = small_model(), list[tuple[int, ...]]()
    ids = torch.randint(3, 11, (7, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(6) < LENGTHS[:, None]

    def encode(part: torch.Tensor, part_mask: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(part.shape))
        return model.encode_text(part, part_mask)

    read = encode_texts(encode, ids, mask, at_once=at_once)
    assert read.shape[:2] == (7, 6)
    for place, length in enumerate(LENGTHS.tolist()):
        alone = model.encode_text(ids[place : place + 1, :length], mask[place : place + 1, :length])
        assert_close(read[place, :length], alone[0], atol=1e-5, rtol=1e-5)
    assert sum(rows * width for rows, width in seen) < 7 * 6
    assert all(rows <= at_once for rows, _ in seen)


def test_texts_of_a_bucket_are_of_like_lengths_and_no_bucket_is_small() -> None:
    lengths = [3] * 10 + [5] * 10 + [9] * 30 + [20] * 2
    assert list(buckets(lengths)) == [slice(0, 20), slice(20, 52)]
    assert list(buckets([7] * 300)) == [slice(0, 300)]
    assert list(buckets([])) == []
