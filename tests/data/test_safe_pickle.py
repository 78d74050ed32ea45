"""A pickle gives plain data or is refused by name, and nothing that it names is ever run."""

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mplug.data.safe_pickle import Limits, read_plain
from mplug.errors import DataError


class Hostile:
    """Runs a program when it is loaded in the usual way."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def write(folder: Path, content: Any, *, protocol: int = 2) -> Path:
    path = folder / "refs(unc).p"
    raw = content if isinstance(content, bytes) else pickle.dumps(content, protocol)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_data_comes_back_with_tuples_and_numbers_of_numpy_as_json_has_them(
    tmp_path: Path, protocol: int
) -> None:
    content = [
        {
            "sent": "the lady in blue",
            "box": (1, 2.5, None, True),
            "count": np.int64(7),
            "array": np.arange(6, dtype=np.float32).reshape(2, 3),
            "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
            "words": np.array(["ab", "c"]),
            "raw": b"bytes",
            5: [],
        }
    ]
    path = write(tmp_path, content, protocol=protocol)
    assert read_plain(path) == [
        {
            "sent": "the lady in blue",
            "box": [1, 2.5, None, True],
            "count": 7,
            "array": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
            "turned": [[0, 1, 2], [3, 4, 5]],
            "words": ["ab", "c"],
            "raw": "bytes",
            "5": [],
        }
    ]


def test_text_of_python_2_is_read_as_utf_8_or_else_latin_1(tmp_path: Path) -> None:
    assert read_plain(write(tmp_path, b"(lp0\nS'caf\\xc3\\xa9'\naS'caf\\xe9'\na.")) == ["café"] * 2


@pytest.mark.parametrize(
    ("protocol", "function", "arguments", "name"),
    [
        (0, os.system, ("echo > {}",), r"(posix|nt)\.system"),
        (2, os.system, ("echo > {}",), r"(posix|nt)\.system"),
        (4, os.system, ("echo > {}",), r"(posix|nt)\.system"),
        (2, open, ("{}", "w"), r"io\.open"),
        (4, eval, ("open('{}', 'w')",), r"builtins\.eval"),
        (4, subprocess.check_call, ("{}",), r"subprocess\.check_call"),
    ],
)
def test_a_hostile_pickle_is_refused_by_name_and_has_no_effect(
    tmp_path: Path, protocol: int, function: Any, arguments: tuple[str, ...], name: str
) -> None:
    planted = tmp_path / "planted"
    call = Hostile(function, *(argument.format(planted) for argument in arguments))
    path = write(tmp_path, [{"ref_id": 1}, call], protocol=protocol)
    with pytest.raises(DataError, match=rf"refs\(unc\)\.p: it names {name}, which is not plain"):
        read_plain(path)
    assert not planted.exists()
    if function is open:  # the same file, loaded as everyone does, does what it says
        pickle.loads(path.read_bytes())[1].close()
        assert planted.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.array([{}], dtype=object), "array of kind 'O8'.*refused"),
        (np.zeros(2, dtype=[("a", "f4")]), "array of kind 'V4'.*refused"),
        ({(1, 2): 3}, "a dictionary with a tuple as key"),
        (b"no pickle at all", "damaged, or no pickle file"),
        (b"", "damaged, or no pickle file"),
        (b"]" * 999 + b"a" * 998 + b".", "lists within lists, deeper than 50"),
        (b"\x80\x02U\x011Q.", "refers to something outside of the file"),
    ],
)
def test_what_is_not_plain_data_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_plain(write(tmp_path, content))


def test_few_bytes_that_stand_for_endless_values_are_refused(tmp_path: Path) -> None:
    doubled: list[Any] = ["x"]
    for _ in range(40):
        doubled = [doubled, doubled]
    with pytest.raises(DataError, match="more values than the limit"):
        read_plain(write(tmp_path, doubled), limits=Limits(values=10_000))


def test_memory_and_size_are_limited(tmp_path: Path) -> None:
    asks_for_a_terabyte = b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"."
    with pytest.raises(DataError, match="more memory|damaged"):
        read_plain(write(tmp_path, asks_for_a_terabyte))
    with pytest.raises(DataError, match="more than the limit of 3: not read"):
        read_plain(write(tmp_path, [1, 2]), limits=Limits(file_bytes=3))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.p: cannot be read: No such file"):
        read_plain(tmp_path / "none.p")


def torch_file(path: Path, pickled: bytes, *, zipped: bool) -> Path:
    """As torch.save writes them, without torch."""
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", "3")
    else:
        heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        path.write_bytes(b"".join(pickle.dumps(head, 2) for head in heads) + pickled)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_lists_that_torch_saved_are_read_without_torch_and_hostile_ones_are_refused(
    tmp_path: Path, zipped: bool
) -> None:
    rows = [("a.jpg", "mask.pth", np.array([1, 2, 3, 4]), "a phrase")]
    plain = torch_file(tmp_path / "unc_val.pth", pickle.dumps(rows, 2), zipped=zipped)
    assert read_plain(plain) == [["a.jpg", "mask.pth", [1, 2, 3, 4], "a phrase"]]
    planted = tmp_path / "planted"
    call = pickle.dumps([Hostile(os.system, f"echo > {planted}")], 2)
    with pytest.raises(DataError, match=r"it names (posix|nt)\.system, which is not plain data"):
        read_plain(torch_file(tmp_path / "hostile.pth", call, zipped=zipped))
    assert not planted.exists()


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_itself_saves_is_read_tensors_too(tmp_path: Path, zipped: bool) -> None:
    import torch

    path = tmp_path / "unc_val.pth"
    for box in ([1, 2, 3, 4], torch.tensor([1, 2, 3, 4])):
        torch.save([("a.jpg", box, "a")], path, _use_new_zipfile_serialization=zipped)
        assert read_plain(path) == [["a.jpg", [1, 2, 3, 4], "a"]]


@pytest.mark.skipif(sys.platform != "linux", reason="the audit hook alone is looked at")
def test_even_a_loader_that_would_run_code_can_start_nothing(tmp_path: Path) -> None:
    from mplug.data import safe_pickle

    planted = tmp_path / "planted"
    code = (
        "import importlib.util, os, sys\n"
        f"spec = importlib.util.spec_from_file_location('child', {str(safe_pickle.CHILD)!r})\n"
        "child = importlib.util.module_from_spec(spec); spec.loader.exec_module(child)\n"
        "child.hold_back()\n"
        f"path = {str(planted)!r}\n"
        "for call in (lambda: os.system('echo > ' + path), lambda: open(path, 'w')):\n"
        "    try: call()\n"
        "    except child.Refused as refused: print(refused)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("refused") == 2
    assert not planted.exists()
