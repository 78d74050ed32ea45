"""Every reference number is reproduced, and a wrong one is noticed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.golden.compare import Tally, Tolerance, leaves
from tests.golden.reference import PRECISIONS, Precision, Reference
from tests.golden.run import check, main

SETS = Path(__file__).parent / "mplug"
SINGLE = PRECISIONS[1]
EXACT = Tolerance(0.0, 0.0)


def checked(folder: Path, precision: Precision) -> Tally:
    total = Tally()
    for tally in check(Reference(folder, precision)).values():
        total.add(tally)
    return total


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.name)
@pytest.mark.parametrize("name", ["base", "large"])
def test_every_expected_value_is_reproduced(name: str, precision: Precision) -> None:
    tally = checked(SETS / name, precision)
    stem = SETS / name / f"expected{precision.suffix}"
    values = json.loads(stem.with_suffix(".json").read_text())
    count = len(load_file(stem.with_suffix(".safetensors"))) + len(list(leaves("", values)))
    assert tally.failures == []
    assert tally.checked == count


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A set of its own with few expected values: a check of all would find no more."""
    folder = tmp_path / "mplug" / "odd"
    shutil.copytree(SETS / "base", folder)
    for precision in PRECISIONS:
        stem = folder / f"expected{precision.suffix}"
        tensors, path = load_file(stem.with_suffix(".safetensors")), stem.with_suffix(".json")
        save_file(
            {"text": tensors["text"], "rerank.sims": tensors["rerank.sims"]}, f"{stem}.safetensors"
        )
        path.write_text(json.dumps({"caption.loss": json.loads(path.read_text())["caption.loss"]}))
    return folder


def change_json(folder: Path, **values: Any) -> None:
    path = folder / "expected_f32.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_one_wrong_number_is_one_failure(copy: Path) -> None:
    loss = json.loads((copy / "expected_f32.json").read_text())["caption.loss"]
    change_json(copy, **{"caption.loss": loss + 0.001})
    [failure] = checked(copy, SINGLE).failures
    assert failure.startswith("caption.loss: ")


def test_one_wrong_element_of_a_tensor_is_one_failure(copy: Path) -> None:
    path = copy / "expected_f32.safetensors"
    tensors = load_file(path)
    tensors["rerank.sims"][1, 2] += 0.001
    save_file(tensors, path)
    [failure] = checked(copy, SINGLE).failures
    assert failure.startswith("rerank.sims: off by 1.0e-03")


def test_an_entry_that_nothing_reads_fails_leaf_by_leaf(copy: Path) -> None:
    change_json(copy, **{"vqa.unheard_of": {"ids": [1, 2], "scores": None}})
    assert checked(copy, SINGLE).failures == [
        "vqa.unheard_of/ids[0]: nothing reads it",
        "vqa.unheard_of/ids[1]: nothing reads it",
        "vqa.unheard_of/scores: nothing reads it",
    ]


def test_the_exit_code_says_whether_all_is_well(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(copy.parents[1]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("golden: 6 checked, 0 failed, worst")
    save_file({"unknown": torch.zeros(2)}, copy / "expected.safetensors")
    assert main(copy.parents[1]) == 1


def test_a_folder_without_sets_is_no_success(tmp_path: Path) -> None:
    assert main(tmp_path) == 1


def test_a_longer_list_and_a_number_in_place_of_null_are_failures() -> None:
    tally = Tally()
    tally.compare("ids", [1, 2, 3], [1, 2], allowed=EXACT)
    tally.compare("norm", 0.0, None, allowed=EXACT)
    assert tally.failures == ["ids[2]: not expected", "norm: 0.0, not None"]
