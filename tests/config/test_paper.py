"""The paper's runs beside ours: what each aims at, and every difference, none made up."""

import pytest

from mplug.config.edit import all_paths, derive
from mplug.config.load import load_config
from mplug.config.paper import PAPER_RUNS, UNKNOWN, aims
from mplug.config.paper_diff import Difference, differences, paper_runs_of
from mplug.config.recipes import RECIPES, recipe

OF_THE_PAPER = [name for name in RECIPES if name.startswith(("base-", "large-"))]


def told(name: str, *words: str) -> dict[str, Difference]:
    """The differences between a recipe of one task, changed by words, and the paper's run."""
    config = load_config(name, words)
    ((what, beside),) = paper_runs_of(config).items()
    return {each.field: each for each in differences(config, what, name=beside)}


def test_every_run_of_base_and_large_but_the_xrays_stands_beside_the_papers() -> None:
    assert {*PAPER_RUNS, "base-xray"} == set(OF_THE_PAPER)


@pytest.mark.parametrize("name", PAPER_RUNS)
def test_settings_that_are_not_ours_name_fields_that_there_are(name: str) -> None:
    assert set(PAPER_RUNS[name].fields) <= {".".join(path) for path in all_paths()}


@pytest.mark.parametrize("name", PAPER_RUNS)
def test_a_paper_recipe_is_compared_with_itself(name: str) -> None:
    config = recipe(name)
    assert name in paper_runs_of(config).values()
    fields = {field for field in told(name) if "." in field and " " not in field}
    assert fields <= set(PAPER_RUNS[name].fields)


def test_every_aim_is_a_published_row_with_figures() -> None:
    assert all(aim.values for name in PAPER_RUNS for aim in aims(name))
    assert [aim.values["cider_d"] for aim in aims("large-caption-scst")] == [155.1]
    assert [aim.values["cider_d"] for aim in aims("base-caption")] == [137.5]


@pytest.mark.parametrize("name", ["tiny-answer", "demo-pretrain", "base-xray"])
def test_runs_of_our_own_aim_at_no_published_figure(name: str) -> None:
    assert aims(name) == ()


def test_a_changed_field_is_a_difference_with_both_values() -> None:
    before, after = told("large-retrieval-coco"), told("large-retrieval-coco", "optim.lr=3e-5")
    assert "optim.lr" not in before
    assert after["optim.lr"] == ("optim.lr", "3e-05", "1e-05")


def test_what_nobody_published_is_unknown_whatever_ours_is() -> None:
    found = told("large-compare")
    for field in ("optim.lr", "optim.batch_size", "optim.steps", "model.vision.image_size"):
        assert found[field].paper == UNKNOWN
    assert told("large-pretrain")["optim.batch_size"].paper == UNKNOWN
    assert "optim.batch_size" not in told("base-pretrain")


def test_what_no_field_says_is_said_in_words() -> None:
    found = told("base-caption-scst")
    assert found["starts from"].paper == "epoch 3"
    assert found["captions are drawn"] == (
        "captions are drawn",
        "without dropout",
        "with dropout",
    )


def test_the_image_encoders_last_rate_is_compared_where_a_shared_least_rate_makes_it_differ() -> (
    None
):
    last = "the image encoder's rate at the end"
    assert told("base-caption")[last] == (last, "5e-07", "1e-06")
    assert last not in told("base-caption-scst")


def test_a_size_that_the_paper_does_not_have_is_compared_with_base() -> None:
    assert paper_runs_of(recipe("tiny-ground")) == {"ground": "base-ground"}
    assert paper_runs_of(recipe("tiny-caption-scst")) == {"self_critical": "base-caption-scst"}
    assert paper_runs_of(recipe("small-pretrain")) == {"pretrain": "base-pretrain"}


def test_a_large_run_of_any_name_is_compared_with_large() -> None:
    config = derive(recipe("large-ground"), {"name": "mine"})
    assert paper_runs_of(config) == {"ground": "large-ground"}


def test_fields_that_a_task_does_not_read_are_no_differences() -> None:
    words = ("objectives.queue_size=7", "generation.beams=2", "self_critical.samples=9")
    assert told("large-entail", *words) == told("large-entail")


def test_scenes_are_named_as_what_is_learned_from() -> None:
    found = told("demo-pretrain")
    assert found["data.train"].ours == "composed scenes"
    assert not any(field.startswith("data.scenes") for field in found)
