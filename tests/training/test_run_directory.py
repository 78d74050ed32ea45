"""A run directory: what it holds, what it refuses, what it forgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from mplug.config.recipes import any_recipe
from mplug.errors import ConfigError
from mplug.training.run import RunDirectory, flatten, open_run
from tests.training.toy import ALONE

CONFIG: dict[str, Any] = {"name": "toy", "optim": {"lr": 0.1, "betas": (0.9, 0.98)}}


def open_and_close(path: Path, *, fresh: bool = False, **changes: Any) -> None:
    with open_run(path, config=CONFIG | changes, processes=ALONE, fresh=fresh):
        pass


def test_a_new_run_holds_its_resolved_configuration(tmp_path: Path) -> None:
    path = tmp_path / "deep er" / "run"
    open_and_close(path)
    stored = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert stored == {"name": "toy", "optim": {"lr": 0.1, "betas": [0.9, 0.98]}}


def test_the_same_configuration_continues(tmp_path: Path) -> None:
    open_and_close(tmp_path / "run")
    open_and_close(tmp_path / "run")


def test_another_configuration_is_refused_naming_fields_and_both_values(tmp_path: Path) -> None:
    open_and_close(tmp_path / "run")
    expected = (
        r"name: 'toy' there, 'other' now; optim.lr: 0.1 there, 0.2 now; .*optim.new: 'absent'"
    )
    with pytest.raises(ConfigError, match=expected):
        open_and_close(
            tmp_path / "run",
            name="other",
            optim={"lr": 0.2, "betas": (0.9, 0.98), "new": 1},
        )


def test_fields_that_change_no_weight_may_change(tmp_path: Path) -> None:
    open_and_close(tmp_path / "run", train={"keep": 2, "seed": 0})
    open_and_close(tmp_path / "run", train={"keep": 3, "seed": 0})
    with pytest.raises(ConfigError, match="train.seed: 0 there, 1 now"):
        open_and_close(tmp_path / "run", train={"keep": 3, "seed": 1})


@pytest.mark.parametrize("name", ["demo-pretrain", "clip-emoji", "uniter-scenes-pretrain"])
def test_a_run_from_before_a_field_existed_continues(name: str, tmp_path: Path) -> None:
    """What a stored run has no word for, it did as the default does."""
    whole = any_recipe(name).model_dump(mode="json")
    older = json.loads(json.dumps(whole))
    del older["optim"]["accumulate"], older["train"]["seed"]
    if name == "demo-pretrain":
        del older["model"]["fusion"]["scheme"]
    (tmp_path / "config.json").write_text(json.dumps(older), encoding="utf-8")
    with open_run(tmp_path, config=whole, processes=ALONE):
        pass
    whole["train"]["seed"] = 1
    with (
        pytest.raises(ConfigError, match=r"\(train\.seed: 0 there, 1 now\)"),
        open_run(tmp_path, config=whole, processes=ALONE),
    ):
        pass


def test_fresh_moves_the_run_aside_once(tmp_path: Path) -> None:
    path, old = tmp_path / "run", tmp_path / "run.old"
    for number in range(3):
        open_and_close(path, fresh=True, name=f"run {number}")
        (path / f"made by {number}").touch()
    assert json.loads((old / "config.json").read_text(encoding="utf-8"))["name"] == "run 1"
    assert (old / "made by 1").exists()
    assert not (old / "made by 0").exists()
    assert not (path / "made by 1").exists()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_files_is_never_taken_nor_moved(fresh: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"holds other files \(thesis.tex\)"):
        open_and_close(tmp_path, fresh=fresh)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="is a file"):
        open_and_close(tmp_path / "run")


def test_a_start_cut_short_before_the_configuration_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "lock").write_text('{"host": "elsewh', encoding="utf-8")
    (path / "config.json.new").write_text("{", encoding="utf-8")
    open_and_close(path)
    assert (path / "config.json").exists()


def test_a_stored_configuration_that_is_no_json_is_said(tmp_path: Path) -> None:
    open_and_close(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.json is not JSON .* --fresh"):
        open_and_close(tmp_path / "run")


def test_the_lock_names_its_owner_and_is_free_afterwards(tmp_path: Path) -> None:
    import os
    import socket

    with open_run(tmp_path / "run", config=CONFIG, processes=ALONE):
        owner = json.loads((tmp_path / "run" / "lock").read_text(encoding="utf-8"))
        assert owner == {"host": socket.gethostname(), "pid": os.getpid()}
    open_and_close(tmp_path / "run")


def test_metrics_after_the_resumed_step_are_forgotten_with_half_a_line(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.forget_metrics_after(3)  # nothing there yet
    assert not run.metrics.exists()
    run.metrics.write_text('{"step": 2}\n{"step": 4}\n{"step": 6}\n{"st', encoding="utf-8")
    run.forget_metrics_after(4)
    assert run.metrics.read_text(encoding="utf-8") == '{"step": 2}\n{"step": 4}\n'


def test_nested_settings_get_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": (2, 3)}, "e": None}) == {
        "a.b.c": 1,
        "a.d": [2, 3],
        "e": None,
    }
