"""What a recipe aims at, and what differs from the paper, as a person reads it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mplug.config.load import dump_json, load_config
from mplug.config.recipes import RECIPES
from mplug.errors import ConfigError
from mplug.interfaces.commands_train import list_recipes, print_differences, show_recipe
from mplug.interfaces.recipe_text import difference_lines, heading, load_run_or_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_aims_at_or_that_nothing_is_published(name: str) -> None:
    assert any(line.startswith("Aims at ") for line in heading(name))


def test_a_published_row_is_named_with_its_table_and_its_figures() -> None:
    aim = heading("large-caption")[-2]
    assert aim.startswith("Aims at Table 1, coco-karpathy test, mPLUG, cross-entropy:")
    assert "cider_d 141" in aim


def test_a_run_of_our_own_names_the_papers_run_of_its_task() -> None:
    assert heading("tiny-answer")[-1].endswith("the paper's run of this task: base-answer")


def test_a_shown_recipe_with_its_heading_is_still_the_recipe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    show_recipe("large-answer")
    file = tmp_path / "shown.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert "# Aims at Table 2, vqav2 testdev, mPLUG-L: vqa_accuracy 81.27" in file.read_text()
    assert load_config(file) == RECIPES["large-answer"]()


def test_listed_as_json_recipes_have_their_aims(capsys: pytest.CaptureFixture[str]) -> None:
    list_recipes(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["large-entail"]["aims"][1]["values"] == {"entail_accuracy": 89.29}
    assert rows["tiny-entail"]["aims"] == []


def test_a_runs_folder_is_compared_as_its_configuration(tmp_path: Path) -> None:
    config = load_config("tiny-ground", ["optim.lr=7e-4"])
    (tmp_path / "config.json").write_text(dump_json(config), encoding="utf-8")
    assert load_run_or_recipe(str(tmp_path), []) == config
    assert any("0.0007" in line for line in difference_lines(config))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a run's folder: it holds no config\.json"):
        load_run_or_recipe(str(tmp_path), [])


def test_several_tasks_are_compared_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    print_differences("tiny-tasks", [], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == "tiny-tasks"
    assert {each["learns"]: each["recipe"] for each in told["paper"]} == {
        "retrieval": "base-retrieval",
        "caption": "base-caption",
        "answer": "base-answer",
        "ground": "base-ground",
        "compare": "base-compare",
        "entail": "base-entail",
    }


def test_the_list_of_differences_imports_no_torch() -> None:
    code = (
        "import sys; from mplug.interfaces.commands_train import print_differences;"
        "print_differences('base-answer', [], as_json=False); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
