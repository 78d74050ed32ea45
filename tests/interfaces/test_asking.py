from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mplug
from mplug.data.asking import question_ids, statement_ids
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces import compute, pictures
from mplug.interfaces.api import ImageSource, Model
from mplug.interfaces.asking import Box
from mplug.metrics.grounding import iou
from tests.tiny import SKILLS, picture, save_tiny

QUESTIONS = ["a red trophy?", "two boats", "moon?"]
ANSWERS = ["red", "green boats", "a large yellow moon"]
LABELS = ["contradiction", "neutral", "entailment"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = save_tiny(tmp_path_factory.mktemp("saved") / "model", skills=SKILLS)
    return mplug.load(folder, device="cpu")


@pytest.fixture
def unskilled(tmp_path: Path) -> Model:
    return mplug.load(save_tiny(tmp_path / "plain", skills=("caption",)), device="cpu")


def images(number: int) -> list[Image.Image]:
    return [picture(seed) for seed in range(number)]


def clip(model: Model, *seeds: int) -> pictures.Picture:
    return model.clip([picture(seed) for seed in seeds])


def values(boxes: list[Box]) -> np.ndarray:
    return np.array(boxes)


def test_one_thing_gives_one_result_and_lists_a_list(model: Model) -> None:
    first, second = images(2)
    answer = model.answer(first, "moon?")
    assert isinstance(answer, str)
    assert model.answer([first], "moon?") == model.answer(first, ["moon?"]) == [answer]
    assert isinstance(model.ground(first, "moon"), Box)
    assert isinstance(model.ground([first], "moon")[0], Box)
    assert isinstance(model.compare(first, second, "moon"), float)
    assert model.compare(first, second, ["moon", "boats"]).shape == (2,)
    assert list(model.entail(first, "moon")) == LABELS
    assert len(model.entail([first, second], "moon")) == 2


def test_nothing_gives_nothing(model: Model) -> None:
    assert model.answer([], "moon?") == model.answer(picture(1), []) == []
    assert model.ground([], "moon") == model.entail([], "moon") == []
    assert model.compare([], picture(1), "moon").shape == (0,)


def test_lists_that_differ_in_length_are_refused(model: Model) -> None:
    with pytest.raises(DataError, match="2 pictures, 3 questions: give as many of each"):
        model.answer(images(2), QUESTIONS)
    with pytest.raises(DataError, match="1 first pictures, 2 second pictures"):
        model.compare(images(1), images(2), "moon")


@pytest.mark.parametrize("batch", [1, 2])
def test_what_else_is_in_the_lists_changes_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(compute, "BATCH", batch)
    some, others = images(3), images(6)[3:]
    pairs = list(zip(some, QUESTIONS, strict=True))
    assert model.answer(some, QUESTIONS) == [model.answer(*pair) for pair in pairs]
    ranked = model.answer(some, QUESTIONS, answers=ANSWERS)
    assert ranked == [model.answer(*pair, answers=ANSWERS) for pair in pairs]
    boxes = [model.ground(*pair) for pair in pairs]
    np.testing.assert_allclose(values(model.ground(some, QUESTIONS)), values(boxes), atol=1e-5)
    each = zip(some, others, QUESTIONS, strict=True)
    probabilities = [model.compare(*one) for one in each]
    np.testing.assert_allclose(model.compare(some, others, QUESTIONS), probabilities, atol=1e-5)
    for one, pair in zip(model.entail(some, QUESTIONS), pairs, strict=True):
        assert one == pytest.approx(model.entail(*pair), abs=1e-5)


def test_a_single_picture_goes_with_every_text(model: Model) -> None:
    image = picture(1)
    assert model.answer(image, QUESTIONS) == model.answer([image] * 3, QUESTIONS)
    assert model.answer(images(3), "moon?") == model.answer(images(3), ["moon?"] * 3)


def test_an_answer_is_written_from_picture_and_question_read_together(model: Model) -> None:
    network, question = model.network, question_ids(model.tokenizer, "Two boats?")
    ids = torch.tensor([question])
    with torch.no_grad():
        image = network.encode_image(torch.from_numpy(model.read(picture(2)).pixels))
        text = network.encode_text(ids, torch.ones_like(ids, dtype=torch.bool))
        memory = torch.cat(network.fuse(text, image, torch.ones_like(ids, dtype=torch.bool)), 1)
        written = [model.tokenizer.cls_id]
        while len(written) < 11 and written[-1] != model.tokenizer.sep_id:
            logits = network.decode(torch.tensor([written]), None, memory)[0, -1]
            if len(written) == 1:
                logits[model.tokenizer.sep_id] = -torch.inf
            written.append(int(logits.argmax()))
    expected = model.tokenizer.decode(written)
    assert model.answer(picture(2), "Two  boats?", beams=1) == expected


def test_a_closed_list_gives_its_likeliest_answer(model: Model) -> None:
    found = model.answer(images(5), "moon?", answers=ANSWERS)
    assert set(found) <= set(ANSWERS)
    assert model.answer(picture(1), "moon?", answers=["boats"]) == "boats"


def test_further_text_and_a_premise_are_read(model: Model) -> None:
    without, read = (model.entail(picture(1), "moon", premise=words) for words in ("", "boats"))
    assert without != pytest.approx(read, abs=1e-4)
    several = model.answer(picture(1), "moon?", text=["", "boats", "a red trophy"])
    assert several[1] == model.answer(picture(1), "moon?", text="boats")


def test_a_box_is_inside_the_picture_in_its_own_pixels(model: Model) -> None:
    wide, tall = picture(1, width=160, height=20), picture(1, width=30, height=90)
    for image in (wide, tall):
        box = model.ground(image, "a red trophy")
        assert 0 <= box.x0 <= box.x1 <= image.width
        assert 0 <= box.y0 <= box.y1 <= image.height
        assert 0 < box.score <= 1
    small = picture(1, width=24, height=24)
    large = small.resize((24 * 5, 24 * 2), Image.Resampling.NEAREST)
    read = model.read(small)
    stretched = pictures.Picture(read.pixels, size=large.size)
    shares = np.array(model.ground(read, "moon")[:4]) / 24
    expected = shares * [120, 48, 120, 48]
    np.testing.assert_allclose(model.ground(stretched, "moon")[:4], expected, rtol=1e-5)


def test_several_boxes_hardly_overlap_and_the_likeliest_is_first(model: Model) -> None:
    for boxes in model.ground(images(4), "a red trophy", best=3):
        assert 1 <= len(boxes) <= 3
        scores = [box.score for box in boxes]
        assert scores == sorted(scores, reverse=True)
        corners = values(boxes)[:, :4]
        overlaps = iou(corners, corners)
        np.fill_diagonal(overlaps, 0)
        assert overlaps.max() <= 0.5 + 1e-6


def test_a_comparison_depends_on_both_pictures(model: Model) -> None:
    first, second, other = images(3)
    expected = model.compare(first, second, "moon")
    for pair in ((other, second), (first, other)):
        assert model.compare(*pair, "moon") != pytest.approx(expected, abs=1e-5)


def test_probabilities_of_entailment_sum_to_one(model: Model) -> None:
    for one in model.entail(images(3), "a red trophy"):
        assert sum(one.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda model, image: model.answer(image, "moon?"), "not trained to answer questions"),
        (lambda model, image: model.ground(image, "moon"), "not trained to ground phrases"),
        (lambda model, image: model.compare(image, image, "moon"), "not trained to compare"),
        (lambda model, image: model.entail(image, "moon"), "not trained to judge entailment"),
    ],
)
def test_a_model_that_was_not_trained_for_it_says_so(
    unskilled: Model, call: Any, expected: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"{expected}.*it was trained to describe pictures"):
        call(unskilled, picture(1))


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"beam": 3}, ConfigError, "answers: there is no option 'beam': did you mean 'beams'"),
        ({"max_tokens": 30}, ConfigError, "max_tokens = 30 exceed the 17 positions"),
        ({"answers": []}, DataError, "answers: the list is empty"),
        ({"answers": ["red"], "beams": 2}, ConfigError, "a given list is ranked"),
        ({"text": "moon " * 20}, DataError, "word pieces, and this model reads at most 16"),
    ],
)
def test_what_cannot_be_answered_is_explained(
    model: Model, options: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        model.answer(picture(1), "moon?", **options)


def test_no_box_at_all_cannot_be_asked_for(model: Model) -> None:
    with pytest.raises(ConfigError, match="best = 0"):
        model.ground(picture(1), "moon", best=0)


def test_broken_pictures_are_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.png: the file is empty"):
        model.answer([picture(1), tmp_path / "empty.png"], "moon?")
    with pytest.raises(DataError, match="picture 2 of 2"):
        model.compare(picture(1), [picture(1), b"<html>"], "moon")


def test_a_clip_of_one_frame_is_that_picture(model: Model) -> None:
    one, image = clip(model, 3), picture(3)
    np.testing.assert_array_equal(model.embed_image(one), model.embed_image(image))
    assert model.caption(one) == model.caption(image)
    assert model.answer(one, "moon?") == model.answer(image, "moon?")


def test_a_clips_vector_is_the_mean_of_its_frames(model: Model) -> None:
    mean = model.embed_image(images(3)).mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(model.embed_image(clip(model, 0, 1, 2)), expected, atol=1e-6)


def test_a_text_reads_all_frames_of_a_clip_joined(model: Model) -> None:
    network = model.network
    ids = torch.tensor([statement_ids(model.tokenizer, "moon")])
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        frames = torch.from_numpy(np.concatenate([model.read(one).pixels for one in images(2)]))
        image = network.encode_image(frames).flatten(0, 1)[None]
        fused = network.fuse_text(network.encode_text(ids, mask), image, mask)
        match = network.match(fused).softmax(1)[0, 1].item()
        entailed = network.entail(fused).softmax(1)[0].tolist()
    assert model.match(clip(model, 0, 1), "moon") == pytest.approx(match, abs=1e-5)
    found = model.entail(clip(model, 0, 1), "moon")
    assert list(found.values()) == pytest.approx(entailed, abs=1e-5)


def test_clips_and_pictures_of_any_length_share_a_list(model: Model) -> None:
    mixed: list[ImageSource] = [clip(model, 0, 1, 2), picture(3), clip(model, 4, 5)]
    assert model.caption(mixed) == [model.caption(one) for one in mixed]
    assert model.answer(mixed, QUESTIONS) == [
        model.answer(one, question) for one, question in zip(mixed, QUESTIONS, strict=True)
    ]
    rows = [model.embed_image(one) for one in mixed]
    np.testing.assert_allclose(model.embed_image(mixed), rows, atol=1e-5)
    table = [model.match(one, QUESTIONS) for one in mixed]
    np.testing.assert_allclose(model.match(mixed, QUESTIONS), table, atol=1e-5)


def test_a_clip_has_no_single_picture_to_ground_or_compare(model: Model) -> None:
    film = clip(model, 0, 1)
    with pytest.raises(DataError, match="picture 1 of 1: a clip"):
        model.ground(film, "moon")
    with pytest.raises(DataError, match="picture 1 of 1: a clip"):
        model.compare(picture(1), film, "moon")


def test_a_clip_without_frames_is_refused(model: Model) -> None:
    with pytest.raises(DataError, match="at least one frame"):
        model.clip([])


def test_a_path_that_ends_as_videos_do_gives_its_frames(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, int]] = []

    def read_frames(source: Any, *, frames: int) -> list[Image.Image]:
        asked.append((source, frames))
        return images(frames)

    monkeypatch.setattr(pictures, "read_frames", read_frames)
    film = model.read("film.mp4", frames=3)
    assert film.is_clip
    assert model.caption("film.mp4") == model.caption(clip(model, *range(pictures.FRAMES)))
    assert asked == [("film.mp4", 3), ("film.mp4", pictures.FRAMES)]
