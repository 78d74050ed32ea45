import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.golden.clip import check_clip
from tests.golden.run import checks

HERE = Path(__file__).parent
SETS = ("clip", "clip_resnet")


@pytest.mark.parametrize("name", SETS)
def test_every_expected_value_is_reproduced(name: str) -> None:
    [tally] = check_clip(HERE / name).values()
    assert tally.failures == []
    assert tally.checked == len(load_file(HERE / name / "expected.safetensors"))


@pytest.mark.parametrize("name", SETS)
def test_a_wrong_number_and_an_unknown_name_are_failures(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name / "odd"
    shutil.copytree(HERE / name, folder)
    tensors = load_file(folder / "expected.safetensors")
    tensors["logits_per_text"][1, 2] += 1e-9
    save_file(tensors | {"unknown": torch.zeros(1)}, folder / "expected.safetensors")
    [(title, tally)] = checks(tmp_path)
    assert title == f"{name}/odd features"
    assert sorted(line.split(":")[0] for line in tally.failures) == ["logits_per_text", "unknown"]


def test_heads_that_files_do_not_tell_come_from_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(HERE / "clip", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformer_heads": 3}))
    [tally] = check_clip(folder).values()
    assert {line.split(":")[0] for line in tally.failures} >= {"text_features"}
