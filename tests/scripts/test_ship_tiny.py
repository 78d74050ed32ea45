"""Two small runs put into a package's folder, loaded from there, and told of on a page."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mplug
from mplug.config.edit import derive
from mplug.config.load import dump_json, load_config
from mplug.config.recipes import recipe
from mplug.config.schema import RunConfig
from mplug.interfaces.report.content import Score
from mplug.weights import shipped
from mplug.weights.layout import FILES
from tests.tiny import SKILLS, picture, save_tiny, tiny_config, tiny_tokenizer

ROOT = Path(__file__).parents[2]
SCORES = [
    asdict(Score("retrieval", "unseen_artist", name, 0.5, 0.4, 0.6, 500, {"chance": 0.002}, "v:1"))
    for name in ("recall_at_1_image_to_text", "answer_accuracy_colour")
]


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The script as a module; it finds the other script beside it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(ROOT / "scripts"))
        module = import_module("ship_tiny")
        patched.setattr(module, "COMPARED", 4)
        yield module


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shipping")


def save_run(folder: Path, config: RunConfig) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(dump_json(config), encoding="utf-8")
    tiny_tokenizer().save(folder)
    losses = {"itc": 1.0 / 3, "itc_blind": 3.0, "examples_per_second": 90.0, "seconds": 60.0}
    records: list[dict[str, Any]] = [
        {"kind": "train", "step": step, **losses} for step in range(1, 1001)
    ]
    records.insert(500, {"kind": "evaluation", "step": 500, "validation_itc": 1.5})
    lines = "".join(f"{json.dumps(record)}\n" for record in records)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    save_tiny(folder / "model", skills=SKILLS)
    return folder


@pytest.fixture(scope="module")
def runs(place: Path) -> list[Path]:
    """As left by training here: their configurations name this machine's folders."""
    first, last = place / "first", place / "last"
    words = str(place / "words")
    start = derive(recipe("scenes-200"), {"data.tokenizer": words, "optim.steps": 1000})
    goal = derive(
        recipe("scenes-200-tasks"), {"start_from": str(first), "data.scenes.artists": ["noto"]}
    )
    model = {"model": tiny_config(SKILLS)}
    return [
        save_run(first, start.model_copy(update=model)),
        save_run(last, goal.model_copy(update=model)),
    ]


def ship(script: Any, runs: Sequence[Path], folder: Path) -> tuple[Path, Path]:
    """The package's folder and the pages' that the script writes."""
    scores = folder / "scores.json"
    scores.write_text(json.dumps({"run": str(runs[-1]), "scores": SCORES}), encoding="utf-8")
    package, pages = folder / "package" / "mplug-tiny", folder / "pages"
    words = [*runs, "--scores", scores, "--package", package, "--pages", pages]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["ship_tiny.py", *map(str, words)])
        script.main()
    return package, pages


@pytest.fixture(scope="module")
def written(script: Any, runs: list[Path], place: Path) -> tuple[Path, Path]:
    return ship(script, runs, place)


def test_a_shipped_model_is_loaded_by_its_name_and_says_what_it_knows(
    written: tuple[Path, Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, pages = written
    monkeypatch.setattr(shipped, "FOLDER", package)
    monkeypatch.chdir(place)
    model = mplug.load("mplug-tiny")
    assert model.caption(picture(1)) == mplug.load(place / "last").caption(picture(1))
    knows = "mplug-tiny: 200 drawn things, 1-3 a picture, not photographs; train your own"
    assert shipped.introduction().startswith(knows)
    parts = {"about.json", "scores.json", "recipe"}
    assert {path.name for path in package.iterdir()} == {*FILES, *parts}
    assert {path.name for path in pages.iterdir()} == {
        "mplug-tiny.md",
        "mplug-tiny-1-scenes-200.svg",
        "mplug-tiny-2-scenes-200-tasks.svg",
    }


def test_nothing_that_is_shipped_knows_the_machine(written: tuple[Path, Path], place: Path) -> None:
    for folder in written:
        for path in folder.rglob("*"):
            assert path.is_dir() or str(place).encode() not in path.read_bytes(), path


def test_each_stage_starts_from_the_one_before(written: tuple[Path, Path]) -> None:
    first, last = map(load_config, shipped.stages(written[0]))
    assert (first.start_from, first.data.tokenizer) == (None, "mplug-tiny")
    assert (last.start_from, last.data.tokenizer) == ("runs/mplug-tiny-1", None)


def test_logs_keep_every_evaluation_and_some_of_training_with_the_last(
    written: tuple[Path, Path],
) -> None:
    lines = (written[0] / "recipe" / "1-scenes-200.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 201
    assert records[-1]["step"] == 1000
    assert records[-1]["itc"] == 0.33333
    assert [record["step"] for record in records if record["kind"] == "evaluation"] == [500]


def test_the_card_has_the_main_scores_and_the_page_all(written: tuple[Path, Path]) -> None:
    package, pages = written
    card, page = (package / "README.md").read_text("utf-8"), (pages / "mplug-tiny.md").read_text()
    row = "| retrieval | unseen_artist | recall_at_1_image_to_text | 0.500 | 0.400 to 0.600 | 500 |"
    assert row in card
    assert "answer_accuracy_colour" not in card
    assert 'mplug.load("mplug-tiny")' in card
    assert "| Picture to caption, right at first try | 50.0% | 40.0% to 60.0% | chance" in page
    assert "| Questions answered right: colour | 50.0% |" in page
    assert json.loads((package / "scores.json").read_text()) == {
        "run": "mplug-tiny",
        "scores": SCORES,
    }


def test_the_page_tells_the_commands_that_train_it_again(
    written: tuple[Path, Path], script: Any
) -> None:
    page = (written[1] / "mplug-tiny.md").read_text(encoding="utf-8")
    told = [line for line in page.splitlines() if line.startswith("mplug train ")]
    for line, file in zip(told, shipped.stages(written[0]), strict=True):
        _, _, name, _, run, *words = shlex.split(line)
        assert load_config(name, words) == load_config(file)
        assert run == f"runs/mplug-tiny-{told.index(line) + 1}"


def test_a_model_that_is_too_large_is_refused_and_the_one_before_stays(
    written: tuple[Path, Path],
    script: Any,
    runs: list[Path],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {path: path.read_bytes() for path in written[0].rglob("*") if path.is_file()}
    monkeypatch.setattr(script, "LARGEST_BYTES", 100_000)
    with pytest.raises(SystemExit, match=r"bytes are more than 100,000: not shipped"):
        ship(script, runs, place)
    parent = written[0].parent
    assert {path: path.read_bytes() for path in parent.rglob("*") if path.is_file()} == before


def test_stages_that_do_not_follow_one_another_are_refused(script: Any, runs: list[Path]) -> None:
    with pytest.raises(SystemExit, match="starts from .*first, not from the stage before, None"):
        script.read_stages(runs[1:])
    with pytest.raises(SystemExit, match="starts from None, not from the stage before"):
        script.read_stages([runs[0], runs[0]])
