import json
from pathlib import Path

import pytest
import typer

from mplug.interfaces import doctor
from mplug.interfaces.doctor import Check
from mplug.weights import shipped
from tests.tiny import save_brought, save_tiny


def test_a_cuda_build_without_a_gpu_says_how_to_get_the_smaller_one() -> None:
    check = doctor.check_torch("2.13.0+cu130", cuda="13.0", has_gpu=False)
    assert (check.status, check.value) == ("warning", "2.13.0+cu130, CUDA 13.0 build")
    assert "torch==2.13.0 --index-url https://" in check.advice
    assert check.advice.endswith("/cpu")


def test_a_cpu_build_beside_a_gpu_says_how_to_use_it() -> None:
    check = doctor.check_torch("2.13.0+cpu", cuda=None, has_gpu=True)
    assert check.status == "warning"
    assert check.advice.endswith("pip install --force-reinstall torch==2.13.0")


@pytest.mark.parametrize(("cuda", "has_gpu"), [("13.0", True), (None, False)])
def test_a_build_that_fits_the_machine_is_fine(cuda: str | None, has_gpu: bool) -> None:
    assert doctor.check_torch("2.13.0", cuda=cuda, has_gpu=has_gpu).status == "ok"


@pytest.mark.parametrize("found", [None, "2.9.1"])
def test_a_missing_or_old_torch_is_a_problem(found: str | None) -> None:
    assert doctor.check_torch(found, cuda=None, has_gpu=False).status == "problem"


@pytest.mark.parametrize(
    ("found", "status"),
    [((3, 10), "problem"), ((3, 11), "ok"), ((3, 14), "ok"), ((3, 15), "problem")],
)
def test_python_is_in_range(found: tuple[int, int], status: str) -> None:
    assert doctor.check_python(found).status == status


def test_little_memory_and_disk_are_warned_of() -> None:
    assert doctor.check_memory(3.9).status == doctor.check_disk(1.9).status == "warning"
    assert doctor.check_memory(None).status == doctor.check_disk(2.1).status == "ok"


def test_no_java_is_no_fault() -> None:
    check = doctor.check_java(None)
    assert check.status == "ok"
    assert "METEOR" in check.value


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, and a model that mplug brings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", save_brought(tmp_path / "package" / "mplug-tiny"))
    return shipped.FOLDER


def test_the_model_that_is_used_unless_one_is_named_is_told(brought: Path) -> None:
    check = doctor.check_model()
    assert (check.status, check.value) == ("ok", shipped.introduction())
    save_tiny(Path("runs/mine/model"))
    assert doctor.check_model().value.startswith("runs/mine, the newest run; mplug-tiny: 3 drawn")


def test_an_installation_without_its_model_is_warned_of(brought: Path) -> None:
    (brought / "model.safetensors").unlink()
    check = doctor.check_model()
    assert (check.status, check.advice) == ("warning", "pip install --force-reinstall mplug")
    assert check.value.endswith("mplug-tiny is missing from this installation")


def test_this_machine_can_run_mplug(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped:
        doctor.doctor(as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert stopped.value.exit_code == 0
    assert told["ok"] is True
    names = [check["name"] for check in told["checks"]]
    assert names == [
        "python",
        "torch",
        "device",
        "precision",
        "packages",
        "torchvision",
        "memory",
        "disk",
        "java",
        "model",
    ]


def test_precisions_without_instructions_are_named() -> None:
    old = doctor.check_precision(frozenset({"avx2"}))
    assert old.value == "float32; bfloat16 and int8 work, but save no time on this CPU"
    assert doctor.check_precision(frozenset({"avx512_bf16", "avx_vnni"})).value == (
        "float32, bfloat16, int8"
    )
    assert "unknown" in doctor.check_precision(None).value


def test_a_problem_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [Check("torch", "problem", "not installed", "pip install torch")]
    monkeypatch.setattr(doctor, "examine", lambda: broken)
    with pytest.raises(typer.Exit) as stopped:
        doctor.doctor()
    assert stopped.value.exit_code == 1
