import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.models.decoder import TextDecoder, shifted
from tests.models.small import VOCABULARY, enliven, small_config, words


@pytest.fixture
def decoder() -> TextDecoder:
    torch.manual_seed(0)
    config = small_config()
    made = TextDecoder(config.text, config.decoder).double().eval()
    enliven(made)
    return made


@pytest.fixture
def memory() -> Tensor:
    return torch.randn(2, 6, 18, generator=torch.Generator().manual_seed(3)).double()


@pytest.fixture
def memory_mask() -> Tensor:
    return torch.arange(6) < torch.tensor([[4], [6]])


def test_every_word_predicts_the_next(decoder: TextDecoder, memory: Tensor) -> None:
    assert decoder(*words(5, 3), memory).shape == (2, 5, VOCABULARY)


def test_the_future_is_unseen(decoder: TextDecoder, memory: Tensor) -> None:
    ids, mask = words(5, 5)
    changed = ids.clone()
    changed[:, 3:] = 7
    assert_close(decoder(ids, mask, memory)[:, :3], decoder(changed, mask, memory)[:, :3])


def test_padding_is_unseen(decoder: TextDecoder, memory: Tensor) -> None:
    ids, mask = words(5, 3)
    noisy = ids.masked_fill(~mask, 7)
    assert_close(decoder(ids, mask, memory)[mask], decoder(noisy, mask, memory)[mask])


def test_hidden_memory_is_unseen(decoder: TextDecoder, memory: Tensor, memory_mask: Tensor) -> None:
    noisy = memory.masked_fill(~memory_mask[..., None], 99.0)
    ids, mask = words(5, 3)
    assert_close(
        decoder(ids, mask, memory, memory_mask)[mask], decoder(ids, mask, noisy, memory_mask)[mask]
    )


@pytest.mark.parametrize("pieces", [[5], [1, 1, 1, 1, 1], [2, 3]])
def test_cached_steps_say_what_the_whole_text_says(
    decoder: TextDecoder, memory: Tensor, memory_mask: Tensor, pieces: list[int]
) -> None:
    ids, mask = words(5, 5)
    whole = decoder(ids, mask, memory, memory_mask)
    cache, read = decoder.start(memory, memory_mask), 0
    for piece in pieces:
        logits, cache = decoder.step(ids[:, read : read + piece], cache)
        read += piece
        assert_close(logits, whole[:, read - 1])


def test_hypotheses_share_their_images_memory(
    decoder: TextDecoder, memory: Tensor, memory_mask: Tensor
) -> None:
    ids, mask = words(4, 4, 4, 4, 4, 4)
    repeated = memory.repeat_interleave(3, 0), memory_mask.repeat_interleave(3, 0)
    shared, _ = decoder.step(ids, decoder.start(memory, memory_mask))
    assert_close(shared, decoder(ids, mask, *repeated)[:, -1])


def test_a_moved_hypothesis_continues_from_its_own_words(
    decoder: TextDecoder, memory: Tensor
) -> None:
    ids, _ = words(4, 4, 4, 4)
    _, cache = decoder.step(ids[:, :3], decoder.start(memory))
    order = torch.tensor([1, 1, 3, 2])
    moved, _ = decoder.step(ids[order, 3:], cache.reorder(order))
    straight, _ = decoder.step(ids[order], decoder.start(memory))
    assert_close(moved, straight)


def test_images_can_leave_the_batch(
    decoder: TextDecoder, memory: Tensor, memory_mask: Tensor
) -> None:
    ids, _ = words(4, 4, 4, 4)
    _, cache = decoder.step(ids[:, :3], decoder.start(memory, memory_mask))
    rows = torch.tensor([2, 3])
    left, _ = decoder.step(ids[rows, 3:], cache.select(torch.tensor([1]), rows=rows))
    alone, _ = decoder.step(ids[rows], decoder.start(memory[1:], memory_mask[1:]))
    assert_close(left, alone)


def test_targets_are_the_next_words_and_padding_is_not_asked_for() -> None:
    ids = torch.tensor([[1, 8, 9, 2], [1, 8, 2, 0]])
    inputs, mask, targets = shifted(ids, ids > 0)
    assert inputs.tolist() == [[1, 8, 9], [1, 8, 2]]
    assert mask.tolist() == [[True, True, True], [True, True, True]]
    assert targets.tolist() == [[8, 9, 2], [8, 2, -100]]
