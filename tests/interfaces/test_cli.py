import json
import sys
import types
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import mplug
from mplug import errors
from mplug.config.load import load_config
from mplug.config.recipes import ALL, RECIPES
from mplug.interfaces import cli


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """`run("recipes", "list")` is the command `mplug recipes list`."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["mplug", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return Done(int(stopped.value.code or 0), captured.out, captured.err)

    return run


Run = Callable[..., Done]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the training itself, and keeps what it was called with."""
    calls: list[dict[str, Any]] = []

    def run_training(config: Any, **options: Any) -> None:
        print("step 1")
        calls.append({"config": config, **options})

    module = types.ModuleType("mplug.interfaces.training")
    module.run_training = run_training  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_version(run: Run) -> None:
    assert run("--version") == Done(0, f"{mplug.__version__}\n", "")


def test_help_lists_every_command(run: Run) -> None:
    listed = run("--help").out
    assert all(name in listed and entry.summary[:30] in listed for name, entry in COMMANDS)


COMMANDS = list(cli.COMMANDS.items())


@pytest.mark.parametrize(("name", "entry"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_exists_and_has_json(name: str, entry: cli.Entry, run: Run) -> None:
    module, _, attribute = entry.target.partition(":")
    found = getattr(import_module(f"mplug.interfaces.{module}"), attribute)
    if isinstance(found, typer.Typer):
        names = [
            command.name or command.callback.__name__
            for command in found.registered_commands
            if command.callback
        ]
        assert names
        assert all("--json" in run(name, inner, "--help").out for inner in names)
    else:
        assert "--json" in run(name, "--help").out


def test_an_unknown_command_is_answered_with_the_nearest(run: Run) -> None:
    done = run("trian")
    assert done.code == 2
    assert "'train'" in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MPlugError, 1),
        (errors.ConfigError, 2),
        (errors.DataError, 3),
        (errors.CheckpointError, 4),
        (errors.TrainingError, 5),
        (errors.MissingExtraError, 6),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_for_users_is_one_message_and_its_exit_code(
    error: type[errors.MPlugError],
    code: int,
    as_json: bool,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error("a.jsonl, line 7: no caption")

    monkeypatch.setattr(cli, "app", fail)
    done = run("doctor", *(["--json"] if as_json else []))
    assert done.code == code
    if as_json:
        told = {"kind": error.__name__, "message": "a.jsonl, line 7: no caption", "exit_code": code}
        assert json.loads(done.out) == {"error": told}
    else:
        assert (done.out, done.err) == ("", "error: a.jsonl, line 7: no caption\n")


def test_exit_codes_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    kinds: list[type[errors.MPlugError]] = [errors.MPlugError, *errors.MPlugError.__subclasses__()]
    for error in kinds:
        assert f"| {error.exit_code} |" in page


def test_train_passes_the_run_on(run: Run, trained: list[dict[str, Any]]) -> None:
    done = run("train", "demo-pretrain", "optim.lr=3e-4", "--processes", "2", "--fresh")
    assert done.code == 0
    assert trained == [
        {
            "config": load_config("demo-pretrain", ["optim.lr=3e-4"]),
            "run_dir": Path("runs/demo-pretrain"),
            "device": None,
            "processes": 2,
            "fresh": True,
            "overfit": False,
        }
    ]


def test_train_takes_options_before_words(run: Run, trained: list[dict[str, Any]]) -> None:
    options = ("--run", "elsewhere", "--device", "cpu", "--overfit")
    assert run("train", *options, "demo-pretrain", "train.seed=3").code == 0
    (call,) = trained
    assert (call["run_dir"], call["device"], call["overfit"]) == (Path("elsewhere"), "cpu", True)
    assert call["config"].train.seed == 3


def test_json_output_of_training_is_only_json(run: Run, trained: list[dict[str, Any]]) -> None:
    done = run("train", "demo-pretrain", "--json")
    assert json.loads(done.out)["run"] == "runs/demo-pretrain"
    assert done.err == "step 1\n"


def test_an_unknown_device_is_refused(run: Run, trained: list[dict[str, Any]]) -> None:
    assert run("train", "demo-pretrain", "--device", "gpu").code == 2
    assert not trained


def test_recipes_are_listed(run: Run) -> None:
    assert run("recipes") == run("recipes", "list")
    assert [line.split()[0] for line in run("recipes").out.splitlines()] == list(ALL)
    assert [row["name"] for row in json.loads(run("recipes", "list", "--json").out)] == list(ALL)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_shown_or_copied_recipe_is_the_recipe(run: Run, tmp_path: Path, suffix: str) -> None:
    copied, shown = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    assert run("recipes", "copy", "base-caption", str(copied)).code == 0
    options = ["--json"] if suffix == ".json" else []
    shown.write_text(run("recipes", "show", "base-caption", *options).out)
    assert load_config(copied) == load_config(shown) == RECIPES["base-caption"]()


def test_copying_never_overwrites(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("precious")
    assert run("recipes", "copy", "base-caption", str(file)).code == 2
    assert file.read_text() == "precious"


def test_a_warning_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(**_: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("stride 6 connects nothing", stacklevel=1)
        raise SystemExit(0)

    monkeypatch.setattr(cli, "app", warn)
    assert run("doctor").err == "warning: stride 6 connects nothing\n"
