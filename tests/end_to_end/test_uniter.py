"""A tiny UNITER from raw pictures to a measured model, by the commands that a person types."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mplug
from mplug.config.edit import derive
from mplug.config.recipes import any_recipe
from mplug.config.schema_uniter_run import UniterRetrieval, UniterRun, UniterTask, UniterTasks
from mplug.data.regions.pictures import grid
from mplug.data.regions.stored import load_regions
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.evaluate_uniter import Extent, uniter_figures
from mplug.interfaces.experiments import uniter_page
from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.experiments.uniter import ROWS, UniterExperiment, parsed
from mplug.interfaces.experiments.uniter import Extent as ExperimentExtent
from mplug.interfaces.measure import score_of
from mplug.interfaces.region_files import make_regions
from mplug.interfaces.training import run_training
from mplug.weights.uniter_folder import load_uniter
from tests.tiny import picture, save_tiny

ALL = UniterTasks(
    answer=UniterTask(),
    retrieve=UniterRetrieval(candidates=3, hardest=2),
    compare=UniterTask(),
    ground=UniterTask(),
    entail=UniterTask(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, pictures, records of them, and their regions."""
    folder = tmp_path_factory.mktemp("uniter")
    save_tiny(folder / "encoder")
    (folder / "photos").mkdir()
    lines = []
    for place in range(6):
        picture(place).save(folder / "photos" / f"p{place}.png")
        said = {
            "image": f"photos/p{place}.png",
            "caption": f"a red boat {place}",
            "question": "what is it?",
            "answers": [{"text": "a boat"}],
            "objects": [
                {"name": "boat", "box": [0, 0, 20, 20]},
                {"name": "dog", "box": [15, 5, 37, 29]},
            ],
        }
        lines.append(json.dumps(said))
    (folder / "records.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def little(name: str, folder: Path, **changes: object) -> UniterRun:
    run = any_recipe(name)
    assert isinstance(run, UniterRun)
    return derive(
        run,
        {
            "model.text.hidden_size": 16,
            "model.text.num_layers": 1,
            "model.text.num_heads": 2,
            "model.text.intermediate_size": 20,
            "model.regions.feature_size": 20,
            "data.encoder": str(folder / "encoder"),
            "data.regions": str(folder / "regions"),
            "data.pictures": 48,
            "data.vocab_size": 900,
            "data.validation_examples": 16,
            "data.scenes.concepts": 30,
            "data.scenes.held_out_pairs": 200,
            "model.regions.classes": 32,
            "optim.steps": 3,
            "optim.batch_size": 8,
            "optim.warmup_steps": 1,
            **changes,
        },
    )


def test_regions_of_records_have_the_objects_they_name(folder: Path) -> None:
    out = folder / "named"
    encoder = str(folder / "encoder")
    made = make_regions(
        folder / "records.jsonl", out, encoder=encoder, cells=grid(2, 2), boxes=None
    )
    assert (made.written, made.feature_size, made.classes, made.left_out) == (6, 20, 3, ())
    assert (out / "classes.txt").read_text() == "boat\ndog\n"
    regions = load_regions(out / "p3.npz")
    np.testing.assert_allclose(regions.boxes[0], [0, 0, 20 / 37, 20 / 29], atol=1e-6)
    assert regions.soft_labels is not None
    assert regions.soft_labels.argmax(axis=1).tolist() == [1, 2]


def test_regions_of_a_folder_are_a_grid_or_given_boxes(folder: Path, tmp_path: Path) -> None:
    encoder = str(folder / "encoder")
    boxes = tmp_path / "boxes.jsonl"
    boxes.write_text('{"image": "p1.png", "boxes": [[0, 0, 37, 29]]}', encoding="utf-8")
    (folder / "photos" / "broken.png").write_bytes(b"no picture")
    made = make_regions(
        folder / "photos", tmp_path / "out", encoder=encoder, cells=grid(2, 3), boxes=boxes
    )
    (folder / "photos" / "broken.png").unlink()
    assert made.written == 6
    assert len(made.left_out) == 1
    assert len(load_regions(tmp_path / "out" / "p0.npz")) == 7
    whole = load_regions(tmp_path / "out" / "p1.npz")
    np.testing.assert_allclose(whole.boxes, [[0, 0, 1, 1]])
    cells = load_regions(tmp_path / "out" / "p0.npz").features
    assert len(np.unique(cells.round(3), axis=0)) > 3


def test_pictures_that_would_share_a_file_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    with pytest.raises(DataError, match="rename"):
        make_regions(
            tmp_path,
            tmp_path / "out",
            encoder=str(folder / "encoder"),
            cells=grid(1, 1),
            boxes=None,
        )


def test_it_learns_from_records_and_their_regions(folder: Path) -> None:
    make_regions(
        folder / "records.jsonl",
        folder / "named",
        encoder=str(folder / "encoder"),
        cells=grid(1, 1),
        boxes=None,
    )
    run = derive(
        little("uniter-scenes-tasks", folder),
        {
            "start_from": None,
            "data.scenes": None,
            "data.train": str(folder / "records.jsonl"),
            "data.regions": str(folder / "named"),
            "model.regions.classes": 3,
            "tasks": UniterTasks(answer=UniterTask(), retrieve=UniterRetrieval(candidates=3)),
        },
    )
    run_training(run, run_dir=folder / "runs" / "records", device="cpu")
    loaded = load_uniter(folder / "runs" / "records")
    assert loaded.answers == ("a boat",)
    assert loaded.encoder == str(folder / "encoder")  # what described the regions, says `regions`
    assert loaded.untrained == ("match", "words")
    wide = derive(run, {"model.regions.feature_size": 21})
    with pytest.raises(ConfigError, match="model.regions.feature_size=20"):
        run_training(wide, run_dir=folder / "runs" / "wide", device="cpu")
    lost = derive(run, {"data.regions": str(folder / "photos")})
    with pytest.raises(DataError, match="mplug regions"):
        run_training(lost, run_dir=folder / "runs" / "lost", device="cpu")


def test_scenes_are_learned_and_every_task_is_measured(folder: Path) -> None:
    pretraining = little("uniter-scenes-pretrain", folder)
    run_training(pretraining, run_dir=folder / "runs" / "pretrain", device="cpu")
    start = str(folder / "runs" / "pretrain")
    tasks = little("uniter-scenes-tasks", folder, tasks=ALL, start_from=start)
    run = folder / "runs" / "tasks"
    run_training(tasks, run_dir=run, device="cpu")
    extent = Extent(("unseen_artist",), 24, 30)
    figures = uniter_figures(run, tasks, extent=extent, tasks=(), device="cpu")
    metrics = {figure.metric for _, figure in figures}
    assert {*uniter_page.COLUMNS} <= metrics
    assert {"region_accuracy_boxes_alone", "answer_accuracy_boxes_alone"} <= metrics
    for _, figure in figures:
        assert figure.low <= figure.value <= figure.high
        assert figure.baselines or "alone" in figure.metric
    with pytest.raises(CheckpointError, match="not trained for"):
        uniter_figures(Path(start), tasks, extent=extent, tasks=("answer",), device="cpu")
    model = mplug.load(run, device="cpu")
    photo = folder / "photos" / "p1.png"
    assert model.answer(photo, "what is it?") in model.answers
    assert 0 < model.match(photo, "a boat") < 1
    assert 0 <= model.ground(photo, "a boat").x0 < 37
    scores = [asdict(score_of(figure, split=split)) for split, figure in figures]
    _show_page(folder, scores)


def _show_page(folder: Path, scores: list[dict[str, object]]) -> None:
    """The experiment's page, of one cell of each row."""
    experiment = UniterExperiment(ExperimentExtent(4, 3, 48, 24), folder=folder, device="cpu")
    cells = Cells(folder / "cells.json", experiment="uniter", settings=experiment.settings)
    both = scores + [{**score, "split": "training_artists"} for score in scores]
    for row in ("none", "alignment"):
        for seed in (0, 1):
            cells.add(f"{row}/{seed}", {"row": row, "seed": seed, "scores": both})
    page = "\n".join(uniter_page.lines(cells))
    assert "| no pretraining | 2 |" in page
    assert "best without seeing" in page
    assert uniter_page.chart(cells).startswith("<svg")


def test_every_row_of_the_experiment_is_a_run() -> None:
    experiment = UniterExperiment(ExperimentExtent(100, 50, 48, 24), folder=Path("x"), device="cpu")
    assert len(experiment.names(seeds=2)) == 2 * len(ROWS) == 12
    for changes in ROWS.values():
        derive(experiment._pretraining, changes)
    assert experiment._pretraining.optim.warmup_steps == 3
    with pytest.raises(ConfigError, match="no cell"):
        parsed("everything/0")
