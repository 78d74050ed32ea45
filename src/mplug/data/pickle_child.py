"""Reads one pickle in a process of its own; started by `safe_pickle`, imports none of mplug.

A request comes in as JSON, the value goes out as JSON. Three walls, one behind the other: only
stand-ins of this file can be named by the pickle, an audit hook stops what touches the machine,
and limits of the system end what takes too much.
"""

import json
import math
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

DEEPEST = 50  # lists within lists; official files have five
# Kinds of numpy, without their order of bytes, and those of struct.
NUMBERS = {"b1": "?", "f2": "e", "f4": "f", "f8": "d"}
NUMBERS |= {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}
TEXTS = re.compile(r"[SU][1-9]\d{0,5}")
TORCH_PARTS_BEFORE = 3  # of a file before torch 1.6: a magic number, the protocol, the system
TOUCHES_THE_MACHINE = (
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "shutil.",
    "pty.",
    "urllib.",
    "webbrowser.",
)
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fspath")


class Refused(Exception):
    """Why the file is not read; the message is for the user."""


class Named(Refused):
    """A global that is not plain data."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(
            f"it names {module}.{name}, which is not plain data: refused, nothing was run"
        )
        self.module = module


class Dtype:
    """Stands for numpy.dtype: numbers and texts of fixed size, nothing with objects in it.

    The true one can be told by a pickle that bytes are objects, which corrupts memory.
    """

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        text = _text(code)
        self.order = text[0] if text[:1] in ("<", ">") else "="
        self.code = text.lstrip("<>|=")
        if self.code not in NUMBERS and not TEXTS.fullmatch(self.code):
            raise Refused(f"an array of kind {text[:20]!r}, which is not numbers or texts: refused")

    def __setstate__(self, state: Any) -> None:
        order, *fields = state[1:5]
        if any(fields) or _text(order) not in ("<", ">", "|", "="):
            raise Refused("an array with fields: refused")
        self.order = _text(order)

    def values(self, content: bytes) -> list[Any]:
        """The numbers or texts that bytes hold."""
        if self.code in NUMBERS:
            unit = NUMBERS[self.code]
            order = "<" if self.order == "|" else self.order
            return list(
                struct.unpack(f"{order}{len(content) // int(self.code[1:])}{unit}", content)
            )
        characters, wide = int(self.code[1:]), self.code[0] == "U"
        width = characters * (4 if wide else 1)
        encoding = ("utf-32-be" if self.order == ">" else "utf-32-le") if wide else "latin1"
        parts = [content[start : start + width] for start in range(0, len(content), width)]
        return [part.decode(encoding).rstrip("\0") for part in parts]


class Array:
    """Stands for numpy.ndarray; `values` are nested lists."""

    __slots__ = ("values",)

    def __init__(self, *_: object) -> None:
        self.values: Any = []

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, Dtype) or not isinstance(content, bytes):
            raise Refused("an array that is not plain numbers: refused")
        values = dtype.values(content)
        if math.prod(shape) != len(values):
            raise Refused(f"an array of shape {shape} with {len(values)} values: refused")
        if fortran and len(shape) == 2:
            values = [value for row in range(shape[0]) for value in values[row :: shape[0]]]
        elif fortran and len(shape) > 2:
            raise Refused("an array of three axes in Fortran's order: refused")
        for side in reversed(shape[1:]):
            values = [values[at : at + side] for at in range(0, len(values), side or 1)]
        self.values = values


def scalar(dtype: object, content: object) -> Any:
    """Stands for numpy's reader of one number."""
    if not isinstance(dtype, Dtype) or not isinstance(content, bytes):
        raise Refused("a numpy value that is not a plain number: refused")
    return dtype.values(content)[0]


def encode(text: object, encoding: object = "latin1") -> bytes:
    """Stands for `_codecs.encode`, by which protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", b"latin1"):
        raise Refused(f"_codecs.encode to {str(encoding)[:20]!r}: refused")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): Array,
    **{
        (f"numpy.{core}.multiarray", name): stand_in
        for core in ("core", "_core")
        for name, stand_in in (("_reconstruct", Array), ("scalar", scalar))
    },
    ("_codecs", "encode"): encode,
}


class PlainUnpickler(pickle.Unpickler):
    """Builds plain data; whatever else a pickle names is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in of this file, or a refusal."""
        if (module, name) not in ALLOWED:
            raise Named(module, name)
        return ALLOWED[module, name]

    def persistent_load(self, pid: object) -> Any:
        """Never: it points outside of the file."""
        raise Refused("it refers to something outside of the file: refused")


def plain(value: Any, *, left: list[int], depth: int = 0) -> Any:
    """Lists, objects, texts and numbers, or a refusal; `left[0]` counts down the values allowed.

    Numbers that are not finite become null: JSON has none.
    """
    left[0] -= 1
    if left[0] < 0:
        raise Refused("it holds more values than the limit allows")
    if depth > DEEPEST:
        raise Refused(f"lists within lists, deeper than {DEEPEST}: refused")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, Array):
        value = value.values
    if isinstance(value, dict):
        return {_key(key): plain(inner, left=left, depth=depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner, left=left, depth=depth + 1) for inner in value]
    if hasattr(value, "tolist"):  # a tensor or an array of a .pth file
        return plain(value.tolist(), left=left, depth=depth + 1)
    raise Refused(f"it holds a {type(value).__name__}, which is not plain data: refused")


def _key(key: object) -> str:
    if isinstance(key, str | bytes):
        return _text(key)
    if isinstance(key, int):
        return str(key)
    raise Refused(f"a dictionary with a {type(key).__name__} as key: refused")


def _text(value: object) -> str:
    """Text that Python 2 wrote is bytes: UTF-8 nearly always, Latin-1 else."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        raise Refused(f"a {type(value).__name__} where text belongs: refused")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin1")


def read(file: BinaryIO, *, kind: str) -> Any:
    """The object that a file holds, of stand-ins and plain data."""
    if kind == "pickle":
        return PlainUnpickler(file, encoding="bytes").load()
    try:
        return _read_torch_lists(file)
    except Named as named:
        if named.module.partition(".")[0] != "torch":
            raise
    file.seek(0)
    return _read_tensors(file)


def _read_torch_lists(file: BinaryIO) -> Any:
    """What torch saved, where it is lists: its zip files hold a pickle, older ones are four."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            inner = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(inner) != 1:
                raise Refused("is a zip file that torch did not save")
            with archive.open(inner[0]) as content:
                return PlainUnpickler(content, encoding="bytes").load()
    file.seek(0)
    for _ in range(TORCH_PARTS_BEFORE):
        PlainUnpickler(file, encoding="bytes").load()
    return PlainUnpickler(file, encoding="bytes").load()


def _read_tensors(file: BinaryIO) -> Any:
    _importing.append("torch")  # which loads libraries
    import torch

    _importing.clear()
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)|Unsupported (?:global|class) ([\w.]+)", str(error))
        what = next(filter(None, named.groups()), "") if named else str(error).splitlines()[0]
        raise Refused(f"it names {what}, which is not plain data: refused") from error


_importing: list[str] = []  # modules of ours, during whose import the hook is silent


def hold_back() -> None:
    """From here on nothing is started, connected to or written."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if _importing:
            return
        writes = event == "open" and not str(arguments[1] or "r").startswith("r")
        if writes or (event.startswith(TOUCHES_THE_MACHINE) and event not in HARMLESS):
            raise Refused(f"reading it would have called {event}: refused")

    sys.addaudithook(hook)


def limit(*, seconds: int, memory_bytes: int, written_bytes: int = 0) -> None:
    """From here on the system ends what takes more than this."""
    try:
        import resource
    except ImportError:  # Windows has none; the parent's limit of time stands
        return
    limits = (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, written_bytes),
        (resource.RLIMIT_CORE, 0),
    )
    for what, most in limits:
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, hard))


def main() -> None:
    """Answer one request: {"value": ...} or {"problem": ...}."""
    request = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        with open(request["path"], "rb") as file:
            limit(seconds=request["seconds"], memory_bytes=request["memory_bytes"])
            hold_back()
            answer = {"value": plain(read(file, kind=request["kind"]), left=[request["values"]])}
    except Refused as refused:
        answer = {"problem": str(refused)}
    except MemoryError:
        answer = {"problem": "it needs more memory than the limit allows"}
    except Exception as error:  # a damaged pickle raises nearly every kind there is
        answer = {"problem": f"is damaged, or no {request['kind']} file: {error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
