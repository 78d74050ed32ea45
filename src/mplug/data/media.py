"""Pictures from anywhere to RGB: odd but valid ones work, broken or hostile ones say what they are.

Only the formats of `FORMATS` are opened, so that no interpreter is started (EPS) and no markup is
drawn (SVG). The number of pixels is checked from the header, before anything is decoded.
"""

import math
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from mplug.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64_000_000
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # turns that swap width and height
# How a file begins, for those that are not pictures, or not of a kind that is opened.
FOREIGN_BEGINNINGS = (
    (b"<!doctype html", "an HTML page, not an image"),
    (b"<html", "an HTML page, not an image"),
    (b"<svg", "an SVG drawing, which is not opened: convert it to PNG"),
    (b"<?xml", "an XML file (SVG?), which is not opened: convert it to PNG"),
    (b"%!ps", "a PostScript file, which is not opened: convert it to PNG"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file, which is not opened: convert it to PNG"),
    (b"%pdf", "a PDF document, not an image"),
    (b"pk\x03\x04", "a zip archive, not an image"),
    (b"\x1f\x8b", "a gzip file, not an image"),
    (b"version https://git-lfs", "a Git LFS pointer, not the image: run `git lfs pull`"),
)
IMAGE_BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
BEGINNING = 512  # bytes

MARGIN = 1.5  # times the wanted side that scaled decoding leaves

Value = TypeVar("Value")


class Scaled(NamedTuple):
    """An upright RGB picture, perhaps scaled already, and the width and height of its file."""

    image: Image.Image
    size: tuple[int, int]  # upright, in pixels


class ImageError(DataError):
    """A picture or a clip that cannot be used: `name` says which, `reason` why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Rebuild from both parts, so that worker processes can send it."""
        return ImageError, (self.name, self.reason)


def load_image(
    source: "str | Path | bytes | Image.Image | np.ndarray[Any, Any]",
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Image.Image:
    """An RGB image: turned as EXIF says, alpha on white, 16 bits scaled, the first frame.

    `source` is a path, the bytes of a file, a Pillow image, or an array of grey, RGB or RGBA
    values ([height, width], or with 1, 3 or 4 channels last; uint8, uint16, or floats in 0..1).
    `name` is what errors call it; a path names itself.

    Raises:
        ImageError: names the picture, and says what is wrong with it.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name=name or "the array", max_pixels=max_pixels)
    if isinstance(source, Image.Image):
        with _named_errors(name or "the image", b""):
            _check_pixels(source.size, max_pixels)
            return _to_rgb(source)
    if isinstance(source, bytes):
        return _decode(BytesIO(source), name=name or "the image", max_pixels=max_pixels).image
    path = Path(source)
    return read_file(
        path, lambda file, name: _decode(file, name=name, max_pixels=max_pixels).image, name=name
    )


def load_scaled(
    source: "str | Path | bytes | Image.Image | np.ndarray[Any, Any]",
    *,
    side: int,
    name: str | None = None,
) -> Scaled:
    """What `load_image` gives, for a use that scales it to a square of `side` pixels.

    A JPEG of several times that size is decoded at a half, a quarter or an eighth, which costs so
    much less, and comes as that square; both ways, `MARGIN` times `side` or more was left for the
    filter that scaled the rest.

    Raises:
        ImageError: names the picture, and says what is wrong with it.
    """
    if isinstance(source, np.ndarray | Image.Image):
        image = load_image(source, name=name)
        return Scaled(image, image.size)

    def read(file: IO[bytes], name: str) -> Scaled:
        return _decode(file, name=name, max_pixels=MAX_PIXELS, side=side)

    if isinstance(source, bytes):
        return read(BytesIO(source), name or "the image")
    return read_file(Path(source), read, name=name)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as `load_image` gives it, from the file's header alone.

    Raises:
        ImageError: names the picture, and says what is wrong with it.
    """
    return read_file(path, _size, name=None)


def _size(file: IO[bytes], name: str) -> tuple[int, int]:
    beginning = file.read(BEGINNING)
    file.seek(0)
    with _named_errors(name, beginning), Image.open(file, formats=FORMATS) as image:
        _check_pixels(image.size, MAX_PIXELS)
        width, height = image.size
        return (height, width) if _orientation(image) in SIDEWAYS else (width, height)


def read_file(path: Path, use: Callable[[IO[bytes], str], Value], *, name: str | None) -> Value:
    """What `use` makes of an open file and the name that errors call it; a path names itself.

    Raises:
        ImageError: there is no such file, it is no regular one, or it cannot be read.
    """
    name = name or str(path)
    try:
        if stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            with path.open("rb") as file:
                return use(file, name)
    except FileNotFoundError as error:
        raise ImageError(name, "no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(name, f"cannot be opened: {reason}") from error
    raise ImageError(name, "is a folder" if path.is_dir() else "is not a regular file")


class _Refused(Exception):
    """A reason of our own, on its way to becoming an `ImageError`."""


def _decode(file: Any, *, name: str, max_pixels: int, side: int | None = None) -> Scaled:
    beginning = file.read(BEGINNING)
    file.seek(0)
    with _named_errors(name, beginning):
        if not beginning:
            raise _Refused("the file is empty")
        with Image.open(file, formats=FORMATS) as image:
            _check_pixels(image.size, max_pixels)
            width, height = image.size
            size = (height, width) if _orientation(image) in SIDEWAYS else (width, height)
            read = image if side is None else _smaller(image, side=side)
            return Scaled(_to_rgb(read), size)


def _smaller(image: Image.Image, *, side: int) -> Image.Image:
    """A square of `side` pixels, where the file can be decoded at a part of its size."""
    whole, reach = image.size, math.ceil(MARGIN * side)
    image.draft(None, (reach, reach))  # does nothing to other formats than JPEG
    if image.size == whole:
        return image
    # Of a size that the part does not divide, the last row and column are partly empty.
    scale = max(1, round(whole[0] / image.size[0]))
    box = (0.0, 0.0, whole[0] / scale, whole[1] / scale)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box)


@contextmanager
def _named_errors(name: str, beginning: bytes) -> Iterator[None]:
    try:
        yield
    except _Refused as refused:
        raise ImageError(name, str(refused)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(name, f"too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(name, _what_it_is(beginning)) from error
    except Exception as error:  # on damaged files Pillow raises nearly every kind there is
        cut = "truncated" in str(error) or isinstance(error, EOFError)
        reason = "truncated: the file ends too early" if cut else f"damaged ({error})"
        raise ImageError(name, reason) from error


def _what_it_is(beginning: bytes) -> str:
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, reason in FOREIGN_BEGINNINGS:
        if start.startswith(magic):
            return reason
    if beginning[4:8] == b"ftyp":
        return f"a {beginning[8:12].decode('ascii', 'replace')} file (HEIC, AVIF or video), " + (
            "which is not opened: convert it to JPEG or PNG"
        )
    if not beginning.strip(b"\0"):
        return "nothing but zero bytes: an interrupted download?"
    if beginning.startswith(IMAGE_BEGINNINGS):
        return "damaged or truncated: it begins as an image, but its header cannot be read"
    return f"not an image of a kind that is opened ({', '.join(FORMATS)})"


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise _Refused(
            f"too many pixels: {width} x {height} is more than the limit of {max_pixels:,}"
        )
    if not width or not height:
        raise _Refused(f"has no pixels: {width} x {height}")


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    turn = TURNS.get(_orientation(image))
    image = _eight_bits(image)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    image = image.convert("RGB")  # a copy, also where it is RGB already
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or where the EXIF block is damaged."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # the picture itself is whole, and such blocks are common
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits are scaled; of 32-bit integers and floats, the least is black and the most white."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64) / 257
    elif image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all():
            raise _Refused("has pixels that are NaN or infinite")
        values = values - values.min()
        values = values * (255 / (values.max() or 1))
    else:
        return image
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _from_array(array: "np.ndarray[Any, Any]", *, name: str, max_pixels: int) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            name,
            f"has shape {list(array.shape)}; an image is [height, width] or [height, width, "
            "channels] with 1, 3 or 4 channels",
        )
    with _named_errors(name, b""):
        _check_pixels((array.shape[1], array.shape[0]), max_pixels)
        return _to_rgb(Image.fromarray(_array_bytes(array)))


def _array_bytes(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, np.dtype[np.uint8]]":
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.uint16:
        return np.rint(array.astype(np.float64) / 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise _Refused(f"holds {array.dtype}; use uint8, uint16, or floats between 0 and 1")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise _Refused("holds floats that are not all between 0 and 1")
    return np.rint(array * 255).astype(np.uint8)
