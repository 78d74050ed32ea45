"""Pages that a second step asks the system for, counted in a process of its own."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch
from mplug.training.memory import keep_freed_memory

torch.set_num_threads(1)
if "keep" in sys.argv and not keep_freed_memory():
    sys.exit(3)

def step():
    states = [torch.ones(300_000)]  # 1.2 MB each, 120 MB together
    for _ in range(100):
        states.append(states[-1] + 1)

for _ in range(2):
    step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


LARGE = """
from pathlib import Path
import torch
from mplug.training.memory import keep_freed_memory

def held():  # MB
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

keep_freed_memory()
before = held()
large = torch.ones(25_000_000)  # 100 MB
small = torch.ones(300_000)  # behind it
del large
print(held() - before)
"""


def pages(*words: str) -> int:
    """How many pages the second of two equal steps maps."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS, *words], capture_output=True, text=True, check=False
    )
    if done.returncode == 3:
        pytest.skip("another C library")
    first, second = (int(line) for line in done.stdout.split())
    return second - first


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_a_step_asks_for_no_memory_that_the_last_one_freed() -> None:
    assert pages("keep") < pages() / 8


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process holds as Linux tells it")
def test_a_large_block_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 50
