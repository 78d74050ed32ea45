"""Checkpoints exist whole or not at all, whatever goes wrong with the disk or the bytes on it."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from mplug.errors import CheckpointError
from mplug.training import checkpoints as checkpoints_module
from mplug.training.checkpoints import MANIFEST, TEMPORARY, Checkpoints, Writer, find_damage
from tests.training.faults import disk_full, fault_at


def write(path: Path) -> None:
    path.write_text(f"contents of {path.name}", encoding="utf-8")


WRITERS: dict[str, Writer] = {"weights": write, "progress": write}


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    """Steps 2 and 4, whole."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (2, 4):
        checkpoints.save(step, writers=WRITERS)
    return checkpoints


def latest_step(checkpoints: Checkpoints) -> int | None:
    found = checkpoints.latest().checkpoint
    return found.step if found else None


def leftovers(checkpoints: Checkpoints) -> list[str]:
    return [entry.name for entry in checkpoints.folder.glob(f"{TEMPORARY}*")]


def test_a_run_without_checkpoints_has_no_latest(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", keep=1).latest() == (None, [])


def test_the_last_ones_are_kept(saved: Checkpoints) -> None:
    saved.save(6, writers=WRITERS)
    assert sorted(entry.name for entry in saved.folder.iterdir()) == [
        "step-00000004",
        "step-00000006",
    ]
    assert latest_step(saved) == 6


def test_the_manifest_lists_every_file_with_size_and_hash(saved: Checkpoints) -> None:
    manifest = json.loads((saved.folder_of(4) / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["format"] == 1
    assert manifest["step"] == 4
    assert set(manifest["files"]) == {"weights", "progress"}
    assert manifest["files"]["weights"]["bytes"] == len("contents of weights")
    assert len(manifest["files"]["weights"]["sha256"]) == 64


def test_stray_folders_and_unfinished_checkpoints_are_not_the_latest(saved: Checkpoints) -> None:
    (saved.folder / "notes").mkdir()
    (saved.folder / "step-latest").mkdir()
    shutil.copytree(saved.folder_of(4), saved.folder / f"{TEMPORARY}step-00000006")
    assert latest_step(saved) == 4


def test_a_checkpoint_without_manifest_is_skipped_and_named(saved: Checkpoints) -> None:
    (saved.folder_of(4) / MANIFEST).unlink()
    found = saved.latest()
    assert found.checkpoint is not None
    assert found.checkpoint.step == 2
    assert len(found.problems) == 1
    assert "step-00000004" in found.problems[0]


def damages(folder: Path) -> Iterator[str]:
    """One damage after the other, with the folder made whole in between."""
    whole = folder.with_name("whole")
    shutil.copytree(folder, whole)
    numbers = random.Random(0)
    for file in sorted(whole.iterdir()):
        contents = file.read_bytes()
        copy = folder / file.name
        for _ in range(20):
            place, bit = numbers.randrange(len(contents)), 1 << numbers.randrange(8)
            flipped = bytearray(contents)
            flipped[place] ^= bit
            copy.write_bytes(flipped)
            yield f"bit {bit} of byte {place} of {file.name}"
        for length in range(0, len(contents), max(1, len(contents) // 10)):
            copy.write_bytes(contents[:length])
            yield f"{file.name} cut to {length}"
        copy.unlink()
        yield f"{file.name} missing"
        copy.write_bytes(contents)


def manifest_says_the_same(folder: Path) -> bool:
    file, whole = folder / MANIFEST, folder.with_name("whole") / MANIFEST
    if not file.exists() or file.read_bytes() == whole.read_bytes():
        return False
    try:
        return bool(json.loads(file.read_bytes()) == json.loads(whole.read_bytes()))
    except ValueError:
        return False


def test_every_flip_cut_and_loss_is_found_before_a_file_is_used(saved: Checkpoints) -> None:
    newest, count = saved.folder_of(4), 0
    for damage in damages(newest):
        count += 1
        harmless = manifest_says_the_same(newest)  # a bit in its white space
        assert latest_step(saved) == (4 if harmless else 2), damage
    assert count > 90
    assert latest_step(saved) == 4  # the control: whole again


def test_with_every_checkpoint_damaged_a_run_does_not_silently_start_over(
    saved: Checkpoints,
) -> None:
    for step in (2, 4):
        (saved.folder_of(step) / "weights").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"no checkpoint .* whole: .*step-00000004.*--fresh"):
        saved.latest()


def test_a_newer_format_is_refused_rather_than_skipped(saved: Checkpoints) -> None:
    with mock.patch.object(checkpoints_module, "FORMAT", 2):
        saved.save(6, writers=WRITERS)
    with pytest.raises(CheckpointError, match="has format 2, this version reads up to 1"):
        saved.latest()


def test_a_damaged_checkpoint_is_replaced_when_its_step_is_reached_again(
    saved: Checkpoints,
) -> None:
    (saved.folder_of(4) / "weights").write_text("x", encoding="utf-8")
    saved.save(4, writers=WRITERS)
    assert saved.latest() == ((4, saved.folder_of(4)), [])


def test_whichever_operation_fails_the_checkpoint_before_remains(saved: Checkpoints) -> None:
    number, fired = 0, 0
    while True:
        number += 1
        message = ""
        with fault_at(number, disk_full) as counter:
            try:
                saved.save(6, writers=WRITERS)
            except CheckpointError as error:
                message = str(error)
        if not counter.fired:
            break
        fired += counter.fired
        assert "step-00000006: [Errno 28] No space left on device" in message
        assert find_damage(saved.folder_of(4)) is None
        assert latest_step(saved) in (4, 6)  # 6 once it is renamed and only its flushing fails
        saved.clean()
        assert not leftovers(saved)
    assert fired == counter.operations >= 9
    assert latest_step(saved) == 6


def test_the_control_a_save_that_forgets_to_rename_is_noticed(saved: Checkpoints) -> None:
    with mock.patch.object(os, "rename"):
        saved.save(6, writers=WRITERS)
    assert latest_step(saved) == 4
    assert leftovers(saved)


def test_what_a_dead_process_left_is_removed_at_the_next_start(saved: Checkpoints) -> None:
    (saved.folder / f"{TEMPORARY}step-00000006").mkdir()
    saved.clean()
    assert not leftovers(saved)
    assert latest_step(saved) == 4


def test_a_save_that_cannot_fit_says_what_it_needs_and_what_is_free(saved: Checkpoints) -> None:
    with pytest.raises(
        CheckpointError, match=r"needs about 1,000,000,000,000,000 bytes and [\d,]+ are free"
    ):
        saved.save(6, writers=WRITERS, expected_bytes=10**15)
    assert latest_step(saved) == 4
    assert not leftovers(saved)
