"""The regions of one picture, and the file that keeps them.

A picture's `.npz` holds arrays of numbers and nothing else (no pickles):

| array | shape | meaning |
|---|---|---|
| `features` | [regions, features], float16 or float32 | what a detector says of a box |
| `boxes` | [regions, 4] | x0, y0, x1, y1 in shares of the sides, from the top left |
| `confidence` | [regions] | how sure the detector is that something is there, from 0 to 1 |
| `soft_labels` | [regions, classes], may be left out | probabilities; class 0 is background |

UNITER's own files name the same things `features`, `norm_bb` (six or seven columns, of which the
first four are the box), `conf` and `soft_labels`; they are read as they are.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mplug.data.whole_file import whole_path
from mplug.errors import DataError

Floats = npt.NDArray[np.float32]

MAX_BYTES = 256 << 20  # of all arrays of one picture; 100 regions of the published kind take 1.5 MB
SLACK = 0.02  # of a side, by which published boxes may stand over the edge; they are cut off
UNITER_NAMES = {"norm_bb": "boxes", "conf": "confidence"}
REQUIRED = ("features", "boxes", "confidence")


@dataclass(frozen=True)
class Regions:
    """What is seen in one picture, box by box."""

    features: Floats  # [regions, features]
    boxes: Floats  # [regions, 4], x0, y0, x1, y1 in shares of the sides
    confidence: Floats  # [regions]
    soft_labels: Floats | None = None  # [regions, classes]; class 0 is background

    def __len__(self) -> int:
        """How many regions there are."""
        return len(self.boxes)

    def kept(self, *, confidence: float = 0.2, at_least: int = 10, at_most: int = 100) -> "Regions":
        """The surest regions, surest first: those above `confidence`, but so many at least.

        The limits are UNITER's.
        """
        order = np.argsort(-self.confidence, kind="stable")
        sure = int((self.confidence > confidence).sum())
        order = order[: min(max(sure, at_least), at_most)]
        return Regions(
            self.features[order],
            self.boxes[order],
            self.confidence[order],
            None if self.soft_labels is None else self.soft_labels[order],
        )


def save_regions(path: Path, regions: Regions) -> None:
    """Write a picture's regions, whole or not at all; features as float16, as is published.

    Raises:
        DataError: the folder cannot be written.
    """
    arrays: dict[str, Any] = {
        "features": regions.features.astype(np.float16),
        "boxes": regions.boxes,
        "confidence": regions.confidence,
    }
    if regions.soft_labels is not None:
        arrays["soft_labels"] = regions.soft_labels.astype(np.float16)
    with whole_path(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_regions(path: Path) -> Regions:
    """Read a picture's regions, of our own or of UNITER's names.

    Raises:
        DataError: there is no such file, or it is not what it should be; the message says why.
    """
    arrays = read_arrays(path, names={*REQUIRED, "soft_labels", *UNITER_NAMES})
    named = {UNITER_NAMES.get(name, name): array for name, array in arrays.items()}
    missing = [name for name in REQUIRED if name not in named]
    if missing:
        raise DataError(
            f"{path}: holds no {', '.join(missing)}: a file of regions has features, boxes "
            "(or norm_bb) and confidence (or conf)"
        )
    return checked_regions(named, where=str(path))


def checked_regions(arrays: Mapping[str, npt.NDArray[Any]], *, where: str) -> Regions:
    """Regions of arrays whose shapes and values are those of the format.

    Raises:
        DataError: one is not; `where` says whose they are.
    """
    named = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
    boxes = named["boxes"]
    boxes = boxes[:, :4] if boxes.ndim == 2 and boxes.shape[1] in (6, 7) else boxes
    count = len(boxes) if boxes.ndim else 0
    wanted = {"features": 2, "boxes": 2, "confidence": 1, "soft_labels": 2}
    named["boxes"] = boxes
    for name, array in ((name, named[name]) for name in wanted if name in named):
        if array.ndim != wanted[name] or len(array) != count:
            raise DataError(
                f"{where}: {name} is {list(array.shape)}: it must have {wanted[name]} axes, and "
                f"the first of them the {count} regions"
            )
        if not np.isfinite(array).all():
            raise DataError(f"{where}: {name} holds a value that is not finite")
    if not count or boxes.shape[1] != 4:
        raise DataError(f"{where}: boxes is {list(boxes.shape)}, not [regions, 4] with a region")
    if boxes.min() < -SLACK or boxes.max() > 1 + SLACK or (boxes[:, :2] > boxes[:, 2:]).any():
        raise DataError(
            f"{where}: boxes must be x0, y0, x1, y1 in shares of the picture's sides, from 0 to 1, "
            f"but they reach from {boxes.min():.4g} to {boxes.max():.4g}"
        )
    return Regions(
        named["features"], boxes.clip(0, 1), named["confidence"], named.get("soft_labels")
    )


def read_arrays(
    path: Path, *, names: set[str], most_bytes: int = MAX_BYTES
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an `.npz` file that have one of these names, within bounds.

    What a header claims is checked against what is there before any memory is taken for it.

    Raises:
        DataError: it cannot be read, holds something else than numbers, or too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name: archive.getinfo(f"{name}.npy")
                for name in names
                if f"{name}.npy" in archive.NameToInfo
            }
            if sum(member.file_size for member in members.values()) > most_bytes:
                raise DataError(f"{path}: more than {most_bytes >> 20} MiB of regions: not read")
            return {name: _array(archive, member) for name, member in members.items()}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; `mplug regions` makes them") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{path}: not a readable .npz file: {error}") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        _check_header(file, member)
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(file: IO[bytes], member: zipfile.ZipInfo) -> None:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    read = read or np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"{member.filename} holds {dtype}, which are not numbers")
    claimed = dtype.itemsize * int(np.prod([int(side) for side in shape], dtype=object))
    if claimed > member.file_size:
        raise ValueError(f"{member.filename} claims {claimed} bytes and has {member.file_size}")
