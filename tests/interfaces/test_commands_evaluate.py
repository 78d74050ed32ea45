import json
from pathlib import Path
from typing import Any

import pytest

from mplug.config.load import dump_json, load_config
from mplug.data.scenes.stream import SceneExamples
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, ConfigError
from mplug.interfaces.commands_evaluate import SPLITS, evaluate
from mplug.models.mplug import MPlug
from mplug.tasks import evaluation
from mplug.weights.store import save_pretrained
from tests.tiny import CARD, save_tiny


def save_scenes_run(folder: Path) -> None:
    """A run on a little world whose model has learned nothing."""
    config = load_config(
        "demo-pretrain",
        [
            "data.scenes.concepts=10",
            "data.scenes.held_out_pairs=15",
            "generation.beams=2",
            "generation.max_tokens=4",
        ],
    )
    assert config.data.scenes is not None
    scenes = SceneExamples(config.data.scenes, image_size=config.model.vision.image_size)
    tokenizer = Tokenizer.train(list(scenes.captions_for_tokenizer()), vocab_size=1000)
    text = config.model.text.model_copy(update={"vocab_size": tokenizer.vocab_size})
    save_pretrained(
        folder / "model",
        model=MPlug(config.model.model_copy(update={"text": text})),
        tokenizer=tokenizer,
        generation=config.generation,
        card=CARD,
    )
    (folder / "config.json").write_text(dump_json(config), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_scenes_run(folder)
    return folder


def test_the_splits_offered_are_those_that_exist() -> None:
    assert SPLITS == evaluation.SPLITS


def test_json_holds_every_figure_of_the_splits_asked_for(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(run, split=["validation_artist"], scenes=6, remembered=9, rerank=3, as_json=True)
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {score["split"] for score in result["scores"]} == {"validation_artist"}
    metrics = {score["metric"] for score in result["scores"]}
    assert {"recall_at_1_text_to_image", "object_f1", "true_over_reversed"} <= metrics
    assert "recall_at_1_text_to_image_by_itc_and_itm" in metrics
    assert all(score["signature"] for score in result["scores"])


def test_by_default_it_shows_the_artists_trained_on_and_the_unseen_one(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(run, scenes=4, objects=[1, 2], remembered=9)
    out = capsys.readouterr().out
    assert "Artists it trained on (4 scenes)" in out
    assert "An artist it never saw (4 scenes)" in out


def test_an_unknown_split_is_answered_with_those_there_are(run: Path) -> None:
    with pytest.raises(ConfigError, match="--split test: .*unseen_artist"):
        evaluate(run, split=["test"])


def test_a_model_that_is_no_run_has_no_galleries(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"no config\.json"):
        evaluate(tmp_path)


def test_a_run_on_records_has_no_galleries(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model")
    config = load_config("tiny-pretrain", ["data.train=captions.jsonl"])
    (tmp_path / "config.json").write_text(dump_json(config), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.scenes is null"):
        evaluate(tmp_path)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        evaluate(tmp_path / "nowhere")
