import gc
import os
import pickle
import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mplug.data.batch import Example, collate
from mplug.data.loader import Loader
from mplug.data.media import ImageError
from mplug.data.video import is_video, read_clip, read_frames
from mplug.errors import MissingExtraError
from tests.clips import gif, levels, write_clip, write_sound

FRAMES = 5
CENTRES = [3, 9, 15, 21, 27]  # of five segments of thirty frames
KINDS = [
    ("clip.mp4", "libx264"),
    ("clip.mov", "libx264"),
    ("clip.mkv", "libx264"),
    ("clip.webm", "libvpx-vp9"),
    ("clip.avi", "mpeg4"),
    ("reordered.avi", "libx264"),
    ("clip.ts", "libx264"),
    ("clip.flv", "libx264"),
    ("clip.h264", "libx264"),
]


def problem(source: Path | bytes, **limits: Any) -> str:
    """The one line that a clip ends in."""
    with pytest.raises(ImageError) as error:
        read_frames(source, frames=FRAMES, **limits)
    message = str(error.value)
    assert "\n" not in message
    if isinstance(source, Path):
        assert message.startswith(f"{source}: ")
    return error.value.reason


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_any_container_gives_the_frames_at_the_centres(
    tmp_path: Path, name: str, codec: str
) -> None:
    frames = read_frames(write_clip(tmp_path / name, codec=codec), frames=FRAMES)
    assert levels(frames) == CENTRES
    assert {(frame.mode, frame.size) for frame in frames} == {("RGB", (64, 48))}


def test_bytes_and_paths_give_the_same(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    for source in (path, str(path), path.read_bytes()):
        assert levels(read_frames(source, frames=FRAMES)) == CENTRES


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_only_what_leads_from_a_keyframe_to_a_wanted_frame_is_decoded(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = write_clip(tmp_path / name, codec=codec, count=32, keyframe_every=4)
    clip = read_clip(path, frames=2)
    assert levels(clip.frames) == [8, 24]  # both are keyframes
    assert clip.decoded <= 4
    assert clip.length == 32


@pytest.mark.parametrize(("name", "codec"), [("long.mp4", "libx264"), ("long.mkv", "mpeg4")])
def test_of_a_long_clip_little_is_decoded_and_the_frames_are_those_of_decoding_all(
    tmp_path: Path, name: str, codec: str
) -> None:
    count, every, wanted = 600, 30, 8
    noise = np.random.default_rng(0).integers(0, 255, (6, 8 + count, 3), np.uint8)
    windows = [noise[:, place : place + 8] for place in range(count)]  # no two alike
    pictures = [Image.fromarray(one.copy()).resize((64, 48)) for one in windows]
    path = write_clip(tmp_path / name, codec=codec, keyframe_every=every, pictures=pictures)
    with av.open(str(path)) as container:
        everything = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    clip = read_clip(path, frames=wanted)
    centres = [(2 * place + 1) * count // (2 * wanted) for place in range(wanted)]
    assert len(everything) == clip.length == count
    assert clip.decoded <= wanted * every
    for place, frame in zip(centres, clip.frames, strict=True):
        np.testing.assert_array_equal(np.asarray(frame), everything[place])


def test_a_clip_says_how_long_it_is(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv"), frames=1)
    assert clip.length == 30
    assert clip.seconds == pytest.approx(3.0)
    assert read_clip(write_clip(tmp_path / "clip.h264"), frames=1).seconds is None


def test_a_clip_of_fewer_frames_repeats_some_and_no_two_share_memory(tmp_path: Path) -> None:
    frames = read_frames(write_clip(tmp_path / "clip.mp4", count=2), frames=4)
    assert levels(frames) == [0, 0, 1, 1]
    frames[0].putpixel((0, 0), (255, 0, 0))
    assert frames[1].getpixel((0, 0)) != (255, 0, 0)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mp4", count=1), frames=3)
    assert (levels(clip.frames), clip.decoded) == ([0, 0, 0], 1)


def test_of_a_variable_rate_the_times_count_and_not_the_numbers(tmp_path: Path) -> None:
    # Ten frames within a second, then one that stays for nine, then the last.
    times = [*range(11), 100]
    frames = read_frames(write_clip(tmp_path / "clip.mp4", count=12, times=times), frames=5)
    assert levels(frames) == [10, 10, 10, 10, 10]
    frames = read_frames(tmp_path / "clip.mp4", frames=10)
    assert levels(frames) == [5, *[10] * 9]


def test_an_animated_gif_is_a_clip_and_transparency_is_white() -> None:
    blank = Image.new("P", (20, 10), 0)
    blank.putpalette([200, 0, 0, 0, 0, 200])
    blank.info["transparency"] = 0
    grey = [Image.new("RGB", (20, 10), (8 * place,) * 3) for place in (0, 10, 20, 30)]
    assert levels(read_frames(gif(grey), frames=4)) == [0, 10, 20, 30]
    (first, _) = read_frames(gif([blank, Image.new("P", (20, 10), 1)]), frames=2)
    assert first.getpixel((5, 5)) == (255, 255, 255)


def corner(turned: Callable[[Image.Image], Image.Image] | None = None) -> Image.Image:
    """White in the top left quarter."""
    picture = Image.new("RGB", (64, 48), "black")
    picture.paste("white", (0, 0, 32, 24))
    return picture if turned is None else turned(picture)


# How x' = ax + cy and y' = bx + dy move a corner, worked out by hand from the file format.
MATRICES = {
    "as it is": ((1, 0, 0, 1), (64, 48), (0, 0)),
    "a quarter clockwise": ((0, 1, -1, 0), (48, 64), (1, 0)),
    "upside down": ((-1, 0, 0, -1), (64, 48), (1, 1)),
    "a quarter anticlockwise": ((0, -1, 1, 0), (48, 64), (0, 1)),
    "mirrored": ((-1, 0, 0, 1), (64, 48), (1, 0)),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_frames_are_turned_as_the_file_says(tmp_path: Path, kind: str) -> None:
    (a, b, c, d), size, (right, below) = MATRICES[kind]
    content = bytearray(write_clip(tmp_path / "clip.mp4", pictures=[corner()] * 3).read_bytes())
    matrix = content.index(b"tkhd") + 44
    one = 1 << 16
    struct.pack_into(
        ">9i", content, matrix, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30
    )
    (frame,) = read_frames(bytes(content), frames=1)
    assert frame.size == size
    bright = np.asarray(frame.convert("L")) > 128
    rows, columns = np.nonzero(bright)
    assert (columns.mean() > size[0] / 2, rows.mean() > size[1] / 2) == (right, below)
    assert bright.mean() == pytest.approx(0.25, abs=0.02)


def test_sound_alone_is_no_clip_even_with_a_cover(tmp_path: Path) -> None:
    expected = "has no moving pictures, only sound or a cover"
    assert problem(write_sound(tmp_path / "sound.mp4")) == expected
    assert problem(write_sound(tmp_path / "cover.mp4", cover=True)) == expected


def test_what_is_no_clip_says_what_it_is(tmp_path: Path) -> None:
    def saying(content: bytes) -> str:
        (tmp_path / "clip.mp4").write_bytes(content)
        return problem(tmp_path / "clip.mp4")

    assert saying(b"") == "the file is empty"
    assert saying(b"\n<!doctype html>").startswith("a web page")
    assert saying(bytes(4000)).startswith("nothing but zero bytes")
    assert saying(b"version https://git-lfs.github.com/spec/v1\noid").startswith("a Git LFS")
    assert saying(b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1/a.ts").startswith("a playlist")
    assert saying(b"ffconcat version 1.0\nfile /etc/passwd").startswith("damaged or truncated, or")
    assert problem(tmp_path / "none.mp4") == "no such file"
    assert problem(tmp_path) == "is a folder"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert problem(tmp_path / "pipe.mp4") == "is not a regular file"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.flv", "clip.avi"])
def test_a_file_that_ends_too_early_says_so(tmp_path: Path, name: str) -> None:
    whole = write_clip(tmp_path / name, codec="mpeg4" if name == "clip.avi" else "libx264")
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * 6 // 10])
    assert "truncated" in problem(whole)


def test_a_clip_without_frames_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", options={"movflags": "frag_keyframe+empty_moov"})
    assert levels(read_frames(path, frames=FRAMES)) == CENTRES
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moof") - 4])
    assert problem(path) == "has no frames"


def test_a_header_may_lie_about_the_duration(tmp_path: Path) -> None:
    content = bytearray(write_clip(tmp_path / "clip.mp4").read_bytes())
    for box, place in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        struct.pack_into(">I", content, content.index(box) + place, 0x7FFFFFFF)
    assert levels(read_frames(bytes(content), frames=FRAMES)) == CENTRES


@pytest.mark.parametrize("claimed", [(16, 16), (64, 48), (60_000, 60_000)])
def test_neither_the_header_nor_the_frames_may_pass_the_limit_of_pixels(
    tmp_path: Path, claimed: tuple[int, int]
) -> None:
    content = bytearray(write_clip(tmp_path / "clip.mp4").read_bytes())
    struct.pack_into(">HH", content, content.index(b"avc1", 100) + 28, *claimed)
    (tmp_path / "clip.mp4").write_bytes(content)
    assert problem(tmp_path / "clip.mp4", max_pixels=64 * 48 - 1)
    if claimed == (64, 48):
        assert len(read_frames(tmp_path / "clip.mp4", frames=1, max_pixels=64 * 48)) == 1


def test_a_clip_that_costs_too_much_is_given_up(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", keyframe_every=100)
    assert problem(path, max_decoded=20) == "needs more decoded frames than the limit of 20"
    assert "takes longer to read than the limit" in problem(path, max_seconds=0.0)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts", "clip.gif"])
def test_damage_anywhere_ends_soon_in_frames_or_in_one_line(tmp_path: Path, name: str) -> None:
    if name == "clip.gif":
        grey = [Image.new("RGB", (20, 10), (8 * place,) * 3) for place in range(9)]
        (tmp_path / name).write_bytes(gif(grey))
    else:
        write_clip(tmp_path / name, codec="mpeg4", size=(32, 32))
    whole = (tmp_path / name).read_bytes()
    draw = random.Random(name)
    began, outcomes = time.monotonic(), set()
    for _ in range(60):
        content = bytearray(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
        for _ in range(draw.choice([0, 1, 5, 50])):
            content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            outcomes.add(len(read_frames(bytes(content), frames=2, max_seconds=5)))
        except ImageError:
            outcomes.add(0)
    assert outcomes == {0, 2}
    assert time.monotonic() - began < 30


def test_the_error_survives_the_way_from_a_worker_process(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as error:
        read_frames(tmp_path / "none.mp4", frames=1)
    again = pickle.loads(pickle.dumps(error.value))
    assert (again.name, again.reason) == (str(tmp_path / "none.mp4"), "no such file")


def test_fewer_than_one_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="one frame or more, not as 0"):
        read_frames(b"", frames=0)


def test_without_pyav_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mplug\[video\]'"):
        read_frames(b"", frames=1)


def test_names_of_videos_are_told_from_names_of_pictures() -> None:
    assert all(is_video(name) for name in ("a.mp4", Path("b/c.WebM"), "d.tar.avi"))
    assert not any(is_video(name) for name in ("a.gif", "mp4", "b.png", "c.mp4.txt"))


def test_workers_forked_beside_a_read_clip_do_not_wait_for_its_threads(tmp_path: Path) -> None:
    """A clip's scaler has threads, which a forked worker that collects it would wait for."""
    path = tmp_path / "clip.mp4"
    write_clip(path)  # its encoder's scaler has threads, and is garbage now
    read_frames(path, frames=4)
    loader = Loader(
        Stills(), collate=collate, batch_size=2, seed=0, workers=1, timeout_seconds=20.0
    )
    assert len(list(loader.batches(steps=2))) == 2


class Stills:
    """Pictures whose reading collects garbage, as sooner or later every worker does."""

    def __len__(self) -> int:
        return 4

    def example(self, position: int, *, seed: int) -> Example:
        gc.collect()
        return Example(np.zeros((3, 8, 8), np.float32), [2, 3], position, position)
