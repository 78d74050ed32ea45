from collections import defaultdict

import numpy as np
import pytest

from mplug.config.schema import GenerationConfig, ScenesConfig
from mplug.tasks.asked import Asked
from mplug.tasks.scene_clips import FRAMES, asked_of_clips, centres, evaluate_clips
from mplug.tasks.scene_galleries import learned_asks
from tests.tasks.stubs import Knowing, Watching
from tests.tiny import tiny_model, tiny_tokenizer

WORLD = ScenesConfig(concepts=10, held_out_pairs=20)
COUNT = 24


@pytest.fixture(scope="module")
def clips() -> Asked:
    return asked_of_clips(WORLD, split="unseen_artist", image_size=24, count=COUNT)


def knowing(clips: Asked, *, sightless: bool = False) -> Knowing:
    known = {each.ask.text: each.right for each in clips.posed}
    watching = Watching(tiny_model(), tiny_tokenizer())
    return Knowing(watching, GenerationConfig(), known, guess="3", sightless=sightless)


def test_a_clip_is_frames_from_the_middle_of_equal_parts() -> None:
    assert centres(16) == [2, 6, 10, 14]
    assert centres(4) == [0, 1, 2, 3]


def test_each_question_is_about_the_frames_of_one_clip(clips: Asked) -> None:
    assert len(clips.posed) <= COUNT
    assert [place for each in clips.posed for place in each.ask.pictures] == [
        *range(len(clips.pixels))
    ]
    assert len(clips.pixels) == len(clips.shown) == FRAMES * len(clips.posed)
    assert {each.kind for each in clips.posed} <= {"what", "how many", "yes/no"}


def test_something_happens_in_a_clip(clips: Asked) -> None:
    frames = clips.pixels.reshape(-1, FRAMES, *clips.pixels.shape[1:])
    assert np.mean([not np.array_equal(clip[0], clip[-1]) for clip in frames]) > 0.6
    assert any("moves" in text or "appears" in text for text in clips.shown)


def test_splits_differ_in_their_artists_only(clips: Asked) -> None:
    other = asked_of_clips(WORLD, split="training_artists", image_size=24, count=COUNT)
    words = [text.split()[1] for text in clips.shown]
    assert [text.split()[1] for text in other.shown] == words
    assert not np.array_equal(other.pixels[0], clips.pixels[0])


def test_who_never_looks_is_as_good_as_on_grey_frames(clips: Asked) -> None:
    learned = learned_asks(WORLD, count=60)["answer"]
    found = evaluate_clips(knowing(clips, sightless=True), clips, learned=learned)
    for figure in (*found.figures, *found.extras):
        assert figure.value == pytest.approx(figure.baselines["blank_image"])


def test_figures_stand_beside_what_training_answers_most(clips: Asked) -> None:
    learned = learned_asks(WORLD, count=60)["answer"]
    found = evaluate_clips(knowing(clips), clips, learned=learned)
    (figure,) = found.figures
    assert figure.task == "video_answering"
    assert figure.value > max(figure.baselines.values())
    assert set(figure.baselines) == {
        "majority_answer",
        "most_common_answer_to_text",
        "blank_image",
    }
    assert "frames:4" in figure.signature
    by_text = defaultdict(set)
    for each in clips.posed:
        by_text[each.ask.text].add(each.right)
    assert max(map(len, by_text.values())) > 1  # no text tells its answer
