import pytest
import torch
from torch.testing import assert_close

from mplug.models.text import TextEncoder
from tests.models.small import enliven, small_config, words


@pytest.fixture
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    made = TextEncoder(small_config().text).eval()
    enliven(made)
    return made


def test_every_word_has_a_state(encoder: TextEncoder) -> None:
    assert encoder(*words(5, 3)).shape == (2, 5, 18)


def test_padding_never_reaches_a_word(encoder: TextEncoder) -> None:
    ids, mask = words(5, 3)
    noisy = ids.masked_fill(~mask, 7)
    assert_close(encoder(ids, mask)[mask], encoder(noisy, mask)[mask])


def test_more_padding_and_other_texts_change_nothing(encoder: TextEncoder) -> None:
    ids, mask = words(3, 8, 5)
    alone = encoder(ids[:1, :3], mask[:1, :3])
    assert_close(encoder(ids, mask)[:1, :3], alone, atol=1e-5, rtol=1e-5)


def test_words_read_both_ways(encoder: TextEncoder) -> None:
    ids, mask = words(5)
    changed = ids.clone()
    changed[0, 4] = (ids[0, 4] + 1) % 41
    assert not torch.allclose(encoder(ids, mask)[0, 0], encoder(changed, mask)[0, 0])
