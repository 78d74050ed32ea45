import json
from pathlib import Path

import pytest

from mplug.config.schema import TasksConfig
from mplug.errors import ConfigError
from mplug.interfaces.demo.settings import demo_settings
from mplug.interfaces.demo.state import DemoState, peak_memory_gb


def begin(folder: Path, *, fresh: bool = False, lr: float = 0.1) -> DemoState:
    settings = {"gallery": 5, "pretrain": {"optim": {"lr": lr, "steps": 7}}}
    return DemoState.open(folder, settings=settings, fresh=fresh)


def test_what_is_done_stays_done(tmp_path: Path) -> None:
    with begin(tmp_path / "run").stage("scenes"):
        pass
    state = begin(tmp_path / "run")
    assert state.done == ["scenes"]
    assert state.seconds["scenes"] >= 0
    assert state.peak_memory_gb > 0


def test_a_stage_that_was_stopped_is_not_done_but_has_cost_its_time(tmp_path: Path) -> None:
    state = begin(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), state.stage("pretrain"):
        raise KeyboardInterrupt
    again = begin(tmp_path / "run")
    assert again.done == []
    first = again.seconds["pretrain"]
    with again.stage("pretrain"):
        pass
    assert begin(tmp_path / "run").seconds["pretrain"] > first > 0


def test_the_total_counts_what_no_stage_counts(tmp_path: Path) -> None:
    state = begin(tmp_path / "run")
    with state.stage("scenes"):
        pass
    state.save()
    assert state.total_seconds > sum(state.seconds.values())


def test_other_settings_are_refused_with_both_values(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"pretrain\.optim\.lr: 0\.1 there, 0\.2 now.*--fresh"):
        begin(tmp_path / "run", lr=0.2)


def test_fresh_keeps_the_demo_before_beside_the_new_one(tmp_path: Path) -> None:
    with begin(tmp_path / "run").stage("scenes"):
        pass
    assert begin(tmp_path / "run", fresh=True, lr=0.2).done == []
    assert begin(tmp_path / "run.old").done == ["scenes"]
    begin(tmp_path / "run", fresh=True, lr=0.3)
    assert begin(tmp_path / "run.old", lr=0.2).done == []


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="holiday.jpg"):
        begin(tmp_path, fresh=fresh)
    assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"done": [', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"demo\.json"):
        begin(tmp_path)


def test_more_processes_may_have_held_more_memory() -> None:
    assert peak_memory_gb(children=0) <= peak_memory_gb(children=1) <= peak_memory_gb(children=2)


def test_every_task_is_learned_from_the_pretrained_run_and_search_stays_as_it_was(
    tmp_path: Path,
) -> None:
    settings = demo_settings(tmp_path, seed=4)
    assert settings.tasks.start_from == str(tmp_path / "pretrain")
    assert {*settings.tasks.tasks.chosen, "retrieval"} == set(TasksConfig.model_fields)
    assert settings.tasks.optim.vision_lr == settings.tasks.optim.text_lr == 0
    assert settings.pretrain.train.seed == settings.tasks.train.seed == 4
    assert settings.pretrain.data.scenes == settings.tasks.data.scenes == settings.world


def test_the_seed_changes_neither_world_nor_galleries(tmp_path: Path) -> None:
    one, other = demo_settings(tmp_path, seed=0), demo_settings(tmp_path, seed=1)
    assert one.world == other.world
    assert one.plain() != other.plain()
    assert json.loads(json.dumps(one.plain())) == one.plain()
