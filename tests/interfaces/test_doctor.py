import json

import pytest
import typer

from mplug.interfaces import doctor
from mplug.interfaces.doctor import Check


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
        "packages",
        "torchvision",
        "memory",
        "disk",
        "java",
    ]


def test_a_problem_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [Check("torch", "problem", "not installed", "pip install torch")]
    monkeypatch.setattr(doctor, "examine", lambda: broken)
    with pytest.raises(typer.Exit) as stopped:
        doctor.doctor()
    assert stopped.value.exit_code == 1
