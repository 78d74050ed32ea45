import pytest

from mplug.config.paper_results import TABLES, PaperTable, published
from mplug.data.convert import CONVERTERS


def test_the_papers_row_is_found_by_task_data_set_and_split() -> None:
    table = published("compare", data="nlvr2", split="test1")
    assert table is not None
    assert table.rows["mPLUG"] == {"compare_accuracy": 84.95}
    assert published("compare", data="nlvr2", split="train") is None
    assert published("answer", data="", split="testdev") is None


def test_no_row_is_listed_twice_and_every_data_set_can_be_converted() -> None:
    keys = [(each.task, each.data, each.split) for each in TABLES]
    assert len(keys) == len(set(keys))
    assert {data for _, data, _ in keys} <= set(CONVERTERS)


@pytest.mark.parametrize("table", TABLES, ids=lambda each: f"{each.task} {each.data} {each.split}")
def test_the_papers_own_figure_comes_first_and_is_a_percentage(table: PaperTable) -> None:
    rows = table.rows
    assert next(iter(rows)).startswith("mPLUG")
    assert all(0 < value < 160 for row in rows.values() for value in row.values())
