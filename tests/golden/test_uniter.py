import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.golden.run import checks
from tests.golden.uniter import check_uniter

SET = Path(__file__).parent / "uniter"


def test_every_expected_value_is_reproduced() -> None:
    [tally] = check_uniter(SET).values()
    assert tally.failures == []
    assert tally.checked == len(load_file(SET / "expected.safetensors"))


def test_a_wrong_number_and_an_unknown_name_are_failures(tmp_path: Path) -> None:
    folder = tmp_path / "uniter"
    shutil.copytree(SET, folder)
    tensors = load_file(folder / "expected.safetensors")
    tensors["mrfr_loss_per_feature"][1, 2] += 1e-9
    save_file(tensors | {"unknown": torch.zeros(1)}, folder / "expected.safetensors")
    [(title, tally)] = checks(tmp_path)
    assert title == "uniter objectives"
    assert sorted(line.split(":")[0] for line in tally.failures) == [
        "mrfr_loss_per_feature",
        "unknown",
    ]
