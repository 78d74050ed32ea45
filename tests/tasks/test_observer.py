import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.tasks.observer import Observer
from tests.tiny import GENERATION, tiny_model, tiny_tokenizer

SHORT, LONG = "an avocado", "two green boats under a large yellow moon"


@pytest.fixture(scope="module")
def observer() -> Observer:
    return Observer(tiny_model(), tiny_tokenizer())


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 3, 24, 24)).astype(np.float32)


def test_company_changes_no_answer_about_a_picture(observer: Observer, pixels: np.ndarray) -> None:
    together, alone = observer.images(pixels), observer.images(pixels[3:4])
    assert_close(together[3:4], alone, atol=1e-5, rtol=0)
    said = observer.captions(together, generation=GENERATION)
    assert said[3] == observer.captions(alone, generation=GENERATION)[0]
    assert len(set(said)) > 1  # else the line above shows nothing


def test_a_longer_text_beside_it_changes_no_answer_about_a_text(
    observer: Observer, pixels: np.ndarray
) -> None:
    images, both, alone = observer.images(pixels), *map(observer.texts, ([LONG, SHORT], [SHORT]))
    np.testing.assert_allclose(
        observer.similarity(images, both)[:, 1:], observer.similarity(images, alone), atol=1e-5
    )
    rows = np.arange(5)
    np.testing.assert_allclose(
        observer.match(images, both, image_rows=rows, text_rows=np.ones_like(rows)),
        observer.match(images, alone, image_rows=rows, text_rows=np.zeros_like(rows)),
        atol=1e-4,
    )


def test_texts_of_like_lengths_are_read_together_and_come_back_in_their_order(
    observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [LONG, SHORT, "boats", LONG + " moon", "an orange", SHORT + " moon"]
    rows = [[observer.tokenizer.cls_id, *observer.tokenizer.encode(text)] for text in texts]
    whole, encode = observer.encoded(rows), observer.model.encode_text
    shapes: list[tuple[int, ...]] = []

    def counting(ids: Tensor, mask: Tensor) -> Tensor:
        shapes.append(tuple(ids.shape))
        found: Tensor = encode(ids, mask)
        return found

    monkeypatch.setattr("mplug.tasks.observer.PAIRS", 2)
    monkeypatch.setattr(observer.model, "encode_text", counting)
    parts = observer.encoded(rows)
    lengths = sorted(map(len, rows))
    assert shapes == [(2, longest) for longest in lengths[1::2]]
    assert torch.equal(parts.mask, whole.mask)
    assert_close(parts.states[parts.mask], whole.states[whole.mask], atol=1e-5, rtol=0)


def test_similarities_are_cosines(observer: Observer, pixels: np.ndarray) -> None:
    table = observer.similarity(observer.images(pixels), observer.texts([SHORT, LONG]))
    assert table.shape == (5, 2)
    assert np.abs(table).max() <= 1 + 1e-6


def test_no_pairs_no_answers(observer: Observer, pixels: np.ndarray) -> None:
    images, texts = observer.images(pixels), observer.texts([SHORT])
    none = np.zeros(0, dtype=np.int64)
    assert observer.match(images, texts, image_rows=none, text_rows=none).shape == (0,)


def test_progress_ends_with_everything_done(observer: Observer, pixels: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    observer.images(pixels, progress=lambda *counts: told.append(counts))
    assert told[-1] == (5, 5)


def test_nothing_is_remembered_for_gradients(observer: Observer, pixels: np.ndarray) -> None:
    assert not observer.images(pixels).requires_grad
    assert not observer.texts([SHORT]).states.requires_grad
    assert observer.temperature == pytest.approx(0.07)
    assert torch.is_grad_enabled()
