import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.clip_file import RATE, write_clip
from mplug.data.scenes.clips import (
    FRAMES,
    IMAGE_KINDS,
    WAYS,
    Clip,
    ClipQuestion,
    clip_questions,
    draw_clip,
)
from mplug.data.scenes.phrases import concept_names
from mplug.data.scenes.scene import Box
from mplug.data.scenes.stream import SceneExamples
from mplug.data.video import read_clip
from mplug.errors import MissingExtraError
from tests.data.scenes.truth import NAMES, centre

EXAMPLES = SceneExamples(ScenesConfig(concepts=20, held_out_pairs=60), image_size=32)


@cache
def drawn() -> list[tuple[Clip, list[ClipQuestion]]]:
    found = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        names = EXAMPLES.draw_names(random)
        clip = draw_clip(names, renderer=EXAMPLES.plain_renderer(), random=random)
        asked = clip_questions(clip, random=random, world=EXAMPLES.world, count=2)
        found.append((clip, asked))
    return found


def distance(one: Box, other: Box) -> float:
    return float(np.hypot(*np.subtract(centre(one), centre(other))))


def way_of(clip: Clip) -> str | None:
    """Where the first thing goes, by its boxes alone."""
    right, down = np.subtract(centre(clip.boxes[0][-1]), centre(clip.boxes[0][0]))
    if right == down == 0:
        return None
    return str(WAYS[2 * (abs(down) > abs(right)) + (max(right, down, key=abs) > 0)])


def is_true(clip: Clip, question: ClipQuestion) -> bool:
    names, answer = concept_names(question.text, NAMES), question.answer
    if question.kind == "how many":
        return answer == str(len(clip.boxes))
    if question.kind == "yes/no":
        return (names[0] in clip.names) == (answer == "yes")
    if question.kind == "which way":
        return answer == way_of(clip)
    if question.kind == "towards":
        mover, other = clip.boxes
        nearer = distance(mover[-1], other[0]) < distance(mover[0], other[0])
        return nearer == (answer == "yes")
    return answer == clip.names[0]


def test_every_answer_is_true_of_its_clip_and_no_kind_is_missing() -> None:
    asked: Counter[str] = Counter()
    for clip, questions in drawn():
        for question in questions:
            assert is_true(clip, question), question
            asked[question.kind] += 1
    assert set(asked) == {*IMAGE_KINDS, "what moves", "which way", "towards"}


def test_no_question_tells_its_answer() -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for _, questions in drawn():
        for each in questions:
            answers[each.kind][each.answer] += 1
    for kind, most in [("how many", 0.65), ("yes/no", 0.62), ("which way", 0.4)]:
        counts = answers[kind]
        assert max(counts.values()) / counts.total() < most, (kind, counts)


def test_a_caption_says_who_moves_where() -> None:
    for clip, _ in drawn():
        assert concept_names(clip.caption, NAMES) == list(clip.names)
        assert (clip.way is None) == (way_of(clip) is None)
        if clip.motion == "moves":
            assert f" {way_of(clip)}" in clip.caption
        assert all(set(concept_names(text, NAMES)) == set(clip.names) for text in clip.captions)


def test_things_stay_inside_and_apart() -> None:
    for clip, _ in drawn():
        for boxes in zip(*clip.boxes, strict=True):
            for x0, y0, x1, y1 in boxes:
                assert 0 <= x0 < x1 <= 32
                assert 0 <= y0 < y1 <= 32
            assert len(boxes) == 1 or boxes[0].shared(boxes[1]) == 0


def test_frames_change_where_something_moves_and_nowhere_else() -> None:
    for clip, _ in drawn()[:60]:
        assert clip.frames.shape == (FRAMES, 32, 32, 3)
        changed = (clip.frames != clip.frames[0]).any(axis=(0, 3))
        assert changed.any()
        for x0, y0, x1, y1 in clip.boxes[0]:
            changed[y0:y1, x0:x1] = False
        assert not changed.any()


def test_a_clip_is_a_function_of_its_random_numbers() -> None:
    one, other = (
        draw_clip(["cat", "bus"], renderer=EXAMPLES.renderer, random=np.random.default_rng(5))
        for _ in range(2)
    )
    assert np.array_equal(one.frames, other.frames)
    assert one.captions == other.captions


def test_a_written_clip_is_read_again_nearly_as_it_was(tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip, _ = drawn()[0]
    frames = clip.frames[:, :31, :29]  # odd sides
    write_clip(tmp_path / "new" / "one.mp4", frames)
    write_clip(tmp_path / "two.mp4", frames)
    read = read_clip(tmp_path / "new" / "one.mp4", frames=FRAMES)
    assert (read.length, read.seconds) == (FRAMES, FRAMES / RATE)
    for image, frame in zip(read.frames, frames, strict=True):
        assert np.abs(np.asarray(image, dtype=float)[:31, :29] - frame).mean() < 12
    assert (tmp_path / "two.mp4").read_bytes() == (tmp_path / "new" / "one.mp4").read_bytes()


def test_without_pyav_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"mplug\[video\]"):
        write_clip(tmp_path / "one.mp4", drawn()[0][0].frames)
