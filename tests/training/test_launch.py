"""Several processes of one command: their surroundings, exit codes and signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mplug.errors import TrainingError
from mplug.training.launch import available_cores, launch


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_each_process_gets_torchruns_environment_and_its_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR OMP_NUM_THREADS"
    code = (
        "import os, pathlib\n"
        f"values = ' '.join(os.environ[name] for name in '{names}'.split())\n"
        f"pathlib.Path('{tmp_path}', os.environ['RANK']).write_text(values)\n"
    )
    assert launch(python(code), processes=3) == 0
    threads = max(1, available_cores() // 3)
    for rank in range(3):
        expected = f"{rank} {rank} 3 3 127.0.0.1 {threads}"
        assert (tmp_path / str(rank)).read_text() == expected


def test_a_number_of_threads_that_is_set_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert (
        launch(python("import os, sys; sys.exit(int(os.environ['OMP_NUM_THREADS']))"), processes=1)
        == 7
    )


def test_the_first_failure_gives_the_exit_code() -> None:
    code = (
        "import os, sys, time\n"
        "rank = int(os.environ['RANK'])\n"
        "time.sleep(rank)\n"
        "sys.exit(4 + rank)\n"
    )
    assert launch(python(code), processes=2) == 4


def test_a_killed_process_is_named_and_the_rest_end(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mplug.training.launch.GRACE_SECONDS", 0.3)
    code = (
        "import os, time; os.kill(os.getpid(), 9) if os.environ['RANK'] == '1' else time.sleep(99)"
    )
    started = time.monotonic()
    assert launch(python(code), processes=2) == 128 + signal.SIGKILL
    assert time.monotonic() - started < 20
    assert capfd.readouterr().err == "process 1 of 2 was killed by SIGKILL\n"


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(TrainingError, match="could not start 'no-such-command'"):
        launch(["no-such-command"], processes=2)


def test_a_signal_reaches_every_process_once(tmp_path: Path) -> None:
    child = (
        "import os, pathlib, signal, sys, time\n"
        f"file = pathlib.Path('{tmp_path}', os.environ['RANK'])\n"
        "def note(number, frame):\n"
        "    file.open('a').write('told ')\n"
        "signal.signal(signal.SIGTERM, note)\n"
        "file.write_text('')\n"
        "while not file.read_text():\n"
        "    time.sleep(0.01)\n"
        "time.sleep(0.2)\n"
        "sys.exit(143)\n"
    )
    parent = (
        "import sys\nfrom mplug.training.launch import launch\n"
        f"sys.exit(launch([sys.executable, '-S', '-c', {child!r}], processes=2))"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        while len(list(tmp_path.iterdir())) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["told ", "told "]


def test_starting_processes_needs_no_torch() -> None:
    code = "import sys, mplug.training.launch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ.copy()).returncode == 0
