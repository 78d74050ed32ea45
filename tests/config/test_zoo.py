"""The field's models: built at their published sizes, and the page that lists them."""

from pathlib import Path

import pytest

from mplug.config.ready import require_ready
from mplug.config.recipes import any_recipe
from mplug.config.recipes_zoo import MODELS, OBJECTIVES, RECIPES
from mplug.config.zoo_rows import MISSING, ROWS, Row
from mplug.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"


def test_fifteen_models_are_recipes_and_eight_are_not() -> None:
    assert len(ROWS) == 15
    assert len(MISSING) == 8
    assert set(MODELS) == set(OBJECTIVES)
    for row in ROWS:
        require_ready_but_for_data(row)


def require_ready_but_for_data(row: Row) -> None:
    run = any_recipe(row.recipe)
    if row.recipe in RECIPES:
        require_ready(run)


@pytest.mark.parametrize("row", [row for row in ROWS if row.published], ids=lambda row: row.title)
def test_parameters_are_within_two_percent_of_those_published(row: Row) -> None:
    from mplug.interfaces.zoo_page import millions, published_model

    assert row.published is not None
    count = millions(published_model(row), without=row.published.without)
    assert count == pytest.approx(row.published.millions, rel=0.02)


def test_the_page_is_up_to_date() -> None:
    from mplug.interfaces.zoo_page import page

    assert PAGE.read_text(encoding="utf-8") == page(), "run `python scripts/zoo_page.py`"


@pytest.mark.parametrize(
    ("recipe", "change", "reason"),
    [
        ("vilt-scenes", "objectives.mrfr=1", 'no head "mrfr"'),
        ("lxmert-scenes", "objectives.mlm_text=1", "only one stream"),
        ("simvlm-scenes", "objectives.mlm=1", "prefix_lm alone"),
        ("visualbert-scenes", "objectives.itm_tags=1", "tagged"),
    ],
)
def test_an_objective_that_a_model_cannot_learn_is_refused(
    recipe: str, change: str, reason: str
) -> None:
    from mplug.config.load import load_run

    with pytest.raises(ConfigError, match=reason):
        load_run(recipe, [change])
