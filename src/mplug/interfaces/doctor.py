"""`mplug doctor`: what this machine has, what is missing, and what to do. Imports no torch."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

import mplug
from mplug.errors import CheckpointError
from mplug.interfaces.locate import newest_model
from mplug.weights import shipped

Status = Literal["ok", "warning", "problem"]

PYTHON_RANGE = ((3, 11), (3, 14))
OLDEST_TORCH = (2, 10)
LEAST_MEMORY_GB = 4.0  # the demo's peak, with room for the system
LEAST_DISK_GB = 2.0
CORE = (
    "numpy",
    "pillow",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "pydantic",
    "PyYAML",
    "typer",
    "rich",
    "jaxtyping",
)
INSTRUCTIONS = {  # any of these, as Linux calls them
    "bfloat16": frozenset({"avx512_bf16", "amx_bf16"}),
    "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8"}),
}
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class Check(NamedTuple):
    """One thing looked at; `advice` says what to do about a warning or a problem."""

    name: str
    status: Status
    value: str
    advice: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine has and what is missing; exits with 1 if something must be mended."""
    checks = examine()
    broken = any(check.status == "problem" for check in checks)
    if as_json:
        rows = [check._asdict() for check in checks]
        print(json.dumps({"mplug": mplug.__version__, "ok": not broken, "checks": rows}))
    else:
        for check in checks:
            _print(check)
    raise typer.Exit(1 if broken else 0)


def examine() -> list[Check]:
    """Every check, in the order in which a person would look."""
    return [
        check_python(sys.version_info[:2]),
        check_torch(_installed("torch"), cuda=_cuda_of_torch(), has_gpu=_has_nvidia_gpu()),
        check_device(),
        check_precision(_cpu_flags()),
        check_packages(),
        check_torchvision(),
        check_memory(_available_memory_gb()),
        check_disk(shutil.disk_usage(Path.cwd()).free / 1e9),
        check_java(shutil.which("java")),
        check_model(),
    ]


def check_python(found: tuple[int, int]) -> Check:
    """Whether this Python is one that mplug is tested on."""
    value = f"{platform.python_version()} ({sys.executable})"
    oldest, newest = (".".join(map(str, bound)) for bound in PYTHON_RANGE)
    if PYTHON_RANGE[0] <= found <= PYTHON_RANGE[1]:
        return Check("python", "ok", value)
    return Check("python", "problem", value, f"use Python {oldest} to {newest}")


def check_torch(found: str | None, *, cuda: str | None, has_gpu: bool) -> Check:
    """Which build of torch is installed, and whether a smaller one would do."""
    if found is None:
        return Check("torch", "problem", "not installed", "pip install torch")
    value = f"{found}, {f'CUDA {cuda}' if cuda else 'CPU'} build"
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers < OLDEST_TORCH:
        wanted = ".".join(map(str, OLDEST_TORCH))
        return Check("torch", "problem", value, f"pip install -U 'torch>={wanted}'")
    plain = found.partition("+")[0]
    if cuda and not has_gpu:
        advice = (
            "works, but no NVIDIA GPU is here and the CPU build is several GB smaller: "
            f"pip install --force-reinstall torch=={plain} --index-url {CPU_INDEX}"
        )
        return Check("torch", "warning", value, advice)
    if not cuda and has_gpu:
        advice = f"an NVIDIA GPU is here; to use it: pip install --force-reinstall torch=={plain}"
        return Check("torch", "warning", value, advice)
    return Check("torch", "ok", value)


def check_device() -> Check:
    """Where `--device` computes unless told otherwise, and with how many threads."""
    device = "cpu"
    if _cuda_of_torch() and _has_nvidia_gpu():
        device = "cuda"
    elif sys.platform == "darwin" and platform.machine() == "arm64":
        device = "mps"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "one per core")
    return Check("device", "ok", f"{device}; {cores} CPU cores, threads: {threads}")


def check_precision(flags: frozenset[str] | None) -> Check:
    """Which precisions below float32 the CPU has instructions for; the others work, but slower."""
    if flags is None:
        return Check("precision", "ok", "instructions of this CPU: unknown on this system")
    quick = ["float32", *(name for name, any_of in INSTRUCTIONS.items() if flags & any_of)]
    slow = [name for name in INSTRUCTIONS if name not in quick]
    note = f"; {' and '.join(slow)} work, but save no time on this CPU" if slow else ""
    return Check("precision", "ok", f"{', '.join(quick)}{note}")


def check_packages() -> Check:
    """Whether every core dependency is installed."""
    missing = [name for name in CORE if _installed(name) is None]
    if missing:
        return Check(
            "packages", "problem", f"missing: {', '.join(missing)}", "pip install --upgrade mplug"
        )
    return Check("packages", "ok", ", ".join(f"{name} {_installed(name)}" for name in CORE))


def check_torchvision() -> Check:
    """mplug never uses torchvision, but a broken one breaks other libraries beside it."""
    if find_spec("torchvision") is None:
        return Check("torchvision", "ok", "not installed, not needed")
    value = f"{_installed('torchvision')}"
    tried = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return Check("torchvision", "ok", f"{value}, not needed")
    reason = (tried.stderr.strip().splitlines() or ["it does not import"])[-1]
    advice = "mplug works without it, transformers does not with it: pip uninstall torchvision"
    return Check("torchvision", "warning", f"{value}, broken: {reason}", advice)


def check_memory(available_gb: float | None) -> Check:
    """Whether the demo fits."""
    if available_gb is None:
        return Check("memory", "ok", "unknown on this system")
    value = f"{available_gb:.1f} GB available"
    if available_gb < LEAST_MEMORY_GB:
        return Check("memory", "warning", value, f"the demo wants {LEAST_MEMORY_GB:g} GB")
    return Check("memory", "ok", value)


def check_disk(free_gb: float) -> Check:
    """Whether checkpoints fit."""
    value = f"{free_gb:.1f} GB free here"
    if free_gb < LEAST_DISK_GB:
        return Check("disk", "warning", value, "runs and caches may not fit; free some space")
    return Check("disk", "ok", value)


def check_java(found: str | None) -> Check:
    """Java is wanted by METEOR alone, so its absence is no fault."""
    return Check("java", "ok", found or "not installed (only METEOR, an optional metric, needs it)")


def check_model() -> Check:
    """Which model is used where none is named, and whether the one that mplug brings is there."""
    newest = newest_model()
    used = "" if newest is None else f"{newest}, the newest run; "
    try:
        return Check("model", "ok", used + shipped.introduction())
    except CheckpointError as error:
        lost, _, advice = str(error).rpartition(": ")
        return Check("model", "warning", used + lost, advice)


def _print(check: Check) -> None:
    colour = {"ok": "green", "warning": "yellow", "problem": "red"}[check.status]
    typer.secho(f"{check.status:8}", fg=colour, nl=False)
    print(f"{check.name:12}{check.value}")
    if check.advice:
        print(f"{'':20}{check.advice}")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cuda_of_torch() -> str | None:
    """The CUDA version torch was built with, read from its files: importing it takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    built = re.search(r"^cuda[^=\n]*=\s*'([^']+)'", text, flags=re.MULTILINE)
    return built[1] if built else None


def _has_nvidia_gpu() -> bool:
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _cpu_flags() -> frozenset[str] | None:
    """The instruction sets that Linux names; None where it does not."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, flags=re.MULTILINE)
    return frozenset(found[1].split()) if found else None


def _available_memory_gb() -> float | None:
    """Memory that a new process may take, in GB; None where the system does not say."""
    file = Path("/proc/meminfo")
    if file.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", file.read_text(encoding="ascii"))
        return min(int(found[1]) * 1024 / 1e9, _container_memory_gb()) if found else None
    if "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return None


def _container_memory_gb() -> float:
    """What a container's limit leaves, in GB: /proc/meminfo shows the whole machine's memory."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return float("inf")
    return (limit - used) / 1e9
