from pathlib import Path

import pytest

from mplug.config.load import dump_json, dump_yaml, load_config
from mplug.config.ready import require_ready
from mplug.config.recipes import RECIPES
from mplug.config.schema import ScenesConfig
from mplug.errors import ConfigError


def message(source: str | Path, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(source, words)
    return str(caught.value)


def test_words_change_fields_at_any_depth_with_yaml_values() -> None:
    words = (
        "optim.lr=1e-5",
        "optim.betas=[0.8, 0.95]",
        "data.scenes.artists=[noto, twemoji, fxemoji]",
        "data.shuffle_captions=true",
        "objectives.itm.every=3",
        "optim.vision_lr=null",
    )
    config = load_config("demo-pretrain", words)
    assert config.optim.lr == 1e-5
    assert config.optim.betas == (0.8, 0.95)
    assert config.data.scenes is not None
    assert config.data.scenes.artists == ("noto", "twemoji", "fxemoji")
    assert config.data.shuffle_captions is True
    assert config.objectives.itm.every == 3
    assert config.optim.vision_lr is None


def test_a_later_word_wins() -> None:
    assert load_config("demo-pretrain", ("optim.lr=1e-3", "optim.lr=2e-3")).optim.lr == 2e-3


def test_a_word_fills_in_a_group_that_was_absent() -> None:
    config = load_config("tiny-pretrain", ("data.scenes.concepts=20",))
    assert config.data.scenes == ScenesConfig(concepts=20)


@pytest.mark.parametrize("typed", ["2026", "1e4", "true", "12:30", "a: b.jsonl"])
def test_text_fields_take_what_was_typed(typed: str) -> None:
    assert load_config("tiny-pretrain", (f"data.train={typed}",)).data.train == typed


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optim.lrr=1", "optim.lrr: no such field; did you mean optim.lr?"),
        ("optm.lr=1", "optm.lr: no such field; did you mean optim.lr?"),
        ("lr=1", "lr: no such field; did you mean optim.lr?"),
        ("data.scenes.concept=1", "did you mean data.scenes.concepts?"),
        ("quux.zzz=1", "no such field; a run has name, task, tasks, "),
        ("optim.lr.peak=1", "optim.lr is a single value"),
        ("optim=1", "optim is a group of fields (steps, batch_size, "),
        ("optim.lr=-1", "optim.lr = -1: must be greater than 0"),
        ("optim.lr=fast", "optim.lr = 'fast': must be a number"),
        ("optim.steps=1.5", "optim.steps = 1.5: must be a whole number"),
        ("optim.betas=0.9", "optim.betas = 0.9: must be a list, such as [a, b]"),
        ("model.vision.stem=pach", "model.vision.stem = 'pach': must be 'patch' or 'convolution'"),
        ("model.vision.image_size=65", "image_size 65 is not a multiple of patch_size 8"),
        ("optim.lr", "'optim.lr' is not path=value"),
        ("optim.betas=[0.9", "optim.betas=[0.9: "),
    ],
)
def test_a_wrong_word_names_the_field_the_value_and_what_is_accepted(
    word: str, expected: str
) -> None:
    assert expected in message("demo-pretrain", word)


def test_every_problem_is_told_at_once() -> None:
    told = message("demo-pretrain", "optim.steps=0", "train.keep=0").splitlines()
    assert [line.split(" ")[0] for line in told] == ["optim.steps", "train.keep"]


def test_tasks_with_records_of_their_own_need_no_others() -> None:
    with_its_own = ["tasks.answer.train=questions.jsonl"]
    require_ready(load_config("tiny-answer", with_its_own))
    with pytest.raises(ConfigError, match=r"data\.train is not set"):
        require_ready(load_config("tiny-tasks", with_its_own))


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    assert "did you mean demo-pretrain" in message("demo-pretrian")


def test_a_file_changes_the_recipe_it_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: tiny-pretrain\nname: mine\noptim:\n  lr: 5e-4\n")
    config = load_config(file, ("optim.steps=7",))
    tiny = RECIPES["tiny-pretrain"]()
    assert (config.name, config.optim.lr, config.optim.steps) == ("mine", 5e-4, 7)
    assert config.model == tiny.model


def test_a_wrong_field_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: tiny-pretrain\noptim:\n  lr: 1e-4\n  stepz: 3\n")
    assert message(file) == (
        f"{file}, line 4: optim.stepz: no such field; did you mean optim.steps?"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim: {lr: 1\n", "line 2"),
        ("- a\n", "must hold fields"),
        ("", "must hold fields"),
        ("name: mine\n", "start it with a line `recipe: NAME`"),
        ("recipe: nothing\n", "no recipe is called 'nothing'"),
    ],
)
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert expected in message(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.yaml cannot be read" in message(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("suffix", "dump"), [(".yaml", dump_yaml), (".json", dump_json)])
def test_a_dumped_run_loads_back_equal(tmp_path: Path, name: str, suffix: str, dump) -> None:  # type: ignore[no-untyped-def]
    config = load_config(name, ("name=größe \U0001f600",))
    file = tmp_path / f"run{suffix}"
    file.write_text(dump(config), encoding="utf-8")
    assert load_config(file) == config


def test_a_run_without_data_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match=r"data\.train is not set"):
        require_ready(load_config("tiny-pretrain"))


def test_a_run_with_two_sources_of_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"add data\.scenes=null"):
        require_ready(load_config("demo-pretrain", ("data.train=mine.jsonl",)))


def test_captions_longer_than_the_positions_are_refused() -> None:
    config = load_config("demo-pretrain", ("data.max_words=63",))
    with pytest.raises(ConfigError, match=r"data\.max_words = 63"):
        require_ready(config)


def test_a_batch_that_does_not_split_is_refused() -> None:
    config = load_config("demo-pretrain", ("optim.batch_size=10", "optim.accumulate=2"))
    with pytest.raises(ConfigError, match="make it a multiple of 4"):
        require_ready(config, processes=2)
    require_ready(config, processes=5)
