from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mplug.config.schema import GenerationConfig
from mplug.data.fields import Answer
from mplug.data.media import ImageError
from mplug.data.records import Record, Source
from mplug.errors import DataError
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Observer, Texts
from mplug.tasks.video import ClipObserver, Clips, Found
from mplug.tasks.video_evaluation import evaluate_answers, evaluate_captions, evaluate_search
from mplug.tasks.video_records import ClipTest
from tests.clips import write_clip
from tests.tiny import tiny_model, tiny_tokenizer

NAMES = ["avocado", "boats", "moon", "trophy"]
GENERATION = GenerationConfig(beams=2, min_tokens=2, max_tokens=4)


@dataclass(frozen=True)
class Knowing(ClipObserver):
    """Tells clips apart by how bright they are, and knows what each shows; black is nothing."""

    def clips(self, pixels: Any) -> Clips:
        levels = torch.from_numpy(pixels).mean(dim=(2, 3, 4))
        return Clips(levels[:, :, None, None], levels[:, :1])

    def texts(self, captions: Sequence[str]) -> Texts:
        rows = [next((i for i, name in enumerate(NAMES) if name in text), -1) for text in captions]
        states = torch.tensor(rows, dtype=torch.float32)[:, None, None]
        return Texts(states, torch.ones(len(rows), 1, dtype=torch.bool))

    def shown(self, clips: Clips) -> list[int]:
        """The clip's place in NAMES by its brightness in four steps; -1 for a blank one."""
        middle = np.array([-1.5, -0.7, 0.1, 0.9])  # normalised levels of the four greys
        return [
            -1 if level == 0 else int(np.abs(middle - level).argmin())
            for level in clips.vectors[:, 0].tolist()
        ]

    def similarity(self, clips: Clips, texts: Texts) -> Any:
        said = texts.states[:, 0, 0].int().tolist()
        return np.array([[float(one == two) for two in said] for one in self.shown(clips)])

    def find(self, clips: Clips, texts: Texts, **_: Any) -> Found:
        table = self.similarity(clips, texts)
        return Found(table, table.astype(np.int64), table.T.astype(np.int64))

    def captions(self, clips: Clips, **_: Any) -> list[str]:
        return [f"a large {NAMES[one]}" if one >= 0 else "a moon" for one in self.shown(clips)]

    def answers(self, clips: Clips, questions: Any, *, clip_rows: Any, **_: Any) -> list[str]:
        shown = self.shown(clips)
        return [NAMES[shown[row]] if shown[row] >= 0 else "red" for row in clip_rows]

    def choices(self, clips: Clips, questions: Any, *, clip_rows: Any, **_: Any) -> list[str]:
        return self.answers(clips, questions, clip_rows=clip_rows)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four clips, each of one grey: their normalised levels are about those of `Knowing`."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        str(
            write_clip(
                folder / f"{name}.mp4", pictures=[Image.new("RGB", (32, 32), (level,) * 3)] * 4
            )
        )
        for name, level in zip(NAMES, (15, 70, 125, 180), strict=True)
    ]


@pytest.fixture(scope="module")
def records(paths: list[str]) -> list[Record]:
    """Two captions and a question of each clip, in records of their own."""
    made: list[Record] = []
    for place, (path, name) in enumerate(zip(paths, NAMES, strict=True)):
        source = Source("clips.jsonl", place + 1)
        made += [
            Record(source, video=path, caption=(f"a large {name}", f"a yellow {name}")),
            Record(source, video=path, question="what is there", answers=(Answer(name.upper()),)),
        ]
    return [*made, Record(Source("clips.jsonl", 9), image="a.png", caption=("no clip",))]


@pytest.fixture(scope="module")
def seeing() -> ClipObserver:
    return Knowing(Observer(tiny_model(), tiny_tokenizer()))


@pytest.fixture(scope="module")
def tiny() -> ClipObserver:
    return ClipObserver(Observer(tiny_model(), tiny_tokenizer()))


@pytest.fixture
def test(records: list[Record]) -> ClipTest:
    return ClipTest.of(records, split="test", frames=2)


def named(figures: Sequence[Figure]) -> dict[str, Figure]:
    return {figure.metric: figure for figure in figures}


def test_records_of_a_clip_stand_together(test: ClipTest, paths: list[str]) -> None:
    assert test.paths == tuple(paths)
    assert [len(each) for each in test.records] == [2] * 4
    assert test.captions[1] == ["a large boats", "a yellow boats"]
    assert test.questions[2] == [("what is there", {"MOON": 1.0})]


def test_who_knows_all_clips_finds_them_and_a_blank_one_finds_by_chance(
    seeing: ClipObserver, test: ClipTest
) -> None:
    figures = named(evaluate_search(seeing, test))
    assert len(figures) == 16
    for way in ("clip_to_text", "text_to_clip"):
        figure = figures[f"recall_at_1_{way}"]
        assert (figure.value, figure.low, figure.high, figure.n) == (1.0, 1.0, 1.0, 4)
        assert figure.baselines["chance"] == pytest.approx(0.25)
        assert figure.baselines["blank_clip"] == pytest.approx(0.25)
        rank = figures[f"median_rank_{way}"]
        assert rank.value == rank.low == rank.high == 1.0
        assert rank.baselines["blank_clip"] > 2
        assert figures[f"recall_at_1_{way}_reranked"].baselines["similarity_alone"] == 1.0
    assert "frames:2" in figures["recall_at_1_clip_to_text"].signature
    assert "reranked:4" in figures["recall_at_1_text_to_clip_reranked"].signature


def test_who_knows_all_clips_describes_them_and_the_commonest_caption_does_not(
    seeing: ClipObserver, test: ClipTest
) -> None:
    learned = ["a large moon", "a large moon", "a red moon"]
    figures = named(evaluate_captions(seeing, test, generation=GENERATION, learned=learned))
    assert set(figures) == {"rouge_l", "cider_d"}
    for figure in figures.values():
        assert figure.low <= figure.value <= figure.high
        for name in ("blank_clip", "most_frequent_caption"):
            assert figure.baselines[name] < figure.value
        assert "prompt:a picture of" in figure.signature


def test_who_knows_all_clips_answers_in_own_words_and_from_a_list(
    seeing: ClipObserver, test: ClipTest, records: list[Record]
) -> None:
    own, chosen = evaluate_answers(
        seeing, test, generation=GENERATION, learned=records, answers=NAMES
    )
    assert [own.task, chosen.task] == ["video_answering", "video_choosing"]
    for figure in (own, chosen):
        assert (figure.value, figure.n) == (1.0, 4)
        assert figure.baselines == {
            "majority_answer": 0.25,
            "most_common_answer_to_text": 0.25,
            "blank_clip": 0.0,
        }
    assert "answers:of_4" in chosen.signature


def test_a_model_is_measured_from_files_to_figures(
    tiny: ClipObserver, test: ClipTest, records: list[Record]
) -> None:
    told: list[tuple[int, int]] = []
    figures = [
        *evaluate_search(tiny, test, top=2, progress=lambda *counts: told.append(counts)),
        *evaluate_captions(tiny, test, generation=GENERATION, learned=["a moon"]),
        *evaluate_answers(
            tiny, test, generation=GENERATION, learned=records, answers=["moon", "two boats"]
        ),
    ]
    assert told[-1] == (4, 4)
    assert len(figures) == 16 + 2 + 2
    for figure in figures:
        assert figure.low <= figure.value <= figure.high
        assert figure.n == 4
        assert figure.baselines


def test_a_broken_clip_ends_the_evaluation_and_is_named(
    tiny: ClipObserver, records: list[Record], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"none")
    row = Record(Source("clips.jsonl", 1), video=str(broken), caption=("a moon",))
    test = ClipTest.of([records[0], row], split="test", frames=2)
    with pytest.raises(ImageError, match=r"broken\.mp4: damaged"):
        evaluate_search(tiny, test)


def test_records_that_cannot_be_evaluated_on_say_so(
    tiny: ClipObserver, records: list[Record]
) -> None:
    with pytest.raises(DataError, match="no record has a video"):
        ClipTest.of(records[-1:], split="test", frames=2)
    asked = ClipTest.of(records[1:2], split="test", frames=2)
    with pytest.raises(DataError, match=r"clips\.jsonl, line 1: a clip without a caption"):
        evaluate_search(tiny, asked)
    described = ClipTest.of(records[:1], split="test", frames=2)
    with pytest.raises(DataError, match="nothing can be asked"):
        evaluate_answers(tiny, described, generation=GENERATION, learned=records)
    with pytest.raises(DataError, match="no training record"):
        evaluate_answers(tiny, asked, generation=GENERATION, learned=records[:1])
