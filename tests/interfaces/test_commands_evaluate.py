import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mplug.config.load import dump_json, load_config
from mplug.data.scenes.stream import SceneExamples
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.commands_evaluate import SPLITS, evaluate
from mplug.models.mplug import MPlug
from mplug.models.skills import with_skills
from mplug.tasks import evaluation
from mplug.weights import store
from mplug.weights.store import save_pretrained
from tests.clips import write_clip
from tests.tiny import CARD, SKILLS, broken_pictures, picture, save_tiny


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


def test_a_run_gains_nothing_over_itself(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(run, against=run, scenes=4, remembered=9, as_json=True)
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {each["metric"] for each in result["differences"]} >= {"cider_d", "object_f1"}
    for each in result["differences"]:
        assert each["value"] == each["other"]
        assert each["low"] == each["high"] == 0
    evaluate(run, against=run, scenes=4, split=["unseen_artist"], remembered=9)
    assert f"(4 scenes), against {run}" in capsys.readouterr().out


def test_runs_on_different_scenes_are_not_compared(run: Path, tmp_path: Path) -> None:
    save_scenes_run(tmp_path)
    config = load_config(tmp_path / "config.json", ["data.scenes.seed=1"])
    (tmp_path / "config.json").write_text(dump_json(config), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.scenes is not the same"):
        evaluate(run, against=tmp_path)


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


def save_skilled_run(folder: Path) -> Path:
    """A run on a little world, fine-tuned on everything, that has learned nothing."""
    save_scenes_run(folder)
    config = load_config(folder / "config.json")
    saved = store.load_pretrained(folder / "model")
    store.save_pretrained(
        folder / "model",
        model=with_skills(saved.model, SKILLS),
        tokenizer=saved.tokenizer,
        generation=config.generation,
        card=CARD,
    )
    return folder


def test_what_a_run_has_learned_is_asked_of_scenes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = save_skilled_run(tmp_path)
    evaluate(run, split=["unseen_artist"], tasks="answer,compare", scenes=6, remembered=9)
    out = capsys.readouterr().out
    assert "Questions answered right" in out
    assert "Questions answered right: how many" in out
    assert "Statements about two pictures judged right" in out
    assert "commonest answer to the same question" in out
    assert "Phrases found" not in out
    assert "Picture to caption" not in out


def test_a_task_that_a_run_has_not_learned_is_refused(run: Path) -> None:
    with pytest.raises(CheckpointError, match="not trained for 'answer'"):
        evaluate(run, tasks="answer")


@pytest.fixture(scope="module")
def skilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("skilled") / "model", skills=SKILLS)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions as `mplug data convert` leaves them, one of a broken picture, one a broken row."""
    folder = tmp_path_factory.mktemp("vqav2")
    (folder / "report.json").write_text('{"name": "vqav2"}', encoding="utf-8")
    rows = []
    for number in range(3):
        picture(number).save(folder / f"{number}.png")
        rows.append(
            {
                "id": str(70 + number),
                "image": f"{number}.png",
                "question": "what is it?",
                "answers": [{"text": "a boat", "weight": 0.9}, {"text": "a ship", "weight": 0.1}],
                "caption": "two green boats",
                "phrase": "the boat",
                "boxes": [[0, 0, 20, 20]],
            }
        )
    broken = broken_pictures(folder / "broken")[0]
    rows.append({**rows[0], "id": "73", "image": str(broken.relative_to(folder))})
    rows.append({"id": "74", "image": "0.png", "boxes": "none"})
    lines = "\n".join(map(json.dumps, rows))
    for name in ("testdev", "train"):
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder / "testdev.jsonl"


def test_records_are_measured_beside_the_papers_figures(
    skilled: Path, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = records.with_name("train.jsonl")
    evaluate(skilled, "answer", [f"data={records}", f"train={train}"])
    out = capsys.readouterr().out
    assert "testdev (3 pictures)" in out
    assert "VQA accuracy" in out
    assert "commonest answer" in out
    assert "Table 2" in out
    assert re.search(r"mPLUG-L +81\.27", out)
    assert re.search(r"this model +0\.00", out)
    assert "left out: 2 records" in out
    assert "line 4: " in out
    assert "bomb.png" in out
    assert "line 5: " in out


def test_json_has_every_record_left_out(
    skilled: Path, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(skilled, "ground", [f"data={records}"], as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert [score["metric"] for score in result["scores"]] == ["grounding_accuracy", "mean_iou"]
    assert len(result["left_out"]) == 2
    assert result["paper"] is None
    assert any("train=FILE" in note for note in result["notes"])


@pytest.mark.parametrize(
    ("task", "suffix"), [("answer", ".json"), ("caption", ".json"), ("retrieval", ".npz")]
)
def test_predictions_are_written_for_every_record_that_asks(
    task: str, suffix: str, skilled: Path, records: Path, tmp_path: Path
) -> None:
    if task == "caption":
        rows = [json.loads(line) for line in records.read_text("utf-8").splitlines()[:3]]
        kept = [{key: row[key] for key in ("id", "image", "caption")} for row in rows]
        for row in kept:
            row["image"] = str(records.parent / row["image"])
        records = tmp_path / "captions.jsonl"
        records.write_text("\n".join(map(json.dumps, kept)), encoding="utf-8")
    out = tmp_path / f"predictions{suffix}"
    evaluate(skilled, task, [f"data={records}"], out=out)
    if suffix == ".npz":
        assert np.load(out)["scores"].shape == (3, 3)
        return
    written = json.loads(out.read_text(encoding="utf-8"))
    key = "question_id" if task == "answer" else "image_id"
    # The broken picture has an answer too, or servers would refuse the file.
    assert [row[key] for row in written] == [70, 71, 72, 73][: len(written)]
    assert len(written) == (4 if task == "answer" else 3)


def test_clips_are_found_and_their_ranks_are_no_shares(
    skilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for number in range(3):
        write_clip(tmp_path / f"{number}.mp4", count=4 + number)
        rows.append({"video": f"{number}.mp4", "caption": [f"boat {number}", "two green boats"]})
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    evaluate(skilled, "retrieval", [f"data={tmp_path / 'clips.jsonl'}"], frames=2)
    assert re.search(r"[1-3]\.\d\d  median rank text to clip", capsys.readouterr().out)


def test_without_official_ids_predictions_are_lines(
    skilled: Path, records: Path, tmp_path: Path
) -> None:
    out = tmp_path / "boxes.jsonl"
    evaluate(skilled, "ground", [f"data={records}"], out=out)
    first = json.loads(out.read_text(encoding="utf-8").splitlines()[0])
    assert first["text"] == "the boat"
    assert len(first["prediction"]) == 4
    with pytest.raises(DataError, match="'70'.*refcoco"):
        evaluate(skilled, "ground", [f"data={records}"], out=out, form="refcoco")
    with pytest.raises(ConfigError, match="ground are written as refcoco, lines"):
        evaluate(skilled, "ground", [f"data={records}"], out=out, form="vqa")


def test_wrong_words_are_answered(skilled: Path, records: Path, tmp_path: Path) -> None:
    data = f"data={records}"
    with pytest.raises(ConfigError, match="data=FILE is missing"):
        evaluate(skilled, "answer")
    with pytest.raises(ConfigError, match="TASK vqa: it is one of"):
        evaluate(skilled, "vqa", [data])
    with pytest.raises(ConfigError, match="'test=x'"):
        evaluate(skilled, "answer", [data, "test=x"])
    with pytest.raises(ConfigError, match="--split is for held-out scenes"):
        evaluate(skilled, "answer", [data], split=["unseen_artist"])
    with pytest.raises(ConfigError, match="--out is for records"):
        evaluate(skilled, out=tmp_path / "x.json")
    with pytest.raises(ConfigError, match="cannot be what the baselines learned"):
        evaluate(skilled, "answer", [data, f"train={records}"])
    with pytest.raises(ConfigError, match="there is no folder"):
        evaluate(skilled, "answer", [data], out=tmp_path / "gone" / "x.json")


def test_a_model_without_the_skill_is_named(records: Path, tmp_path: Path) -> None:
    plain = save_tiny(tmp_path / "model")
    with pytest.raises(CheckpointError, match="not trained to answer questions"):
        evaluate(plain, "answer", [f"data={records}"])
