import pickle
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mplug.data.media import MARGIN, MAX_PIXELS, ImageError, load_image, load_scaled
from mplug.data.transforms import STD, to_array

RED, GREY = (200, 30, 40), (128, 128, 128)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(mode: str = "RGB", size: tuple[int, int] = (61, 47)) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def corner(image: Image.Image) -> tuple[int, ...]:
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def assert_near(pixel: tuple[int, ...], expected: tuple[int, ...], *, by: int = 3) -> None:
    assert max(abs(a - b) for a, b in zip(pixel, expected, strict=True)) <= by


def half_transparent(mode: str = "RGBA") -> Image.Image:
    """The left half opaque and red, the right half fully transparent over black."""
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 2, 2))
    return image.convert(mode)


def png_of(width: int, height: int, *, bits: int = 8, colour: int = 2) -> bytes:
    """The header of a PNG of any size, and nothing after it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + struct.pack(">I", 0)
        + data
        + struct.pack(">I", zlib.crc32(data))
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_accepted_format_is_read(kind: str) -> None:
    image = load_image(encoded(Image.new("RGB", (8, 6), RED), kind))
    assert (image.mode, image.size) == ("RGB", (8, 6))
    assert_near(corner(image), RED, by=6)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    image = load_image(encoded(Image.new("RGB", (8, 8), GREY).convert(mode), kind))
    assert image.mode == "RGB"
    if mode != "1":
        assert_near(corner(image), GREY, by=26 if mode == "P" else 6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    kind = "TIFF" if mode == "PA" else "PNG"
    source = half_transparent(mode) if mode != "PA" else half_transparent("RGBA")
    image = load_image(encoded(source, kind))
    assert image.getpixel((3, 1)) == (255, 255, 255)
    assert corner(image) != (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_a_colour_named_as_transparent_is_white(mode: str) -> None:
    source = Image.new("L", (2, 1), 0).convert(mode)
    source.putpixel((1, 0), (9, 9, 9) if mode == "RGB" else 1)
    transparent: Any = (0, 0, 0) if mode == "RGB" else source.getpixel((0, 0))
    image = load_image(encoded(source, "PNG", transparency=transparent))
    assert corner(image) == (255, 255, 255)


@pytest.mark.parametrize(("kind", "value"), [("PNG", 128 * 257), ("TIFF", 128 * 257)])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str, value: int) -> None:
    source = Image.fromarray(np.full((3, 5), value, dtype=np.uint16))
    assert corner(load_image(encoded(source, kind))) == GREY


def test_sixteen_bit_colour_is_scaled() -> None:
    raw = b"\0" + struct.pack(">3H", *(value * 257 for value in RED))
    data = b"IDAT" + zlib.compress(raw)
    idat = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    png = png_of(1, 1, bits=16)[:33] + idat + b"\0\0\0\0IEND\xaeB`\x82"
    assert corner(load_image(png)) == RED


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_the_range_of_numeric_pictures_becomes_black_to_white(dtype: type) -> None:
    source = Image.fromarray(np.array([[-7, 43, 193]], dtype=dtype))
    image = load_image(encoded(source, "TIFF"))
    assert [image.getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (64,) * 3, (255,) * 3]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_exif_says(kind: str, orientation: int) -> None:
    upright = Image.new("RGB", (64, 32), "white")
    upright.paste((0, 0, 0), (0, 0, 16, 16))  # a black corner, top left
    turned = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for turn in turned.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load_image(encoded(stored, kind, exif=exif))
    assert image.size == (64, 32)
    assert_near(corner(image), (0, 0, 0), by=12)
    assert_near(tuple(image.getpixel((63, 31))), (255, 255, 255), by=12)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"\0" * 9])
def test_a_damaged_exif_block_does_not_lose_the_picture(exif: bytes) -> None:
    assert load_image(encoded(noise(), "JPEG", exif=exif)).size == (61, 47)


def test_a_damaged_colour_profile_does_not_lose_the_picture() -> None:
    for kind in ("JPEG", "PNG"):
        assert load_image(encoded(noise(), kind, icc_profile=b"no profile")).size == (61, 47)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 0, 255), (0, 255, 0))]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert_near(corner(load_image(content)), RED, by=8)


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1)])
def test_extreme_shapes_are_read(size: tuple[int, int]) -> None:
    assert load_image(encoded(Image.new("RGB", size, RED), "PNG")).size == size


@pytest.mark.parametrize("name", ["plain.png", "two  blanks .png", "ünï 猫 🐈.png", "x" * 200])
def test_paths_may_hold_anything(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(noise(), "PNG"))
    for source in (path, str(path)):
        assert load_image(source).size == (61, 47)


def test_a_loaded_picture_is_a_copy() -> None:
    source = noise()
    image = load_image(source)
    image.putpixel((0, 0), (1, 2, 3))
    assert source.getpixel((0, 0)) != (1, 2, 3)


@pytest.mark.parametrize(
    "array",
    [
        np.full((5, 7), 128, np.uint8),
        np.full((5, 7, 1), 128, np.uint8),
        np.full((5, 7, 3), 128, np.uint8),
        np.full((5, 7, 3), 128 * 257, np.uint16),
        np.full((5, 7, 3), 128 / 255, np.float32),
        np.full((5, 7), 128 / 255, np.float64),
        np.full((7, 5, 3), 128, np.uint8).transpose(1, 0, 2),
        np.concatenate([np.full((5, 7, 3), 128), np.full((5, 7, 1), 255)], 2).astype(np.uint8),
    ],
)
def test_arrays_of_any_usual_kind_are_read(array: Any) -> None:
    image = load_image(array)
    assert (image.size, corner(image)) == ((7, 5), GREY)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 5, 7), np.uint8), r"shape \[3, 5, 7\]"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "has no pixels: 4 x 0"),
        (np.zeros((2, 2), np.int64), "holds int64; use uint8"),
        (np.full((2, 2), 1.5), "not all between 0 and 1"),
        (np.full((2, 2), np.nan), "not all between 0 and 1"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000)), "too many pixels: 20000 x 20000"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        load_image(array)


HTML = b"\n <!DOCTYPE html><html><body>404</body></html>"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\0" * 4000, "nothing but zero bytes"),
        (HTML, "an HTML page, not an image"),
        (b"\xef\xbb\xbf<html>", "an HTML page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing, which is not opened"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a heic file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"some text", "not an image of a kind that is opened"),
        (b"\xff\xd8\xff\xe0", "begins as an image"),
        (png_of(20_000, 20_000), "too many pixels"),
        (png_of(9_000, 9_000), "too many pixels: 9000 x 9000 is more than the limit of 64,000,000"),
        (png_of(2**31 - 1, 2**31 - 1), "too many pixels"),
    ],
)
def test_what_is_not_a_usable_picture_is_named_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as error:
        load_image(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused_and_never_half_read(kind: str, kept: float) -> None:
    whole = encoded(noise(), kind)
    with pytest.raises(ImageError, match="truncated|damaged|empty"):
        load_image(whole[: int(len(whole) * kept)])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "absent.jpg", "no such file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: "a\0b.jpg", "cannot be opened"),
        (lambda folder: folder / ("x" * 300), "cannot be opened: File name too long"),
        (lambda folder: Path("/dev/null"), "is not a regular file"),
    ],
)
def test_paths_that_lead_nowhere_are_named(
    tmp_path: Path, make: Callable[[Path], Path | str], reason: str
) -> None:
    with pytest.raises(ImageError, match=reason):
        load_image(make(tmp_path))


def test_the_limit_of_pixels_can_be_set() -> None:
    content = encoded(noise(), "PNG")
    assert load_image(content, max_pixels=61 * 47).size == (61, 47)
    with pytest.raises(ImageError, match="61 x 47 is more than the limit of 2,866"):
        load_image(content, max_pixels=61 * 47 - 1)


def test_bombs_are_refused_before_any_memory_is_taken() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # as outside of tests
        for side in (int(MAX_PIXELS**0.5) + 1, 10_000, 13_000, 20_000):
            with pytest.raises(ImageError, match="too many pixels"):
                load_image(png_of(side, side))


def test_an_error_keeps_its_parts_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("a.jpg", "empty")))
    assert (error.name, error.reason, str(error)) == ("a.jpg", "empty", "a.jpg: empty")


WHOLE = {kind: encoded(noise(size=(23, 17)), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_a_damaged_file_gives_a_picture_or_our_error(
    kind: str, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(WHOLE[kind])
    for place, value in changes:
        content[place % len(content)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata
        try:
            image = load_image(bytes(content))
        except ImageError:
            return
    assert image.mode == "RGB"


def natural(width: int, height: int) -> Image.Image:
    """Noise with the spectrum of photographs: amplitudes fall with the frequency."""
    random = np.random.default_rng(0)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1
    turns = random.random((3, *frequency.shape))
    planes = np.fft.irfft2(np.exp(2j * np.pi * turns) / frequency, s=(height, width))
    values = 120 + 50 * planes / planes.std()
    return Image.fromarray(values.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


@pytest.mark.parametrize(
    ("size", "side"),
    [((640, 480), 64), ((640, 480), 256), ((500, 375), 96), ((1280, 960), 256), ((961, 1283), 59)],
)
@pytest.mark.parametrize("turn", [1, 6])
def test_scaled_decoding_moves_values_by_few_levels_and_keeps_the_files_size(
    size: tuple[int, int], side: int, turn: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(natural(*size), "JPEG", quality=90, exif=exif)
    image, told = load_scaled(data, side=side)
    whole = load_image(data)
    assert told == whole.size
    assert image.size == (whole.size if min(size) < 2 * MARGIN * side else (side, side))
    apart = np.abs(to_array(image, size=side) - to_array(whole, size=side))
    levels = apart * STD[:, None, None] * 255
    assert levels.mean() <= 1.5  # of 255
    assert levels.max() <= 12


def test_what_cannot_be_decoded_smaller_is_what_it_was() -> None:
    data = encoded(natural(640, 480), "PNG")
    image, told = load_scaled(data, side=64)
    assert told == image.size == (640, 480)
    assert image.tobytes() == load_image(data).tobytes()
    assert load_scaled(natural(64, 48), side=8).size == (64, 48)
