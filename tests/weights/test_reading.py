"""Files of weights as strangers publish them: read whole, or refused with nothing run."""

import io
import json
import os
import pickle
import struct
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mplug.errors import CheckpointError
from mplug.weights.reading import Limits, read_weights

State = dict[str, Tensor]


def state() -> State:
    torch.manual_seed(0)
    whole = torch.randn(6, 5)
    return {
        "whole": whole,
        "slice": whole[1:4, ::2],
        "turned": torch.randn(3, 7).T,
        "scalar": torch.tensor(0.5),
        "empty": torch.zeros(0, 4),
        "half": torch.randn(3).half(),
        "brain": torch.randn(3).bfloat16(),
        "double": torch.randn(2, 2).double(),
        "numbers": torch.arange(5),
        "true": torch.tensor([True, False]),
        "spread": torch.ones(1, 3).expand(4, 3),
        "parameter": nn.Parameter(torch.randn(2)),
    }


def assert_same(made: Any, expected: State) -> None:
    assert made.keys() == expected.keys()
    for name, tensor in expected.items():
        assert made[name].dtype == tensor.dtype
        assert torch.equal(made[name], tensor.detach()), name


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before torch 1.6"])
def test_every_tensor_comes_back(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=not legacy)
    assert_same(read_weights(path).tensors, state())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before torch 1.6"])
def test_what_is_no_weight_is_left_out_and_named(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "checkpoint.pth"
    held = {
        "model": OrderedDict(a=torch.ones(2), steps=3),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]},
        "args": Namespace(lr=1e-4, folder=Path("output"), table=torch.ones(4)),
        "epoch": 7,
    }
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    made = read_weights(path)
    assert_same(made.tensors, {"a": torch.ones(2)})
    assert made.left_out == ("optimizer", "args", "epoch", "steps")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive_gives_its_parameters(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))).half()
    torch.jit.save(torch.jit.script(module), str(tmp_path / "model.pt"))
    assert_same(read_weights(tmp_path / "model.pt").tensors, dict(module.state_dict()))


def test_shards_of_a_folder_are_one_model(tmp_path: Path) -> None:
    parts: dict[str, State] = {
        "a.safetensors": {"x": torch.ones(2)},
        "b.safetensors": {"y": torch.zeros(3)},
    }
    for name, part in parts.items():
        save_file(part, tmp_path / name)
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text('{"num_attention_heads": 3}')
    made = read_weights(tmp_path)
    assert_same(made.tensors, {"x": torch.ones(2), "y": torch.zeros(3)})
    assert made.config == {"num_attention_heads": 3}
    assert [file.name for file in made.files] == sorted(parts)

    index["weight_map"]["x"] = "../a.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="is not a file of this folder"):
        read_weights(tmp_path)


def test_safetensors_come_before_a_pickle(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    assert read_weights(tmp_path).tensors["a"] == 1


def test_several_files_are_not_guessed_among(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is none: name the file"):
        read_weights(tmp_path)
    for name in ("one.pth", "two.pth"):
        torch.save({"a": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"there is one\.pth, two\.pth: name the file"):
        read_weights(tmp_path)


class Calls:
    """Unpickling it would call a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> Any:
        return self.called


def hostile(trace: Path) -> dict[str, Any]:
    return {
        "a command": Calls(os.system, f"touch '{trace}'"),
        "a file": Calls(open, str(trace), "w"),
        "code": Calls(exec, f"open({str(trace)!r}, 'w')"),
        "a function of torch": Calls(torch.load, str(trace)),
        "an attribute": Calls(getattr, trace, "name"),
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("name", hostile(Path()))
def test_a_hostile_file_is_refused_and_leaves_no_trace(
    tmp_path: Path, name: str, legacy: bool
) -> None:
    trace, path = tmp_path / "trace", tmp_path / "checkpoint.pth"
    held = {"model": {"a": torch.ones(2)}, "extra": hostile(trace)[name]}
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="which is not plain data: refused, nothing was run"):
        read_weights(path)
    assert not trace.exists()
    assert list(tmp_path.iterdir()) == [path]


def forged(path: Path, pickled: bytes, *, storage: bytes = b"") -> Path:
    """A zip as torch writes it, around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", storage)
    return path


def view(*, offset: int, size: tuple[int, ...], stride: tuple[int, ...], numbers: int) -> bytes:
    """A pickle of one tensor that is a view as told, whatever is there."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, one: Any) -> Any:
            kept = ("storage", torch.FloatStorage, "0", "cpu", numbers)
            return kept if one == "numbers" else None

    out = io.BytesIO()
    rebuild = torch._utils._rebuild_tensor_v2
    made = Calls(rebuild, "numbers", offset, size, stride, False, OrderedDict())
    Pickler(out, protocol=2).dump({"a": made})
    return out.getvalue()


@pytest.mark.parametrize(
    ("pickled", "problem"),
    [
        (view(offset=0, size=(2, 2), stride=(2, 1), numbers=3), "reaches beyond its numbers"),
        (view(offset=2, size=(2,), stride=(1,), numbers=3), "reaches beyond its numbers"),
        (view(offset=-1, size=(1,), stride=(1,), numbers=3), "an impossible shape"),
        (view(offset=0, size=(2,), stride=(-1,), numbers=3), "an impossible shape"),
        (view(offset=0, size=(2,), stride=(1, 1), numbers=3), "an impossible shape"),
        (view(offset=0, size=(1 << 40,), stride=(0,), numbers=3), "many times larger"),
        (view(offset=0, size=(9,), stride=(1,), numbers=9), "ends within a"),
        (pickle.dumps([1, 2]), "holds a list, and no state dict"),
        (pickle.dumps({"epoch": 3}), "no state dict, nor one under model"),
        (b"\x80\x02nonsense", "is damaged, or no file of weights"),
    ],
)
def test_a_forged_file_is_refused(tmp_path: Path, pickled: bytes, problem: str) -> None:
    path = forged(tmp_path / "forged.pt", pickled, storage=struct.pack("<3f", 1, 2, 3))
    with pytest.raises(CheckpointError, match=rf"forged\.pt: .*{problem}"):
        read_weights(path)


def test_a_compressed_part_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", b"\0" * (1 << 22))
    with pytest.raises(CheckpointError, match="compressed numbers"):
        read_weights(tmp_path / "bomb.pt")


def test_files_are_limited_in_size(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "large.pt")
    with pytest.raises(CheckpointError, match="more than the limit of 1,000: not read"):
        read_weights(tmp_path / "large.pt", limits=Limits(file_bytes=1000))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        read_weights(tmp_path / "absent.pt")
