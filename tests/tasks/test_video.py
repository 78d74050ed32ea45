import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mplug.config.schema import GenerationConfig
from mplug.tasks.observer import Observer
from mplug.tasks.video import ClipObserver, Clips, without_preamble
from tests.tiny import GENERATION, tiny_model, tiny_tokenizer

CAPTIONS = ["an avocado", "two green boats under a large yellow moon", "a red trophy"]
QUESTIONS = ["two boats", "a trophy left of an avocado", "a moon"]
ANSWERS = ["a yellow moon", "avocado", "two", "red"]
SHORT = GenerationConfig(beams=2, min_tokens=1, max_tokens=4)


@pytest.fixture(scope="module")
def pictures() -> Observer:
    return Observer(tiny_model(), tiny_tokenizer())


@pytest.fixture(scope="module")
def observer(pictures: Observer) -> ClipObserver:
    return ClipObserver(pictures)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Five clips of three frames."""
    return np.random.default_rng(1).normal(size=(5, 3, 3, 24, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def clips(observer: ClipObserver, pixels: np.ndarray) -> Clips:
    return observer.clips(pixels)


def test_a_clip_of_one_frame_is_a_picture(
    observer: ClipObserver, pictures: Observer, pixels: np.ndarray
) -> None:
    still, seen = observer.clips(pixels[:, :1]), pictures.images(pixels[:, 0])
    texts = observer.texts(CAPTIONS)
    assert_close(still.tokens, seen, atol=1e-5, rtol=0)
    np.testing.assert_allclose(
        observer.similarity(still, texts), pictures.similarity(seen, texts), atol=1e-5
    )
    assert observer.captions(still, generation=GENERATION, prompt="") == pictures.captions(
        seen, generation=GENERATION
    )


@torch.inference_mode()
def test_a_clips_vector_is_the_mean_of_its_frames_unit_vectors_made_one_long(
    pictures: Observer, clips: Clips, pixels: np.ndarray
) -> None:
    vectors = [pictures.model.image_embedding(pictures.images(frames)) for frames in pixels]
    for vector, frames in zip(clips.vectors, vectors, strict=True):
        assert_close(frames.norm(dim=1), torch.ones(3))
        assert_close(vector, frames.mean(dim=0) / frames.mean(dim=0).norm(), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_matching_reads_the_tokens_of_all_frames_in_a_row(
    observer: ClipObserver, pictures: Observer, clips: Clips, pixels: np.ndarray
) -> None:
    texts = observer.texts(CAPTIONS[1:2])
    row = torch.cat([pictures.images(pixels[2, place : place + 1])[0] for place in range(3)])
    assert_close(clips.tokens[2], row, atol=1e-5, rtol=0)
    fused = pictures.model.fuse_text(texts.states, row[None], texts.mask)
    logits = pictures.model.match(fused).double()[0]
    one = Clips(clips.frames[2:3], clips.vectors[2:3])
    zero = np.zeros(1, dtype=np.int64)
    said = pictures.match(one.tokens, texts, image_rows=zero, text_rows=zero)
    assert said[0] == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)


def test_company_changes_nothing_said_of_a_clip(observer: ClipObserver, pixels: np.ndarray) -> None:
    whole, alone = observer.clips(pixels), observer.clips(pixels[3:4])
    said = observer.captions(whole, generation=GENERATION)
    assert said[3:4] == observer.captions(alone, generation=GENERATION)
    answers = [
        observer.answers(some, QUESTIONS, clip_rows=rows, generation=SHORT)
        for some, rows in ((whole, [3, 3, 3]), (alone, [0, 0, 0]))
    ]
    assert answers[0] == answers[1]
    chosen = [
        observer.choices(some, QUESTIONS, clip_rows=rows, answers=ANSWERS)
        for some, rows in ((whole, [3, 3, 3]), (alone, [0, 0, 0]))
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("add", [True, False])
def test_all_pairs_matched_are_in_the_order_of_matching(
    observer: ClipObserver, pictures: Observer, clips: Clips, add: bool
) -> None:
    texts = observer.texts(CAPTIONS)
    found = observer.find(clips, texts, top=99, add_similarity=add)
    rows, columns = (places.reshape(-1) for places in np.indices((5, 3)))
    matches = pictures.match(clips.tokens, texts, image_rows=rows, text_rows=columns).reshape(5, 3)
    scores = matches + found.similarity if add else matches
    np.testing.assert_array_equal(found.clip_to_text.argsort(axis=1), scores.argsort(axis=1))
    np.testing.assert_array_equal(found.text_to_clip.argsort(axis=1), scores.T.argsort(axis=1))


def test_what_is_not_matched_follows_by_similarity(observer: ClipObserver, clips: Clips) -> None:
    found = observer.find(clips, observer.texts(CAPTIONS), top=1)
    by_similarity = found.similarity.argsort(axis=1)
    np.testing.assert_array_equal(found.clip_to_text.argsort(axis=1), by_similarity)


def test_answers_are_chosen_from_the_list_by_their_whole_likelihood(
    observer: ClipObserver, clips: Clips
) -> None:
    rows = [0, 4, 2]
    chosen = observer.choices(clips, QUESTIONS, clip_rows=rows, answers=ANSWERS)
    assert set(chosen) <= set(ANSWERS)
    backwards = observer.choices(clips, QUESTIONS, clip_rows=rows, answers=ANSWERS[::-1])
    assert chosen == backwards
    one = [
        observer.choices(clips, [question], clip_rows=[row], answers=ANSWERS, keep=4)[0]
        for question, row in zip(QUESTIONS, rows, strict=True)
    ]
    assert one == chosen


def test_captions_hold_no_prompt(observer: ClipObserver, clips: Clips) -> None:
    prompted = observer.captions(clips, generation=GENERATION, prompt="a red trophy left of")
    assert not any(caption.startswith("a red trophy left of") for caption in prompted)
    assert len(set(prompted)) > 1
    assert prompted != observer.captions(clips, generation=GENERATION, prompt="")


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("a picture of a dog", "a dog"),
        ("A video of two men", "two men"),
        ("an image showing the sea", "the sea"),
        ("a close-up photo of a cat", "a cat"),
        ("the view of a city", "a city"),
        ("a man takes a picture of a dog", "a man takes a picture of a dog"),
        ("a picture frame on a wall", "a picture frame on a wall"),
        ("", ""),
    ],
)
def test_beginnings_that_say_nothing_are_dropped(caption: str, kept: str) -> None:
    assert without_preamble(caption) == kept


def test_captions_to_search_with_are_cleaned_and_fit_the_model(observer: ClipObserver) -> None:
    plain, marked = (observer.texts([text]) for text in ("a red trophy", "A red, TROPHY!"))
    assert_close(plain.states, marked.states)
    assert observer.texts(["avocado " * 200]).mask.shape == (1, 17)


def test_nothing_is_remembered_for_gradients(clips: Clips) -> None:
    assert not clips.frames.requires_grad
    assert not clips.vectors.requires_grad
