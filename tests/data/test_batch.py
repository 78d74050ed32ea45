import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mplug.data.batch import Example, Skipped, collate, identity


def example(ids: list[int], *, number: int = 0, skipped: tuple[Skipped, ...] = ()) -> Example:
    pixels = np.full((3, 5, 5), number, dtype=np.float32)
    return Example(pixels, ids, image_id=number, caption_id=-number, skipped=skipped)


def test_captions_are_padded_and_the_mask_shows_where() -> None:
    batch = collate([example([2, 9, 8, 3]), example([2, 7, 3])], pad_id=1)
    assert batch.ids.tolist() == [[2, 9, 8, 3], [2, 7, 3, 1]]
    assert batch.mask.tolist() == [[True] * 4, [True, True, True, False]]


def test_a_caption_may_hold_the_padding_id_itself() -> None:
    assert collate([example([2, 0, 3])], pad_id=0).mask.all()


def test_pictures_and_identities_keep_their_order() -> None:
    batch = collate([example([2, 3], number=4), example([2, 3], number=6)])
    assert batch.pixels[:, 0, 0, 0].tolist() == [4, 6]
    assert batch.image_ids.tolist() == [4, 6]
    assert batch.caption_ids.tolist() == [-4, -6]


def test_a_batch_moves_with_everything_it_holds() -> None:
    skip = Skipped(3, "a.jpg", "empty")
    batch = collate([example([2, 3], skipped=(skip,))]).to("meta")
    tensors = (batch.pixels, batch.ids, batch.mask, batch.image_ids, batch.caption_ids)
    assert {tensor.device for tensor in tensors} == {torch.device("meta")}
    assert batch.skipped == (skip,)


@given(st.text(), st.text())
def test_only_equal_texts_share_an_identity(one: str, other: str) -> None:
    assert (identity(one) == identity(other)) == (one == other)
    assert -(2**63) <= identity(one) < 2**63


def test_an_identity_is_the_same_in_every_process() -> None:
    assert identity("a red trophy") == -9049788587388216633
