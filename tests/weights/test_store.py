import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from mplug.errors import CheckpointError
from mplug.weights import hub, store
from mplug.weights.layout import CONFIG, FILES, WEIGHTS
from mplug.weights.store import load_pretrained, save_pretrained
from tests.tiny import (
    CARD,
    GENERATION,
    SKILLS,
    save_tiny,
    tiny_config,
    tiny_model,
    tiny_tokenizer,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "saved")


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    header = json.loads((folder / CONFIG).read_text())
    change(header)
    (folder / CONFIG).write_text(json.dumps(header))


def replace_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """As somebody would who converts weights: the hash is right, whatever is in them."""
    save_file(tensors, folder / WEIGHTS)
    digest = store.sha256_of(folder / WEIGHTS)
    edit_config(folder, lambda header: header["sha256"].update({WEIGHTS: digest}))


def test_what_is_saved_comes_back(saved: Path) -> None:
    loaded = load_pretrained(saved)
    assert loaded.config == tiny_config()
    assert loaded.generation == GENERATION
    assert loaded.tokenizer == tiny_tokenizer()
    assert loaded.card == CARD.render()
    assert not loaded.model.training
    assert_close(loaded.model.state_dict(), tiny_model().state_dict(), rtol=0, atol=0)
    assert {path.name for path in saved.iterdir()} == set(FILES)


def test_a_model_comes_back_with_its_skills_and_what_they_brought(tmp_path: Path) -> None:
    loaded = load_pretrained(save_tiny(tmp_path / "skilled", skills=SKILLS))
    assert loaded.config.skills == SKILLS
    expected = tiny_model(skills=SKILLS).state_dict()
    assert_close(loaded.model.state_dict(), expected, rtol=0, atol=0)


def test_a_model_saved_before_there_were_skills_has_none(saved: Path) -> None:
    edit_config(saved, lambda header: header["model"].pop("skills"))
    assert load_pretrained(saved).config.skills == ()


def test_a_skill_whose_weights_are_not_there_is_no_skill(saved: Path) -> None:
    edit_config(saved, lambda header: header["model"].update(skills=["entail"]))
    with pytest.raises(CheckpointError, match=r"missing: entail_head\.output\.bias"):
        load_pretrained(saved)


def test_whoever_may_read_one_file_may_read_all(saved: Path) -> None:
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1


def test_a_loaded_model_can_be_trained_further(saved: Path) -> None:
    parameters = list(load_pretrained(saved).model.parameters())
    assert parameters
    assert all(one.requires_grad and one.device.type == "cpu" for one in parameters)


def test_saving_twice_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    loaded = load_pretrained(saved)
    again = save_pretrained(
        tmp_path / "again",
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        generation=loaded.generation,
        card=loaded.card,
    )
    for name in FILES:
        assert (again / name).read_bytes() == (saved / name).read_bytes()


def test_the_card_tells_data_scores_and_licence(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "## Data\n\nNone." in card
    row = "| retrieval | test | recall_at_1 | 0.250 | 0.200 to 0.300 | 40 | chance 0.010 |"
    assert row in card


def test_missing_unexpected_and_misshapen_weights_are_listed(saved: Path) -> None:
    tensors = load_file(saved / WEIGHTS)
    del tensors["itm_head.bias"]
    tensors["extra"] = torch.zeros(2)
    tensors["text_projection.bias"] = torch.zeros(3)
    replace_weights(saved, tensors)
    with pytest.raises(CheckpointError) as raised:
        load_pretrained(saved)
    assert "missing: itm_head.bias" in str(raised.value)
    assert "unexpected: extra" in str(raised.value)
    assert "text_projection.bias [3] instead of [7]" in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_named_and_neither_saved_nor_loaded(
    saved: Path, tmp_path: Path, value: float
) -> None:
    tensors = load_file(saved / WEIGHTS)
    tensors["itm_head.bias"][1] = value
    replace_weights(saved, tensors)
    with pytest.raises(CheckpointError, match=r"NaN or infinite values in itm_head\.bias"):
        load_pretrained(saved)

    model = tiny_model()
    model.load_state_dict(tensors)
    with pytest.raises(CheckpointError, match=r"not saved: NaN .* itm_head\.bias"):
        save_pretrained(
            tmp_path / "broken",
            model=model,
            tokenizer=tiny_tokenizer(),
            generation=GENERATION,
            card=CARD,
        )
    assert not (tmp_path / "broken").exists()


def test_a_newer_format_says_which_version_it_needs(saved: Path) -> None:
    edit_config(saved, lambda header: header.update(format_version=2, needs_mplug="7.1.0"))
    with pytest.raises(CheckpointError, match=r"needs version 7\.1\.0 of mplug"):
        load_pretrained(saved)


@pytest.mark.parametrize("place", [0, 300, -1])
def test_one_changed_byte_of_the_weights_is_found(saved: Path, place: int) -> None:
    content = bytearray((saved / WEIGHTS).read_bytes())
    content[place] ^= 1
    (saved / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not match the sha256"):
        load_pretrained(saved)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda header: header.update(format="other"), "not the config of a saved mplug model"),
        (lambda header: header.pop("model"), "model is missing"),
        (lambda header: header.pop("sha256"), "sha256 must name"),
        (lambda header: header["model"].update(depth=3), "depth: Extra inputs"),
        (lambda header: header["model"]["vision"].update(num_heads=3), "not a multiple"),
    ],
)
def test_a_config_that_cannot_be_right_is_explained(
    saved: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    edit_config(saved, change)
    with pytest.raises(CheckpointError, match=expected):
        load_pretrained(saved)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "tokenizer.json", "generation.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_pretrained(saved)


def test_a_pickle_named_as_weights_is_refused_and_never_run(saved: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(canary),)

    torch.save({"weights": Payload()}, saved / WEIGHTS)
    digest = store.sha256_of(saved / WEIGHTS)
    edit_config(saved, lambda header: header["sha256"].update({WEIGHTS: digest}))
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_pretrained(saved)
    assert not canary.exists()


def test_another_resolution_resizes_the_positions(saved: Path) -> None:
    small, large = load_pretrained(saved), load_pretrained(saved, image_size=40)
    assert large.config.vision.image_size == 40
    assert large.model.vision.positions.shape == (1 + 5 * 5, 20)
    pixels = torch.randn(2, 3, 40, 40)
    assert_close(large.model.encode_image(pixels), small.model.encode_image(pixels))


def test_a_resolution_that_does_not_fit_the_patches_is_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="image_size 25 is not a multiple of patch_size 8"):
        load_pretrained(saved, image_size=25)


def test_saving_over_a_model_keeps_other_files(saved: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    save_tiny(saved, seed=5)
    assert_close(load_pretrained(saved).model.state_dict(), tiny_model(5).state_dict())
    assert {path.name for path in saved.iterdir()} == {*FILES, "notes.txt"}


class Failing:
    """A function of `os` whose call number `place` finds the disk full; it counts its calls."""

    def __init__(self, real: Callable[..., Any], *, place: int) -> None:
        self.real, self.place, self.calls = real, place, 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self.place:
            raise OSError(28, "No space left on device")
        return self.real(*arguments, **options)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_whatever_fails_while_saving_the_old_model_stays_whole(
    saved: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = {name: (saved / name).read_bytes() for name in FILES}
    counting = Failing(getattr(os, call), place=0)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, counting)
        save_tiny(saved)
    assert counting.calls > 1
    for place in range(1, counting.calls + 1):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, Failing(getattr(os, call), place=place))
            with pytest.raises(CheckpointError, match="No space left on device"):
                save_tiny(saved, seed=5)
        assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_save_that_fails_leaves_no_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_tiny(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())


def test_files_of_two_saves_do_not_pass_as_one_model(saved: Path, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", seed=5)
    os.replace(other / WEIGHTS, saved / WEIGHTS)
    with pytest.raises(CheckpointError, match="a save was interrupted"):
        load_pretrained(saved)


def test_only_our_files_are_fetched_from_the_hub(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.update(options, repo_id=repo_id)
        return str(saved)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    loaded = load_pretrained("someone/tiny", revision="v1")
    assert loaded.config == tiny_config()
    assert asked == {"repo_id": "someone/tiny", "revision": "v1", "allow_patterns": list(FILES)}


def test_a_hub_that_cannot_be_reached_is_explained() -> None:
    with pytest.raises(CheckpointError, match="someone/no-such-model: no such folder here"):
        load_pretrained("someone/no-such-model")


@pytest.mark.parametrize("name", ["runs/demo", "/a/folder", "model", "a/b/c", "../model"])
def test_names_of_folders_are_never_asked_for_on_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no such folder
    assert not hub.is_hub_id(name)
    with pytest.raises(CheckpointError, match="no such folder"):
        load_pretrained(name)


def test_pushing_uploads_a_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: dict[str, Any] = {}

    class Api:
        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
            return f"https://hub/{repo_id}"

        def upload_folder(self, *, folder_path: Path, **options: Any) -> None:
            uploaded.update(options, names={path.name for path in folder_path.iterdir()})

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    url = hub.push(save_tiny, "someone/tiny", files=FILES)
    assert url == "https://hub/someone/tiny"
    assert uploaded["repo_id"] == "someone/tiny"
    assert uploaded["names"] == set(FILES)
