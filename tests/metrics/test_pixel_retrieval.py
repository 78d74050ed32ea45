import numpy as np
import pytest

from mplug.metrics.pixel_retrieval import pixel_similarity


def test_a_text_is_as_near_as_the_nearest_of_its_pictures() -> None:
    known = np.array([[0, 0], [3, 4], [1, 0], [6, 8], [9, 9]], dtype=np.float32)
    queries = np.array([[0, 0], [6, 8], [1, 1]], dtype=np.float32)
    made = pixel_similarity(queries, known=known, text_of_known=[2, 0, 2, 0, -1], texts=4)
    nothing = -np.inf
    assert made.tolist() == [
        [-25, nothing, 0, nothing],
        [0, nothing, -89, nothing],
        [-13, nothing, -1, nothing],
    ]


def test_many_queries_are_compared_in_parts() -> None:
    random = np.random.default_rng(0)
    queries, known = (random.random((count, 3), np.float32) for count in (600, 7))
    owners = [0, 1, 2, 0, 1, 2, 2]
    made = pixel_similarity(queries, known=known, text_of_known=owners, texts=3)
    distances = ((queries[:, None].astype(float) - known) ** 2).sum(axis=2)
    slow = [
        -distances[:, [place for place, own in enumerate(owners) if own == text]].min(axis=1)
        for text in range(3)
    ]
    np.testing.assert_allclose(made, np.stack(slow, axis=1), atol=1e-6)


@pytest.mark.parametrize("owners", [[0, 1], [0, 1, 2]])
def test_texts_that_do_not_fit_are_refused(owners: list[int]) -> None:
    known = np.zeros((3, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="must hold 3 numbers below 2"):
        pixel_similarity(known, known=known, text_of_known=owners, texts=2)


def test_without_known_pictures_all_texts_are_equal() -> None:
    made = pixel_similarity(
        np.zeros((2, 2), np.float32),
        known=np.zeros((1, 2), np.float32),
        text_of_known=[-1],
        texts=3,
    )
    assert made.tolist() == [[-np.inf] * 3] * 2
