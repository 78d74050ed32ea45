"""A run that chooses leaves its best model, and is refused before it starts if it cannot choose."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mplug.config.load import load_config
from mplug.config.ready import require_ready, validation_figures
from mplug.errors import ConfigError
from mplug.interfaces.training import run_training
from mplug.tasks.finetune import Finetuning
from tests.interfaces.colours import MODEL, write_colours
from tests.interfaces.test_training import SCENES


def test_a_run_leaves_the_model_of_its_best_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter((0.3, 0.1, 0.2))
    monkeypatch.setattr(Finetuning, "evaluate", lambda self: {"validation_caption": next(losses)})
    records = write_colours(tmp_path / "colours", count=40, seed=0)
    words = [*MODEL, f"data.train={records}", "start_from=null", "train.choose=validation_caption"]
    words += ["optim.steps=6", "optim.batch_size=4", "train.evaluate_every=2", "train.keep=1"]
    run_training(load_config("tiny-caption", words), run_dir=tmp_path / "run", device="cpu")
    best = load_file(tmp_path / "run" / "checkpoints" / "step-00000004" / "task.safetensors")
    left = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert left
    assert all(torch.equal(value, best[f"model.{name}"]) for name, value in left.items())
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "after step 4 of 6, its best by validation_caption" in card


@pytest.mark.parametrize("recipe", ["demo-pretrain", "scenes-200-tasks"])
def test_evaluations_have_every_figure_that_a_run_may_choose_by(
    recipe: str, tmp_path: Path
) -> None:
    config = load_config(recipe, [*SCENES, "start_from=null", "optim.steps=1"])
    run_training(config, run_dir=tmp_path / "run", device="cpu")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    figures = json.loads(lines[-1])
    assert set(validation_figures(config)) <= set(figures)


def test_a_figure_that_the_run_will_not_have_is_refused_before_it_starts() -> None:
    words = ["data.train=a.jsonl", "train.choose=validation_captions"]
    with pytest.raises(ConfigError, match="did you mean validation_caption"):
        require_ready(load_config("tiny-caption", words))


@pytest.mark.parametrize(
    ("recipe", "figures"),
    [
        ("tiny-caption-scst", ["validation_cider_d"]),
        ("tiny-answer", ["validation_answer"]),
        (
            "tiny-retrieval",
            [
                "validation_itc",
                "validation_itm",
                "validation_recall_at_1_image_to_text",
                "validation_recall_at_1_text_to_image",
            ],
        ),
    ],
)
def test_what_a_run_may_choose_by_follows_from_its_tasks(recipe: str, figures: list[str]) -> None:
    assert validation_figures(load_config(recipe)) == figures
