from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mplug.errors import DataError
from mplug.inference.zero_shot import class_vectors, probabilities, ranked, read_templates

VECTORS = {"a cat": (1, 0), "the cat": (0, 1), "a dog": (0.6, 0.8), "the dog": (0.6, -0.8)}


def embed(texts: Sequence[str]) -> np.ndarray:
    return np.array([VECTORS[text] for text in texts], dtype=np.float32)


def test_a_label_is_the_normalised_mean_of_its_sentences() -> None:
    vectors = class_vectors(["cat", "dog"], templates=["a {}", "the {}"], embed=embed)
    np.testing.assert_allclose(vectors, [[0.5**0.5, 0.5**0.5], [1, 0]], atol=1e-6)


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    shares = probabilities(np.array([[1.0, 0.0]]), np.eye(2), logit_scale=np.log(3))
    np.testing.assert_allclose(shares, [[0.75, 0.25]])
    assert ranked(["dog", "cat"], shares[0, ::-1]) == pytest.approx({"cat": 0.75, "dog": 0.25})


def test_labels_with_braces_are_taken_as_they_are() -> None:
    VECTORS["a {0}"] = (1, 0)
    vectors = class_vectors(["{0}"], templates=["a {}"], embed=embed)
    np.testing.assert_allclose(vectors, [[1, 0]])


def test_templates_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "templates.txt"
    file.write_text("a {}\n\n the {} \n")
    assert read_templates(file) == ("a {}", "the {}")
    file.write_text("\n")
    with pytest.raises(DataError, match="holds 0 templates"):
        read_templates(file)
