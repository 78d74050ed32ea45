import pytest

from mplug.config.edit import derive
from mplug.config.ready import validation_figures
from mplug.config.recipes import RECIPES, recipe, summary
from mplug.config.schema import TasksConfig
from mplug.errors import ConfigError


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_carries_its_name(name: str) -> None:
    assert recipe(name).name == name


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_is_for_in_a_line(name: str) -> None:
    assert 20 < len(summary(name)) < 100


STARTED = [name for name in RECIPES if recipe(name).start_from]


@pytest.mark.parametrize("name", STARTED)
def test_a_run_that_starts_from_another_has_its_model_at_a_resolution_of_its_own(name: str) -> None:
    run = recipe(name)
    assert run.start_from is not None
    start = run.start_from.removeprefix("runs/")
    before = recipe("scenes-200-tasks" if start == "mplug-tiny" else start)
    same_size = {"model.vision.image_size": before.model.vision.image_size}
    assert derive(run, same_size).model == before.model


@pytest.mark.parametrize("name", RECIPES)
def test_texts_and_their_ends_fit_into_the_models_positions(name: str) -> None:
    run = recipe(name)
    longest = max(run.data.max_words, run.generation.max_tokens)
    assert longest + 2 <= run.model.text.max_positions


@pytest.mark.parametrize("task", TasksConfig.model_fields)
@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_every_task_has_a_run_of_its_own_in_every_size(size: str, task: str) -> None:
    runs = [recipe(name) for name in RECIPES if name.startswith(f"{size}-{task}")]
    assert any(list(run.tasks.chosen) == [task] for run in runs)


@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_self_critical_training_starts_from_the_captions_of_cross_entropy(size: str) -> None:
    run = recipe(f"{size}-caption-scst")
    assert (run.task, run.start_from) == ("self_critical", f"runs/{size}-caption")


def test_runs_of_a_single_task_leave_their_best_model_by_what_they_are_evaluated_by() -> None:
    for name in RECIPES:
        run = recipe(name)
        assert run.train.choose is None or run.train.choose in validation_figures(run)
        if len(run.tasks.chosen) == 1 and name.startswith(("tiny", "small", "base", "large")):
            assert run.train.choose is not None


def test_one_tiny_run_learns_all_tasks_at_once() -> None:
    assert set(recipe("tiny-tasks").tasks.chosen) == set(TasksConfig.model_fields)


def test_deriving_checks_the_whole_run_again() -> None:
    with pytest.raises(ConfigError, match="not a multiple of patch_size"):
        derive(recipe("tiny-pretrain"), {"model.vision.image_size": 65})
