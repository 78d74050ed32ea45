"""`mplug weights import`: each kind of file in, an account of every tensor, a folder out."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mplug.errors import CheckpointError
from mplug.interfaces import cli
from mplug.weights.importing import ACCOUNT, Request, import_weights, save_import
from mplug.weights.starting import read_text_tower, read_vision_tower
from mplug.weights.store import load_pretrained
from tests.tiny import tiny_tokenizer
from tests.weights.test_original_albef import HINTS, albef, original
from tests.weights.test_towers import bert_folder, vision_state

GOLDEN = Path(__file__).parents[1] / "golden"


def albef_folder(folder: Path) -> Path:
    folder.mkdir()
    held = {"model": original(albef()), "optimizer": {"lr": 1e-4}, "epoch": 3}
    torch.save(held, folder / "ALBEF.pth")
    (folder / "config_bert.json").write_text(json.dumps(HINTS))
    tiny_tokenizer().save(folder)
    return folder


def test_a_model_is_saved_at_another_size_with_its_account(tmp_path: Path) -> None:
    made = import_weights(
        Request(str(albef_folder(tmp_path / "in")), "albef", image_size=40, ignore=("nothing.",))
    )
    save_import(made, tmp_path / "out")
    assert load_pretrained(tmp_path / "out").config.vision.image_size == 40
    account = json.loads((tmp_path / "out" / ACCOUNT).read_text())
    assert account["files"] == ["ALBEF.pth"]
    assert account["resized"] == {"vision.positions": "from 24 to 40 px"}
    assert {name.split(".")[0] for name in account["new"]} == {"decoder"}
    assert account["dropped"]["queue_ptr"] == "a momentum copy or a queue"
    assert account["left_out"] == ["optimizer", "epoch"]


def test_encoders_are_saved_for_runs_to_start_from(tmp_path: Path) -> None:
    made = import_weights(Request(str(bert_folder(tmp_path / "bert")), "bert"))
    save_import(made, tmp_path / "text")
    assert read_text_tower(tmp_path / "text").tokenizer == tiny_tokenizer()
    (tmp_path / "config.json").write_text('{"num_attention_heads": 5}')
    torch.save(vision_state("timm"), tmp_path / "vit.pth")
    save_import(import_weights(Request(str(tmp_path / "vit.pth"), "vit")), tmp_path / "vision")
    assert read_vision_tower(tmp_path / "vision").config.kind == "plain"


def test_a_model_without_its_words_is_not_saved(tmp_path: Path) -> None:
    folder = albef_folder(tmp_path / "in")
    (folder / "tokenizer.json").unlink()
    made = import_weights(Request(str(folder), "albef"))
    with pytest.raises(CheckpointError, match=r"name its vocab\.txt with --vocabulary"):
        save_import(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    tiny_tokenizer().save(tmp_path / "words")
    made = import_weights(Request(str(folder), "albef", vocabulary=tmp_path / "words"))
    save_import(made, tmp_path / "out")
    with pytest.raises(CheckpointError, match="is not empty: name another folder"):
        save_import(made, tmp_path / "out")


def test_a_wrong_kind_is_refused_and_named(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "bert")
    with pytest.raises(CheckpointError, match="as albef: no text layers followed by"):
        import_weights(Request(str(folder), "albef"))
    with pytest.raises(CheckpointError, match="as vit: no vision transformer"):
        import_weights(Request(str(folder), "vit"))
    with pytest.raises(CheckpointError, match="--as gpt: must be one of mplug, clip, uniter"):
        import_weights(Request(str(folder), "gpt"))
    with pytest.raises(CheckpointError, match="a run that starts from it resizes"):
        import_weights(Request(str(folder), "bert", image_size=24))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `mplug weights import WORDS` prints."""

    def said(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mplug", "weights", "import", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code
        return capsys.readouterr().out

    return said


def test_original_mplug_weights_are_accounted_for(said: Callable[..., str]) -> None:
    folder = GOLDEN / "mplug" / "base"
    account = json.loads(said(str(folder / "state_dict.safetensors"), "--as", "mplug", "--json"))
    assert account["tensors"] == len(load_file(folder / "state_dict.safetensors"))
    assert account["folder"] is None
    assert {name.split(".")[0] for name in account["new"]} == {"mlm_head"}


def test_a_person_reads_what_became_of_the_weights(
    said: Callable[..., str], tmp_path: Path
) -> None:
    folder = albef_folder(tmp_path / "in")
    lines = said(str(folder), "--as", "albef", "--out", str(tmp_path / "out")).splitlines()
    assert lines[0].startswith("albef: ")
    queues = "dropped: visual_encoder_m.cls_token, image_queue, text_queue, queue_ptr"
    assert any(line.startswith(queues) for line in lines)
    assert lines[-3].startswith("new, as the file lacks it: decoder (")
    assert lines[-2:] == [
        "left out, as no weights: optimizer, epoch",
        f"{tmp_path / 'out'}: saved",
    ]
