"""How long a command takes to begin: `mplug --help`, and the first caption of the tiny model."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import roof
from benchmarks.harness import ROOT, Bar, Rival, Topic, compare, run_alone

HERE = "benchmarks.start"
HELP_SECONDS, BEYOND_TORCH = 0.2, 0.8
PROGRAM = "from mplug.interfaces.cli import main; main()"


def build(*, words: list[str]) -> Callable[[], None]:
    """A Python process, from its start to its end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    # Modules are compiled once, in the round that warms up, as `pip install` does it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def work() -> None:
        subprocess.run(
            [sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment
        )

    return work


def topic(*, quick: bool) -> Topic:
    """Four processes by turns."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        Image.new("RGB", (64, 64), "orange").save(picture)
        words = {
            "python alone": ["-c", "pass"],
            "mplug --help": ["-c", PROGRAM, "--help"],
            "import torch": ["-c", "import torch"],
            "mplug caption": ["-c", PROGRAM, "caption", str(picture), "--model", "mplug-tiny"],
        }
        rivals = [Rival(name, HERE, "build", {"words": each}) for name, each in words.items()]
        found = compare(
            rivals,
            rounds=2 if quick else 7,
            threads=roof.THREADS,
            reference="import torch",
            title="Processes, from start to end",
        )
    beyond = median(
        caption - torch
        for caption, torch in zip(
            found["mplug caption"].seconds, found["import torch"].seconds, strict=True
        )
    )
    return Topic(
        "start",
        title="Start",
        about="Whole processes, files in the system's cache: what a user waits for at a prompt. "
        "The caption is of one small picture by `mplug-tiny`.",
        comparisons=[found],
        bars=[
            Bar("mplug --help", found["mplug --help"].median, at_most=HELP_SECONDS, unit=" s"),
            Bar(
                "first caption of mplug-tiny, beyond `import torch`",
                beyond,
                at_most=BEYOND_TORCH,
                unit=" s",
            ),
        ],
    )


if __name__ == "__main__":
    run_alone(topic)
