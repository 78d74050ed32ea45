"""Reads the tensors of one torch file in a process of its own; started by `reading`.

It imports no torch: a pickle is read with stand-ins for the few names that files of weights hold,
and the numbers are copied as bytes. Whatever else is named is refused before it is imported. The
answer on standard output is a safetensors file; on standard error, where there is none, the reason.
"""

import json
import math
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np

from mplug.data.pickle_child import ALLOWED as NUMPY
from mplug.data.pickle_child import Named, Refused, hold_back, limit

# torch's storages, by the kinds of safetensors and the bytes of a number.
KINDS = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
DTYPES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
WRAPPERS = ("model", "module", "state_dict", "model_state_dict")
MAGIC = 0x1950A86A20F9469CFC6C  # begins a file from before torch 1.6
GROWTH = 4  # views may share numbers, which are written once for each; more is a bomb
SPARE_BYTES = 1 << 20
LARGEST_PICKLE = 1 << 28  # bytes; the numbers are not in it
FAILED = 3


class Kind(NamedTuple):
    """What the numbers of a storage are."""

    name: str
    width: int


@dataclass(frozen=True)
class Storage:
    """Numbers of a file that tensors are views of."""

    key: str
    kind: Kind
    length: int
    start: int = 0  # of a view that old files make of another storage


@dataclass(frozen=True)
class TensorView:
    """Where the numbers of a tensor are."""

    storage: Storage
    kind: Kind
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """How many it fills when written."""
        return math.prod(self.size) * self.kind.width

    @property
    def span(self) -> int:
        """How many numbers lie between its first and its last, both counted."""
        if not math.prod(self.size):
            return 0
        sides = zip(self.size, self.stride, strict=True)
        return 1 + sum((side - 1) * step for side, step in sides)


class Scripted:
    """Stands for a module of a TorchScript file: its attributes, none of its code."""

    def __init__(self, *_: object) -> None:
        self.held: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.held = dict(state) if isinstance(state, dict) else {}


class Inert:
    """Stands for something that says nothing about weights, such as a program's arguments."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class InertDict(dict[Any, Any]):
    """Stands for a dictionary of another kind."""

    def __init__(self, *_: object) -> None:
        super().__init__()


def rebuild(storage: object, offset: int, size: Any, stride: Any, *rest: object) -> TensorView:
    """Stands for torch's builder of tensors."""
    if not isinstance(storage, Storage):
        raise Refused("a tensor without numbers of its own: refused")
    kind = next((one for one in rest if isinstance(one, Kind)), storage.kind)
    numbers = (offset, *size, *stride)
    if not all(type(one) is int and one >= 0 for one in numbers) or len(size) != len(stride):
        raise Refused("a tensor of an impossible shape: refused")
    view = TensorView(storage, kind, storage.start + offset, tuple(size), tuple(stride))
    if (view.offset + view.span) * kind.width > (storage.start + storage.length) * (
        storage.kind.width
    ):
        raise Refused("a tensor that reaches beyond its numbers: refused")
    return view


def first(value: Any = None, *_: object) -> Any:
    """Stands for what wraps a value: a parameter, or a typed list of TorchScript."""
    return value


ALLOWED: dict[tuple[str, str], Any] = {
    **NUMPY,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): InertDict,
    ("argparse", "Namespace"): Inert,
    ("pathlib", "PosixPath"): Inert,
    ("torch", "device"): Inert,
    ("torch", "Size"): first,
    ("torch._utils", "_rebuild_parameter"): first,
    **{("torch._utils", f"_rebuild_tensor{version}"): rebuild for version in ("", "_v2", "_v3")},
    **{("torch", name): Kind(*kind) for name, kind in KINDS.items()},
    **{("torch", name): Kind(*KINDS[kind]) for name, kind in DTYPES.items()},
    ("torch.storage", "UntypedStorage"): Kind(*KINDS["ByteStorage"]),
    **{
        ("torch.jit._pickle", name): first
        for name in (
            "build_intlist",
            "build_tensorlist",
            "build_doublelist",
            "build_boollist",
            "restore_type_tag",
        )
    },
}


class TensorUnpickler(pickle.Unpickler):
    """Builds dictionaries of where numbers are; whatever else is named is refused."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}  # by key, also those that no tensor is made of

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in of this file, or a refusal."""
        if module.startswith("__torch__"):
            return Scripted
        if (module, name) not in ALLOWED:
            raise Named(module, name)
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a tensor is a view of."""
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise Refused("it refers to something outside of the file: refused")
        _, kind, key, _, length = pid[:5]
        view = pid[5] if len(pid) == 6 else None
        if not isinstance(kind, Kind) or type(length) is not int or not isinstance(key, str):
            raise Refused("it holds numbers of an unknown kind: refused")
        self.storages[key] = Storage(key, kind, length)
        return self.storages[key] if view is None else Storage(key, kind, view[2], view[1])


Bytes = Callable[[Storage, int, int], bytes]  # of a storage, from a byte on, so many


def read(file: BinaryIO) -> tuple[Any, Bytes]:
    """What a torch file holds, and a reader of its numbers."""
    if zipfile.is_zipfile(file):
        return _read_zip(zipfile.ZipFile(file))
    file.seek(0)
    if TensorUnpickler(file).load() != MAGIC:
        raise Refused("is no file that torch.save wrote")
    for _ in range(2):  # the protocol, and the system it was written on
        TensorUnpickler(file).load()
    unpickler = TensorUnpickler(file)
    value = unpickler.load()
    return value, _numbers_behind(file, TensorUnpickler(file).load(), unpickler.storages)


def _read_zip(archive: zipfile.ZipFile) -> tuple[Any, Bytes]:
    names = {entry.filename: entry for entry in archive.infolist()}
    inner = [name for name in names if name.endswith("/data.pkl")]
    if len(inner) != 1:
        raise Refused("is a zip file that torch did not save")
    root = inner[0].removesuffix("data.pkl")
    numbers_of = [entry for name, entry in names.items() if name.startswith(root + "data/")]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in numbers_of):
        raise Refused("is a zip file with compressed numbers, which torch never writes: refused")
    if names[inner[0]].file_size > LARGEST_PICKLE:
        raise Refused("describes its tensors at a length that only a bomb has: refused")
    if root + "byteorder" in names and archive.read(root + "byteorder") != b"little":
        raise Refused("was written on a machine with another order of bytes")

    def numbers(storage: Storage, start: int, count: int) -> bytes:
        name = f"{root}data/{storage.key}"
        if name not in names:
            raise Refused(f"lacks its part {name}: it is damaged")
        with archive.open(name) as part:
            part.seek(start)
            return part.read(count)

    with archive.open(inner[0]) as content:
        return TensorUnpickler(content).load(), numbers


def _numbers_behind(file: BinaryIO, keys: Any, known: Mapping[str, Storage]) -> Bytes:
    """The numbers of a file from before torch 1.6: behind its pickles, each with its count."""
    places: dict[str, int] = {}
    for key in keys:
        count = struct.unpack("<q", file.read(8))[0]
        if key not in known or count < 0:
            raise Refused(f"holds numbers {key!r} of which nothing is known: refused")
        places[key] = file.tell()
        file.seek(count * known[key].kind.width, 1)

    def numbers(storage: Storage, start: int, count: int) -> bytes:
        if storage.key not in places:
            raise Refused(f"lacks the numbers {storage.key!r}: it is damaged")
        file.seek(places[storage.key] + start)
        return file.read(count)

    return numbers


def state_of(value: Any) -> tuple[dict[str, TensorView], list[str]]:
    """The tensors of a state dict, out of what may hold it, and what is left out."""
    left_out: list[str] = []
    if isinstance(value, Scripted):
        value = dict(_attributes(value, ""))
    for wrapper in WRAPPERS:
        inner = value.get(wrapper) if isinstance(value, Mapping) else None
        if isinstance(inner, Mapping) and inner:
            left_out += [str(key) for key in value if key != wrapper]
            value = inner
    if not isinstance(value, Mapping):
        raise Refused(f"holds a {type(value).__name__}, and no state dict")
    state = {str(key): one for key, one in value.items() if isinstance(one, TensorView)}
    if not state:
        held = ", ".join(str(key) for key in list(value)[:8]) or "nothing"
        raise Refused(f"no state dict, nor one under {', '.join(WRAPPERS)}: it holds {held}")
    return state, left_out + [str(key) for key in value if str(key) not in state]


def _attributes(module: Scripted, path: str) -> Iterator[tuple[str, Any]]:
    for name, value in module.held.items():
        if isinstance(value, Scripted):
            yield from _attributes(value, f"{path}{name}.")
        elif isinstance(value, TensorView):
            yield path + name, value


def write(
    state: Mapping[str, TensorView], left_out: list[str], numbers: Bytes, out: BinaryIO
) -> None:
    """A safetensors file of the state."""
    header: dict[str, Any] = {"__metadata__": {"left_out": json.dumps(left_out)}}
    at = 0
    for name, view in state.items():
        place = [at, at + view.bytes]
        header[name] = {"dtype": view.kind.name, "shape": view.size, "data_offsets": place}
        at += view.bytes
    text = json.dumps(header).encode()
    out.write(struct.pack("<Q", len(text)) + text)
    for name, view in state.items():
        out.write(_content(name, view, numbers))
    out.flush()


def _content(name: str, view: TensorView, numbers: Bytes) -> bytes:
    """The numbers of a tensor, row by row."""
    width, count = view.kind.width, math.prod(view.size)
    if not count:
        return b""
    data = numbers(view.storage, view.offset * width, view.span * width)
    if len(data) != view.span * width:
        raise Refused(f"ends within {name}: it is damaged")
    flat = np.frombuffer(data, dtype=f"u{width}")
    steps = [step * width for step in view.stride]
    return np.lib.stride_tricks.as_strided(flat, view.size, steps, writeable=False).tobytes()


def answer(path: str, *, seconds: int, memory_bytes: int, out: BinaryIO) -> None:
    """Write the tensors of the file at `path` to `out`."""
    with open(path, "rb") as file:
        most = GROWTH * file.seek(0, 2) + SPARE_BYTES
        file.seek(0)
        limit(seconds=seconds, memory_bytes=memory_bytes, written_bytes=most)
        hold_back()
        value, numbers = read(file)
        state, left_out = state_of(value)
        if sum(view.bytes for view in state.values()) + SPARE_BYTES > most:
            raise Refused("its tensors are many times larger than the file: refused")
        write(state, left_out, numbers, out)


def main() -> None:
    """Answer one request, or say why not."""
    request = json.loads(sys.argv[1])
    try:
        answer(**request, out=sys.stdout.buffer)
    except Refused as refused:
        problem = str(refused)
    except MemoryError:
        problem = "it needs more memory than the limit allows"
    except Exception as error:  # a damaged file raises nearly every kind there is
        problem = f"is damaged, or no file of weights: {error}"
    else:
        return
    json.dump({"problem": problem}, sys.stderr)
    sys.exit(FAILED)
