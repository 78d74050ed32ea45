"""Whole runs of CLIP on a little world: trained, continued, loaded, asked, measured."""

import json
from pathlib import Path
from typing import Any

import pytest

import mplug
from mplug.config.load import dump_json, dump_yaml, load_config, load_run
from mplug.config.ready import require_ready, validation_figures
from mplug.config.recipes import FAMILY
from mplug.config.schema_clip_run import ClipRun
from mplug.errors import CheckpointError, ConfigError
from mplug.interfaces.clip_api import ClipModel
from mplug.interfaces.commands_classify import classify, probe
from mplug.interfaces.commands_evaluate import evaluate
from mplug.interfaces.training import run_training
from tests.interfaces.colours import COLOURS, write_colours

WORDS = (
    "model.vision.image_size=16",
    "model.vision.stem=patch",
    "model.vision.stem_channels=[]",
    "model.vision.hidden_size=32",
    "model.vision.num_heads=2",
    "model.vision.intermediate_size=48",
    "model.text.hidden_size=24",
    "model.embed_dim=20",
    "data.vocab_size=600",
    "data.max_words=5",
    "data.augment=none",
    "data.validation_examples=96",
    "optim.steps=60",
    "optim.batch_size=24",
    "optim.cached_parts=2",
    "optim.warmup_steps=5",
    "train.evaluate_every=30",
    "train.save_every=30",
)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("colours")
    files = {
        name: write_colours(folder / name, count=count, seed=seed)
        for seed, (name, count) in enumerate({"train": 96, "validation": 48, "held": 12}.items())
    }
    for file in files.values():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            row["label"] = row["caption"].split()[1]
        file.write_text("\n".join(map(json.dumps, rows)))
    return files


@pytest.fixture(scope="module")
def run(colours: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "clip"
    data = (f"data.train={colours['train']}", f"data.validation={colours['validation']}")
    run_training(load_run("clip-emoji", [*WORDS, *data]), run_dir=folder, device="cpu")
    return folder


def last(run: Path) -> dict[str, Any]:
    line = (run / "metrics.jsonl").read_text().splitlines()[-1]
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_run_learns_and_leaves_a_model(run: Path) -> None:
    model = mplug.load(run, device="cpu")
    assert isinstance(model, ClipModel)
    assert last(run)["learned_itc"] == 1
    assert json.loads((run / "config.json").read_text())["system"] == "clip"
    assert "model.classify" in (run / "README.md").read_text()


def test_it_names_colours_that_it_has_not_seen(
    run: Path, colours: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    picture = colours["held"].parent / "0.png"
    classify(picture, list(COLOURS), template=["a {} sheet"], model=str(run))
    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith("\tred")
    assert len(others) == len(COLOURS) - 1


def test_labels_are_read_off_its_vectors(
    run: Path, colours: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    probe(str(run), colours["train"], colours["held"], template=["a {} sheet"], as_json=True)
    scores = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["linear_probe_accuracy"]["value"] == 1
    assert scores["zero_shot_accuracy"]["value"] > 0.5
    assert scores["zero_shot_accuracy"]["baselines"]["chance"] == pytest.approx(1 / 6)


def test_it_is_measured_on_retrieval_and_on_nothing_else(
    run: Path, colours: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"data={colours['held']}"]
    evaluate(run, "retrieval", words, as_json=True)
    scores = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["scores"]}
    assert set(scores) == {
        f"recall_at_{k}_{way}" for k in (1, 5, 10) for way in ("image_to_text", "text_to_image")
    }
    with pytest.raises(CheckpointError, match="measured on retrieval alone"):
        evaluate(run, "caption", words)


def test_an_unfinished_run_is_loaded_from_its_checkpoint(run: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "checkpoints"):
        (tmp_path / name).symlink_to(run / name)
    assert isinstance(mplug.load(tmp_path, device="cpu"), ClipModel)


# --- runs of several systems ---


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize(("suffix", "dump"), [(".yaml", dump_yaml), (".json", dump_json)])
def test_a_dumped_run_loads_back_equal(tmp_path: Path, name: str, suffix: str, dump) -> None:  # type: ignore[no-untyped-def]
    config = load_run(name, ("optim.steps=17",))
    file = tmp_path / f"run{suffix}"
    file.write_text(dump(config), encoding="utf-8")
    assert load_run(file) == config


def test_a_recipe_of_another_system_is_changed_by_words_and_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: clip-rn50\nmodel: {vision: {width: 32}}\n")
    config = load_run(file, ("model.vision.num_heads=16", "optim.eps=1e-4"))
    assert isinstance(config, ClipRun)
    assert (config.model.vision.num_heads, config.optim.eps) == (16, 1e-4)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optim.epps=1", "did you mean optim.eps?"),
        ("model.vision.widht=3", "no such field"),
        ("model.vision.image_size=large", "model.vision.image_size = 'large': must be a whole"),
        ("objectives.itc.weight=1", "no such field"),
        ("system=uniter", "system = 'uniter': must be 'clip'"),
        ("model.vision=3", "model.vision is a group of fields"),
    ],
)
def test_a_wrong_word_is_answered_in_the_words_of_its_system(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run("clip-rn50", (word,))
    assert message in str(caught.value)
    assert "resnet." not in str(caught.value)


def test_a_system_nobody_knows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("system: clap\nmodel: {}\n")
    with pytest.raises(ConfigError, match=r"line 1: system = 'clap': must be one of mplug, clip"):
        load_run(file)


def test_a_run_of_mplug_may_say_so_and_other_runs_are_not_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("system: mplug\nrecipe: tiny-pretrain\n")
    assert load_run(file) == load_config("tiny-pretrain")
    with pytest.raises(ConfigError, match="a run of the system 'clip'"):
        load_config("clip-emoji")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data.train=null",), "data.train is not set"),
        (("optim.cached_parts=2",), "statistics of its batch"),
        (("model.vision.stem=patch", "optim.cached_parts=3"), "does not divide the 256 pairs"),
        (("train.choose=validation_itm",), "not evaluated by that"),
    ],
)
def test_a_run_that_cannot_start_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        require_ready(load_run("clip-emoji", words))


def test_it_is_evaluated_by_loss_and_recall() -> None:
    assert "validation_itc" in validation_figures(load_run("clip-emoji"))
