"""The rules of the house, held by parsing the source: imports, forbidden libraries, sizes."""

import ast
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "mplug"
MODULES = sorted(SOURCE.rglob("*.py"))

BELOW_TASKS = {"config", "nn", "models", "objectives", "metrics", "data", "inference", "weights"}
MAY_IMPORT = {
    "config": set(),
    "nn": set(),
    "models": {"nn", "config"},
    "objectives": set(),
    "metrics": set(),
    "data": {"config"},
    "inference": {"nn", "config"},
    "weights": {"models", "nn", "config", "data"},  # a saved model brings its tokenizer
    "training": {"config"},
    "tasks": BELOW_TASKS | {"training"},
    "interfaces": BELOW_TASKS | {"training", "tasks"},
}
# Folders in which a reader may rely on nothing but these from outside the standard library.
OUTSIDE = {
    "config": {"pydantic", "pydantic_core", "yaml"},
    "nn": {"torch", "jaxtyping"},
    "objectives": {"torch", "jaxtyping"},
    "metrics": {"numpy", "jaxtyping"},
}
FORBIDDEN = {"torchvision", "timm", "cv2", "pandas", "requests", "transformers"}
LIGHT = (
    "__init__",
    "errors",
    "config/**/*",
    "metrics/**/*",
    "interfaces/cli",
    "interfaces/commands_*",
    "interfaces/doctor",
    "data/records",
    "data/check",
    "data/check_files",
    "data/frame_times",
    "data/video",
    "data/media",
    "data/scenes/world",
    "data/scenes/render",
    "data/scenes/sprites",
    "data/scenes/phrases",
)
LONGEST_FILE = 450
LONGEST_FUNCTION = 40
HELP_SECONDS = 0.3
MACHINE_PATH = re.compile(r"(?<![\w.~*}-])/(home|root|work|Users|nas|mnt|farm)/\w")


def name_of(file: Path) -> str:
    parts = ("mplug", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide where a name comes from"
            yield node.module or ""
            if node.module == "mplug":
                yield from (f"mplug.{alias.name}" for alias in node.names)


def folder_of(module: str) -> str | None:
    """`nn` for mplug.nn.fusion; None for the modules at the top, which everyone may import."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (SOURCE / parts[1]).is_dir() else None


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_dependencies_point_one_way(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder, None}
    wrong = [
        f"{name_of(file)} imports {module}"
        for file in (SOURCE / folder).rglob("*.py")
        for module in imports_of(file)
        if module.split(".")[0] == "mplug" and folder_of(module) not in allowed
    ]
    assert not wrong


def test_every_folder_has_its_place_in_the_order() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", OUTSIDE)
def test_lower_folders_lean_on_little(folder: str) -> None:
    known = OUTSIDE[folder] | {"mplug"} | sys.stdlib_module_names
    wrong = [
        f"{name_of(file)} imports {module}"
        for file in (SOURCE / folder).rglob("*.py")
        for module in imports_of(file)
        if module.split(".")[0] not in known
    ]
    assert not wrong


def test_libraries_that_break_installations_are_never_imported() -> None:
    files = [*MODULES, *(ROOT / "scripts").rglob("*.py")]
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imports_of(file)
        if module.split(".")[0] in FORBIDDEN
    ]
    assert not wrong


def test_light_modules_import_no_torch() -> None:
    files = {file for pattern in LIGHT for file in SOURCE.glob(f"{pattern}.py")}
    names = sorted(name_of(file) for file in files)
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def run_command(*words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Processor seconds taken by `mplug WORDS`, and what came of it.

    One thread that waits for nothing takes as long on a free machine, and other work on a busy one
    is not counted.
    """
    code = (
        "import sys; from mplug.interfaces.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, done


def test_help_is_instant() -> None:
    assert min(run_command("--help")[0] for _ in range(5)) < HELP_SECONDS


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--help",), 0),
        (("train", "--help"), 0),
        (("recipes",), 0),
        (("doctor",), 0),
        (("train", "no-such-recipe"), 2),
        (("train", "demo-pretrain", "optim.lrr=1"), 2),
        (("train", "tiny-pretrain"), 2),
    ],
)
def test_help_and_config_errors_import_no_torch(words: tuple[str, ...], code: int) -> None:
    _, done = run_command(*words)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (code, "False")


def test_files_are_short_enough_to_hold() -> None:
    lengths = {name_of(file): len(file.read_text("utf-8").splitlines()) for file in MODULES}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}


def test_functions_fit_a_screen() -> None:
    long = []
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > LONGEST_FUNCTION:
                    long.append(f"{name_of(file)}.{node.name}: {lines} lines")
    assert not long


def test_every_module_says_what_it_is() -> None:
    silent = [
        name_of(file)
        for file in MODULES
        if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not silent


def tracked_text() -> list[Path]:
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ""}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    paths = [ROOT / line for line in listed.stdout.splitlines()] or [*MODULES]
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in tracked_text()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if MACHINE_PATH.search(line)
    ]
    assert not wrong
