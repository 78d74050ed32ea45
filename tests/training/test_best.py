"""The model at its best: which one that is, that it stays, and that it is what a run leaves."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from mplug.config.schema import TrainConfig
from mplug.errors import ConfigError
from mplug.training import state
from mplug.training.best import consider
from mplug.training.interrupts import Interrupted
from mplug.training.loop import Outcome
from mplug.training.run import RunDirectory
from mplug.training.state import Progress
from tests.training.toy import SETTINGS, STEPS, Toy, fingerprint, run_toy

LOSSES = {2: 0.9, 4: 0.5, 6: 0.7, 8: 0.4, 10: 0.6, 12: 0.8}  # by step; 8 is the best
BY_LOSS = SETTINGS.model_copy(
    update={"evaluate_every": 2, "save_every": 3, "keep": 1, "choose": "loss"}
)


class Judged(Toy):
    """A toy whose evaluations are told to it."""

    def __init__(self, figures: dict[int, float] = LOSSES, *, name: str = "loss") -> None:
        super().__init__(dropout=0.1)
        self.figures, self.name, self.step = figures, name, 0

    def before_step(self, step: int) -> None:
        self.step = step + 1
        super().before_step(step)

    def evaluate(self) -> dict[str, float]:
        return {self.name: self.figures[self.step]}


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, *, step: int, steps: int) -> None:
        pass

    def line(self, line: Any) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        pass


def judged(
    path: Path, task: Judged | None = None, *, settings: TrainConfig = BY_LOSS, **options: Any
) -> tuple[Judged, Outcome]:
    task = task or Judged()
    return task, run_toy(path, task=task, settings=settings, **options)


def weights(path: Path, *, step: int) -> dict[str, torch.Tensor]:
    folder = RunDirectory(path).checkpoints(keep=1).folder_of(step)
    return state.load_tensors(folder / state.TASK, like=None)


def kept(path: Path) -> list[int]:
    return sorted(int(entry.name.split("-")[1]) for entry in (path / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    judged(path)
    return path


def test_the_best_checkpoint_is_kept_beside_the_newest(whole: Path) -> None:
    assert kept(whole) == [8, STEPS]


def test_a_run_leaves_its_task_and_its_figures_as_they_were_at_their_best(tmp_path: Path) -> None:
    task, outcome = judged(tmp_path / "run")
    assert (outcome.step, outcome.chosen, outcome.evaluation) == (STEPS, 8, {"loss": 0.4})
    for name, value in weights(tmp_path / "run", step=8).items():
        assert torch.equal(task.state_dict()[name], value), name


def test_the_log_says_which_step_and_value(tmp_path: Path) -> None:
    notes = Notes()
    judged(tmp_path / "run", reporters=[notes])
    assert [note for note in notes.notes if "best" in note] == [
        "the best loss so far: 0.9",
        "the best loss so far: 0.5",
        "the best loss so far: 0.4",
        f"the model after step 8 of {STEPS} is the best (loss 0.4)",
    ]


def test_choosing_changes_no_step(whole: Path, tmp_path: Path) -> None:
    plain = BY_LOSS.model_copy(update={"choose": None})
    _, outcome = judged(tmp_path / "run", settings=plain)
    assert (outcome.chosen, outcome.evaluation) == (None, {"loss": LOSSES[STEPS]})
    assert fingerprint(tmp_path / "run") == fingerprint(whole)
    assert kept(tmp_path / "run") == [STEPS]


@pytest.mark.parametrize("step", range(STEPS - 1))
def test_stopped_and_continued_the_best_is_remembered_and_all_is_the_same(
    step: int, whole: Path, tmp_path: Path
) -> None:
    path, stopped = tmp_path / "run", Judged()

    def stop(now: int) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped.at_step = stop
    with pytest.raises(Interrupted):
        judged(path, stopped)
    continued = Judged()
    continued.step = step + 1
    _, outcome = judged(path, continued)
    assert (outcome.chosen, outcome.evaluation) == (8, {"loss": 0.4})
    assert fingerprint(path) == fingerprint(whole)
    assert fingerprint(path, step=8) == fingerprint(whole, step=8)
    assert kept(path) == [8, STEPS]


@pytest.mark.parametrize("step", [5, 9, 11])
def test_after_a_crash_the_best_is_found_again(step: int, whole: Path, tmp_path: Path) -> None:
    path, crashed = tmp_path / "run", Judged()

    def crash(now: int) -> None:
        if now == step:
            raise ZeroDivisionError

    crashed.at_step = crash
    with pytest.raises(ZeroDivisionError):
        judged(path, crashed)
    _, outcome = judged(path)
    assert outcome.chosen == 8
    assert fingerprint(path, step=8) == fingerprint(whole, step=8)


def test_a_finished_run_asked_again_leaves_the_same_best(whole: Path) -> None:
    task, outcome = judged(whole)
    assert outcome.chosen == 8
    assert not task.losses
    assert torch.equal(task.first.weight, weights(whole, step=8)["first.weight"])


def test_a_best_checkpoint_that_is_lost_is_said_and_later_ones_are_chosen_from(
    tmp_path: Path,
) -> None:
    path, stopped, notes = tmp_path / "run", Judged(), Notes()

    def stop(now: int) -> None:
        if now == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped.at_step = stop
    with pytest.raises(Interrupted):
        judged(path, stopped)
    shutil.rmtree(path / "checkpoints" / "step-00000008")
    _, outcome = judged(path, reporters=[notes])
    assert "the best model so far is lost" in notes.notes[0]
    assert "step-00000008" in notes.notes[0]
    assert outcome.chosen == 10


def test_choosing_by_another_figure_begins_anew(tmp_path: Path) -> None:
    path, stopped = tmp_path / "run", Judged()

    def stop(now: int) -> None:
        if now == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped.at_step = stop
    with pytest.raises(Interrupted):
        judged(path, stopped)
    by_score = BY_LOSS.model_copy(update={"choose": "accuracy"})
    _, outcome = judged(path, Judged(name="accuracy"), settings=by_score)
    assert outcome.chosen == STEPS  # of steps 10 and 12, the higher


def test_a_score_is_better_when_higher_and_a_loss_when_lower() -> None:
    for figure, values, best in [
        ("validation_recall_at_1_text_to_image", (0.2, 0.5, 0.4), 2),
        ("validation_cider_d", (0.2, 0.5, 0.5), 2),
        ("validation_caption", (3.0, 1.0, 2.0), 2),
        ("validation_caption", (float("nan"), 3.0, float("nan")), 2),
    ]:
        progress = Progress()
        for step, value in enumerate(values, start=1):
            progress.step, progress.evaluation = step, {figure: value}
            consider(progress, figure=figure)
        assert progress.best_step == best, figure


def test_where_no_figure_is_a_number_the_last_model_is_left_and_that_is_said(
    tmp_path: Path,
) -> None:
    notes = Notes()
    never = dict.fromkeys(LOSSES, float("nan"))
    _, outcome = judged(tmp_path / "run", Judged(never), reporters=[notes])
    assert outcome.chosen is None
    assert "no evaluation has a loss to choose by" in notes.notes[-1]


def test_a_figure_that_no_evaluation_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    wrong = BY_LOSS.model_copy(update={"choose": "los"})
    with pytest.raises(ConfigError, match=r"train.choose = 'los'.*choose one of loss"):
        judged(tmp_path / "run", settings=wrong)
