import pytest
import torch
from torch.testing import assert_close

from mplug.nn.embeddings import (
    ConvolutionStem,
    PatchProjection,
    WordEmbeddings,
    resize_positions,
)


def test_patches_come_in_reading_order() -> None:
    stem = PatchProjection(5, patch_size=4)
    pixels = torch.randn(2, 3, 8, 12)
    patches = stem(pixels)
    assert patches.shape == (2, 6, 5)
    assert_close(patches[:, 4], stem(pixels[:, :, 4:8, 4:8])[:, 0])  # second row, second column


def test_a_convolution_stem_halves_the_picture_once_for_each_channel() -> None:
    stem = ConvolutionStem(7, channels=(4, 6, 10))
    assert stem(torch.randn(2, 3, 16, 24)).shape == (2, 2 * 3, 7)


def test_a_trained_convolution_stem_looks_at_one_picture_at_a_time() -> None:
    stem = ConvolutionStem(7, channels=(4, 6))
    pixels = torch.randn(3, 3, 8, 8)
    stem(pixels)  # in training its statistics are the batch's; afterwards they are kept
    stem.eval()
    assert_close(stem(pixels)[1:2], stem(pixels[1:2]))


def test_positions_of_the_same_grid_stay_as_they_are() -> None:
    positions = torch.randn(10, 5)
    assert resize_positions(positions, grid=(3, 3)) is positions


def test_the_class_position_survives_resizing() -> None:
    positions = torch.randn(10, 5)
    assert_close(resize_positions(positions, grid=(4, 6))[0], positions[0])


def test_resizing_interpolates_rows_and_columns_each_in_its_direction() -> None:
    rows, columns = torch.meshgrid(torch.arange(2.0), torch.arange(2.0), indexing="ij")
    grid = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    resized = resize_positions(torch.cat([torch.zeros(1, 2), grid]), grid=(2, 4))[1:]
    assert resized[:, 0].reshape(2, 4).tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    assert resized[:, 1].reshape(2, 4).tolist() == [[0, 0.25, 0.75, 1]] * 2


def test_positions_keep_their_dtype_and_gradient() -> None:
    positions = torch.randn(10, 5, dtype=torch.float64, requires_grad=True)
    resized = resize_positions(positions, grid=(4, 4))
    assert resized.dtype == torch.float64
    resized.sum().backward()  # type: ignore[no-untyped-call]
    assert positions.grad is not None
    assert (positions.grad != 0).all()


def test_positions_without_a_square_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="8 patch positions do not form a square grid"):
        resize_positions(torch.randn(9, 5), grid=(3, 3))


@pytest.fixture
def embeddings() -> WordEmbeddings:
    torch.manual_seed(0)
    made = WordEmbeddings(6, vocab_size=11, max_positions=5, eps=1e-12, dropout=0.0)
    torch.nn.init.normal_(made.segment)
    return made


def test_a_word_is_its_entry_its_place_and_its_segment(embeddings: WordEmbeddings) -> None:
    expected = embeddings.words.weight[7] + embeddings.positions.weight[2] + embeddings.segment
    made = embeddings(torch.tensor([[3, 4, 7]]))[0, 2]
    assert_close(made, embeddings.norm(expected))


def test_later_words_can_be_embedded_by_themselves(embeddings: WordEmbeddings) -> None:
    ids = torch.tensor([[3, 4, 7, 1]])
    assert_close(embeddings(ids[:, 2:], start=2), embeddings(ids)[:, 2:])


def test_a_text_longer_than_the_positions_is_refused(embeddings: WordEmbeddings) -> None:
    with pytest.raises(ValueError, match="6 tokens, but the model has 5 positions"):
        embeddings(torch.zeros(1, 2, dtype=torch.long), start=4)
