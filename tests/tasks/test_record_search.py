from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mplug.data.records import Record, Source
from mplug.errors import DataError
from mplug.tasks import observer, record_reading
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Observer, Texts
from mplug.tasks.record_search import SearchEvaluation, evaluate_search
from tests.tiny import picture, tiny_model, tiny_tokenizer


@dataclass(frozen=True)
class Matching(Observer):
    """Tells nothing by similarity, and by matching which texts were made for which picture."""

    def images(self, pixels: Any, *, progress: Any = None) -> Tensor:
        return torch.tensor([float(each.mean()) for each in pixels])[:, None, None]

    def encoded(self, rows: Any) -> Texts:
        states = torch.arange(len(rows)).float()
        return Texts(states[:, None, None], torch.ones(len(rows), 1, dtype=torch.bool))

    def similarity(self, images: Tensor, texts: Texts) -> Any:
        return np.zeros((len(images), len(texts.states)))

    def match(
        self, images: Tensor, texts: Texts, *, image_rows: Any, text_rows: Any, progress: Any = None
    ) -> Any:
        owners = texts.states[text_rows, 0, 0].numpy() // 2  # two captions a picture
        return (owners == image_rows).astype(float)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("pictures")
    made: list[Record] = []
    for seed in range(3):
        picture(seed).save(folder / f"{seed}.png")
        for number in range(2):
            source = Source("test.jsonl", len(made) + 1)
            caption = (f"caption {number} of {seed}",)
            made.append(Record(source, image=str(folder / f"{seed}.png"), caption=caption))
    return made


def found(records: list[Record], *, top: int = 256) -> SearchEvaluation:
    return evaluate_search(Matching(tiny_model(), tiny_tokenizer()), records, split="test", top=top)


def figure(evaluation: SearchEvaluation, metric: str) -> Figure:
    (one,) = [each for each in evaluation.figures if each.metric == metric]
    return one


def test_matching_that_knows_puts_the_right_ones_first(records: list[Record]) -> None:
    evaluation = found(records)
    for way in ("image_to_text", "text_to_image"):
        reranked = figure(evaluation, f"recall_at_1_{way}_by_itm")
        assert reranked.value == 1.0
        assert reranked.baselines["similarity_alone"] == pytest.approx(1 / 3)
        assert "images:3|texts:6" in reranked.signature


def test_similarity_that_knows_nothing_finds_what_chance_finds(records: list[Record]) -> None:
    evaluation = found(records, top=0)
    for way in ("image_to_text", "text_to_image"):
        plain = figure(evaluation, f"recall_at_1_{way}")
        assert plain.value == pytest.approx(1 / 3)
        assert plain.baselines == {
            "chance": pytest.approx(1 / 3),
            "blank_image": pytest.approx(1 / 3),
        }
    assert len(evaluation.figures) == 6  # nothing is matched


def test_more_than_the_gallery_is_never_matched(records: list[Record]) -> None:
    assert "reranked:6" in figure(found(records), "recall_at_1_image_to_text_by_itm").signature
    assert (
        "reranked:2" in figure(found(records, top=2), "recall_at_5_image_to_text_by_itm").signature
    )


def test_a_broken_picture_leaves_the_gallery_and_is_listed(
    records: list[Record], tmp_path: Path
) -> None:
    gone = Record(Source("test.jsonl", 9), image=str(tmp_path / "gone.png"), caption=("a cat",))
    evaluation = found([records[0], gone, *records[1:]])
    assert evaluation.scores.shape == (3, 6)
    assert "test.jsonl, line 9" in str(evaluation.left_out[0])


def test_clips_are_searched_elsewhere() -> None:
    clip = Record(Source("test.jsonl", 1), video="a.mp4", caption=("a cat",))
    with pytest.raises(DataError, match="line 1: a clip"):
        found([clip])


def test_each_picture_and_each_text_is_encoded_once_whatever_is_reranked(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_reading, "RECORDS", 2)  # so that pictures come in several batches
    monkeypatch.setattr(observer, "PAIRS", 4)  # and texts and pairs
    model = tiny_model()
    encoded: dict[str, list[bytes]] = {"encode_image": [], "encode_text": []}
    fused: list[int] = []

    def counted(name: str) -> Callable[..., Tensor]:
        encode = getattr(model, name)

        def counting(given: Tensor, *rest: Tensor) -> Any:
            encoded[name] += [row.numpy().tobytes() for row in given]
            return encode(given, *rest)

        return counting

    def counting_pairs(text: Tensor, *rest: Any, **named: Any) -> Tensor:
        fused.append(len(text))
        found: Tensor = fuse(text, *rest, **named)
        return found

    fuse = model.fuse_text
    for name in encoded:
        monkeypatch.setattr(model, name, counted(name))
    monkeypatch.setattr(model, "fuse_text", counting_pairs)
    evaluate_search(Observer(model, tiny_tokenizer()), records, split="test", top=2)
    assert sum(fused) == 3 * 2 + 6 * 2  # the nearest of each picture and of each text
    for name, rows in {"encode_image": 3 + 1, "encode_text": 6}.items():  # and the grey picture
        assert len(encoded[name]) == len(set(encoded[name])) == rows


def test_a_real_model_searches(records: list[Record]) -> None:
    evaluation = evaluate_search(Observer(tiny_model(), tiny_tokenizer()), records, split="test")
    assert len(evaluation.figures) == 18
    assert all(each.low <= each.value <= each.high for each in evaluation.figures)
