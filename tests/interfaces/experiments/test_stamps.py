"""The stamps experiment: what is held out is committed, and maps are what they say."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.data.records import Record, Source
from mplug.data.scenes.stamps import listed_stamps
from mplug.errors import ConfigError
from mplug.interfaces.experiments import stamps_page
from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.experiments.stamp_maps import (
    Split,
    best_ridge,
    caption_numbers,
    fine_tune,
    recalls,
    ridge,
    similarities,
)
from mplug.interfaces.experiments.stamps import KINDS, committed_splits, parsed

NOUNS = ("apple", "boat", "cat", "drum", "egg", "fish", "goat", "hat", "inn", "jar")


def test_what_is_held_out_is_committed() -> None:
    listed = {str(stamp.path.with_suffix("")) for stamp in listed_stamps()}
    splits = committed_splits()
    assert list(splits) == [0, 1, 2]
    for split in splits.values():
        assert {name: len(stamps) for name, stamps in split.items()} == {
            "validation": 50,
            "test": 150,
        }
        assert not split["validation"] & split["test"]
        assert split["validation"] | split["test"] <= listed
    assert splits[0]["test"] != splits[1]["test"]


def test_cells_are_named_by_kind_and_split() -> None:
    assert parsed("minilm-eyes/2") == ("minilm-eyes", 2)
    for wrong in ("minilm", "minilm/3", "other/0", "minilm/x"):
        with pytest.raises(ConfigError, match="there is no cell"):
            parsed(wrong)


def records(count: int) -> list[Record]:
    return [
        Record(Source("stamps.jsonl", place + 1), caption=(NOUNS[place % len(NOUNS)],))
        for place in range(count)
    ]


class Words(nn.Module):
    """Stands for a text encoder: a vector a noun."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Parameter(torch.randn(len(NOUNS), 4))

    def forward(self, texts: list[str]) -> Tensor:
        return F.normalize(self.table[[NOUNS.index(text) for text in texts]], dim=-1)


def split(count: int, *, seed: int, noise: float) -> Split:
    """Pictures that are a fixed map of their noun's vector, and noise."""
    torch.manual_seed(2)
    seen = Words().table.detach() @ torch.randn(4, 7)
    torch.manual_seed(seed)
    rows = seen[[place % len(NOUNS) for place in range(count)]]
    views = torch.stack([rows + noise * torch.randn_like(rows) for _ in range(2)])
    return Split(records(count), F.normalize(views, dim=-1))


def test_a_ridge_map_without_a_ridge_is_least_squares() -> None:
    torch.manual_seed(0)
    pictures, texts = torch.randn(20, 5), torch.randn(20, 3)
    with_ones = torch.cat([pictures, torch.ones(20, 1)], dim=1)
    expected = with_ones @ torch.linalg.lstsq(with_ones, texts).solution
    assert_close(ridge(pictures, texts, strength=0.0)(pictures), expected, rtol=1e-4, atol=1e-5)
    flat = ridge(pictures, texts, strength=1e9)(pictures)
    assert_close(flat, texts.mean(dim=0).expand(20, 3), rtol=1e-4, atol=1e-4)


def test_recalls_are_those_of_the_diagonal() -> None:
    scores = torch.eye(12)
    scores[3] = torch.arange(12.0)  # its own is the ninth
    found = recalls(scores)
    assert [float(found[k].mean()) for k in (1, 5, 10)] == pytest.approx([11 / 12, 11 / 12, 1.0])


def test_the_same_caption_has_the_same_number() -> None:
    numbers = caption_numbers(records(12))
    assert numbers[0] == numbers[10]
    assert len(set(numbers.tolist())) == len(NOUNS)


def test_training_keeps_what_was_best_on_validation() -> None:
    words: Any = Words()
    train, validation = split(60, seed=3, noise=0.3), split(10, seed=4, noise=0.3)
    mapped = best_ridge(train, validation, words)

    def found(mapped: nn.Linear, words: Any) -> float:
        scores = similarities(mapped, validation, words([r.caption[0] for r in validation.records]))
        return sum(float(one.mean()) for one in recalls(scores.detach()).values())

    before = found(mapped, words)
    after = fine_tune(mapped, words, train, validation, epochs=3, seed=0)
    assert found(*after) >= before


def test_the_page_has_a_row_for_each_kind_and_the_differences(tmp_path: Path) -> None:
    settings = {"epochs": 2, "run": {"optim": {"steps": 9}}}
    cells = Cells(tmp_path / "cells.json", experiment="stamps", settings=settings)
    for place, kind in enumerate(KINDS):
        for split in range(2):
            scores = [
                {"at": k, "value": 0.1 * place + 0.01 * split, "low": 0.0, "high": 1.0, "n": 150}
                for k in (1, 5, 10)
            ]
            cells.add(f"{kind}/{split}", {"kind": kind, "split": split, "scores": scores})
    page = "\n".join(stamps_page.lines(cells))
    assert "| 16 x 16 pixels, ridge to MiniLM | 2 | 0.5 (" in page
    gain = "| the same, then trained contrastively minus EfficientNet-lite0, ridge to MiniLM | 2 |"
    assert f"{gain} +10.0 (+10.0 to +10.0)" in page
    assert stamps_page.chart(cells).count('class="mark"') == 3 * len(KINDS)
