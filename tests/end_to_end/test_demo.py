"""The whole demo on a world so small that it takes seconds: it learns nothing, but all is there."""

import json
import os
import re
import signal
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

import mplug
from mplug.errors import MPlugError
from mplug.interfaces.demo import stages
from mplug.interfaces.demo.command import run_demo
from mplug.interfaces.demo.settings import DemoSettings, demo_settings
from mplug.tasks.pretrain import Pretraining
from mplug.weights.layout import WEIGHTS
from mplug.weights.store import read_weights

GALLERY, ASKED, CLIPS, STEPS, TASKS_STEPS = 14, 24, 9, 4, 3
SPLITS = ("training_artists", "unseen_artist")
METRICS = ("recall_at_1_image_to_text", "recall_at_1_text_to_image", "object_f1", "cider_d")
KINDS = ("colour", "how_many", "relation", "what", "where", "yes_no")
MORE = (
    "answer_accuracy",
    *(f"answer_accuracy_{kind}" for kind in KINDS),
    "grounding_accuracy",
    "mean_iou",
    "compare_accuracy",
    "entail_accuracy",
)


def small(folder: Path) -> DemoSettings:
    return demo_settings(
        folder,
        words=[
            "data.scenes.concepts=12",
            "data.scenes.held_out_pairs=20",
            "data.validation_examples=16",
            "optim.batch_size=8",
            "train.log_every=1",
            "generation.beams=2",
            "generation.max_tokens=5",
        ],
        pretrain_words=[f"optim.steps={STEPS}"],
        tasks_words=[f"optim.steps={TASKS_STEPS}"],
        gallery=GALLERY,
        asked=ASKED,
        clips=CLIPS,
        remembered=30,
    )


def start(folder: Path, *, processes: int = 1) -> dict[str, Any]:
    return run_demo(small(folder), folder=folder, fresh=False, processes=processes, device="cpu")


@pytest.fixture(scope="module")
def patches() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patched:
        yield patched


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory, patches: pytest.MonkeyPatch
) -> tuple[Path, int, int]:
    """A demo stopped by Ctrl-C in its second step and again while it was asked, then finished."""
    folder = tmp_path_factory.mktemp("runs") / "demo"

    def stop(task: Pretraining) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def stop_asking(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pretraining, "after_step", stop)
        with pytest.raises(MPlugError, match="the same command continues") as in_training:
            start(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "measure", stop_asking)
        with pytest.raises(typer.Exit) as in_evaluation:
            start(folder)
    start(folder)
    return folder, in_training.value.exit_code, in_evaluation.value.exit_code


@pytest.fixture(scope="module")
def folder(interrupted: tuple[Path, int, int]) -> Path:
    return interrupted[0]


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return content


def test_ctrl_c_says_how_to_continue_and_exits_as_shells_expect(
    interrupted: tuple[Path, int, int],
) -> None:
    assert interrupted[1:] == (130, 130)


def test_a_continued_demo_does_every_step_once(folder: Path) -> None:
    for stage, steps in (("pretrain", STEPS), ("tasks", TASKS_STEPS)):
        lines = (folder / stage / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        done = [record["step"] for record in records if record["kind"] == "train"]
        assert done == list(range(1, steps + 1))


def test_the_summary_holds_every_score_of_both_splits_and_nothing_else(
    summary: dict[str, Any],
) -> None:
    assert summary.keys() == {"seconds", "peak_memory_gb", "scores"}
    assert [(score["split"], score["metric"]) for score in summary["scores"]] == [
        (split, metric) for split in SPLITS for metric in (*METRICS, *MORE)
    ]


def test_every_score_is_a_figure_with_an_interval_and_baselines(summary: dict[str, Any]) -> None:
    for score in summary["scores"]:
        assert score.keys() == {
            *("task", "split", "metric", "value", "low", "high", "n", "baselines"),
        }
        assert 0 <= score["low"] <= score["value"] <= score["high"]
        assert score["n"] <= 2 * ASKED
        assert "blank_image" in score["baselines"]
        if score["metric"] in METRICS:
            assert score["n"] == GALLERY
            assert {"chance", "pixel_nearest_neighbour"} <= score["baselines"].keys()


def test_time_and_memory_are_those_of_all_sessions(folder: Path, summary: dict[str, Any]) -> None:
    state = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    assert summary["seconds"] >= sum(state["seconds"].values()) > 0
    assert 0.1 < summary["peak_memory_gb"] < 4


class Addresses(HTMLParser):
    """Everything a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        wanted = named.get("src") or (named.get("href") if tag == "link" else None)
        if wanted:
            self.loaded.append(wanted)


def test_the_report_is_one_file_with_everything_in_it(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Addresses()
    page.feed(text)
    assert all(address.startswith("data:") for address in page.loaded)
    assert "script" not in page.tags
    pictures = sum(address.startswith("data:image/png") for address in page.loaded)
    described = 12 + 4 * 6  # captions, and what four searches found
    asked = 12 + 12 + 2 * 8 + 12  # questions, phrases, pairs, hypotheses
    assert pictures > len(SPLITS) * (described + asked)  # and the worst failures of each
    parts = ("captions", "search", "answer", "ground", "compare", "entail", "clip")
    for part in ("scores", *parts, "learning", "time", "setup"):
        assert f'id="{part}"' in text
    assert text.count("The worst failures") == len(parts)
    assert "Noto Emoji" in text
    assert "Fluent Emoji" in text


def test_a_finished_demo_does_nothing_again(
    folder: Path,
    summary: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stages, "Demo", None)
    assert start(folder) == summary
    assert "[1/" not in capsys.readouterr().out


def test_one_set_of_weights_does_everything(folder: Path) -> None:
    model = mplug.load(folder)
    picture = folder / "scenes" / "unseen_artist" / "0000.png"
    assert isinstance(model.answer(picture, "what is this?"), str)
    x0, y0, x1, y1, _ = model.ground(picture, "the bee")
    assert x0 < x1
    assert y0 < y1
    assert 0 <= model.compare(picture, picture, "both pictures show a bee") <= 1
    assert sum(model.entail(picture, "there is a bee").values()) == pytest.approx(1)
    changed = {
        name.split(".")[0]
        for name, before in read_weights(folder / "pretrain" / "model" / WEIGHTS).items()
        if not torch.equal(before, read_weights(folder / "model" / WEIGHTS)[name])
    }
    assert changed == {"fusion", "decoder"}


def test_the_demo_is_what_load_finds(folder: Path) -> None:
    model = mplug.load(folder)
    pictures = sorted((folder / "scenes" / "unseen_artist").glob("*.png"))
    assert len(pictures) == GALLERY
    assert isinstance(model.caption(pictures[0]), str)
    hits = model.search(folder / "scenes" / "unseen_artist", "a bee above a bell", top=3)
    assert len(hits) == 3
    assert "recall_at_1_image_to_text" in (folder / "model" / "README.md").read_text("utf-8")


def test_pictures_on_disk_are_those_that_were_asked_about(folder: Path) -> None:
    """So a search in the folder finds what the report says it finds."""
    records = (folder / "scenes" / "unseen_artist" / "records.jsonl").read_text(encoding="utf-8")
    first = json.loads(records.splitlines()[0])
    text = (folder / "report.html").read_text(encoding="utf-8")
    names = [each["name"] for each in first["objects"]]
    card = text.split('id="captions"')[1].split("An artist it never saw")[1].split("<li")[1]
    assert all(re.search(rf"\b{name}\b", card) for name in names)
    assert np.all([len(each["box"]) == 4 for each in first["objects"]])


@pytest.mark.slow
def test_two_processes_make_the_same_demo(tmp_path: Path, folder: Path) -> None:
    summary = start(tmp_path / "demo", processes=2)
    assert [score["metric"] for score in summary["scores"]] == [*METRICS, *MORE] * 2
    one, two = (
        [
            json.loads(line)
            for line in (run / "pretrain" / "metrics.jsonl").read_text("utf-8").splitlines()
        ]
        for run in (folder, tmp_path / "demo")
    )
    assert two[-2]["itc"] == pytest.approx(one[-2]["itc"], rel=1e-3)
