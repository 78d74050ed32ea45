"""Clips to a few RGB frames: at the centres of equal segments, whatever the codec; or one reason.

A clip is read twice. The first pass reads packets without decoding them, so that times and
keyframes are those of the clip and not what its header claims. The second decodes, and leaps to
the last keyframe before each frame that is wanted, in any container.

Only containers of `CONTAINERS` are opened: playlists and the like would open other files. The
number of pixels is checked from the header, and again by the decoder before it makes room for them.
"""

import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

from PIL import Image

from mplug.data.frame_times import Packet, Wanted, choose, counted, has_times, span
from mplug.data.media import ImageError, read_file
from mplug.errors import need_extra

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mxf", ".ogv"}
    | {".ts", ".webm", ".wmv"}
)
CONTAINERS = (
    "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,gif,apng,h264,hevc,obu,m4v,ivf,nut,mxf,rm,"
    "wtv,dv,yuv4mpegpipe"
)
# AVI keeps no times, and those that its reader makes up are wrong where frames are stored out of
# order.
TIMELESS = ("avi",)
MAX_PIXELS = 34_000_000  # of a frame: 8K
MAX_DECODED = 20_000  # frames
MAX_SECONDS = 60.0
BEGINNING = 512  # bytes
FOREIGN_BEGINNINGS = (
    (b"<", "a web page or other markup, not a video"),
    (b"#extm3u", "a playlist, which is not opened: name the video itself"),
    (b"version https://git-lfs", "a Git LFS pointer, not the video: run `git lfs pull`"),
)
TURNS = {  # by a, b, c, d of the display matrix: x' = ax + cy, y' = bx + dy
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
}
ONE = 1 << 16  # in a display matrix


class Clip(NamedTuple):
    """The frames asked for, upright RGB, and what the clip they come from is like."""

    frames: list[Image.Image]
    length: int  # frames in the clip
    seconds: float | None  # None where the clip keeps no times
    decoded: int  # frames that had to be decoded


def is_video(path: str | Path) -> bool:
    """Whether a file's name says so; what it is shows when it is read."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def read_frames(source: str | Path | bytes, *, frames: int, **limits: Any) -> list[Image.Image]:
    """The frames of `read_clip`, which has the same limits and errors."""
    return read_clip(source, frames=frames, **limits).frames


def read_clip(
    source: str | Path | bytes,
    *,
    frames: int,
    max_pixels: int = MAX_PIXELS,
    max_decoded: int = MAX_DECODED,
    max_seconds: float = MAX_SECONDS,
    name: str | None = None,
) -> Clip:
    """What shows at the centres of `frames` equal segments of a clip, by its times if it has any.

    `source` is a path or the bytes of a file; an animated GIF is a clip too. A clip of fewer
    frames repeats some. Frames are turned and mirrored as the file says; transparency is white.
    `name` is what errors call the clip; a path names itself.

    Raises:
        ImageError: names the clip and says what is wrong with it, or which limit it passed.
        MissingExtraError: PyAV is not installed.
        ValueError: fewer than one frame is asked for.
    """
    if frames < 1:
        raise ValueError(f"a clip is read as one frame or more, not as {frames}")
    av = need_extra("av", extra="video")
    limits = _Limits(max_pixels, max_decoded, max_seconds)

    def read(file: IO[bytes], name: str) -> Clip:
        with _named_errors(av, name):
            return _Reading(av, limits).clip(file, frames=frames)

    if isinstance(source, bytes):
        return read(BytesIO(source), name or "the video")
    return read_file(Path(source), read, name=name)


class _Refused(Exception):
    """A reason of our own, on its way to becoming an `ImageError`."""


@contextmanager
def _named_errors(av: Any, name: str) -> Iterator[None]:
    try:
        yield
    except _Refused as refused:
        raise ImageError(name, str(refused)) from None
    except av.error.ExitError as error:
        raise ImageError(name, _Limits.TOO_SLOW) from error
    except Exception as error:  # on damaged files PyAV raises nearly every kind there is
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(name, f"damaged ({reason})") from error


@dataclass
class _Limits:
    """How much one clip may cost."""

    max_pixels: int
    max_decoded: int
    max_seconds: float
    decoded: int = 0
    started: float = field(default_factory=time.monotonic)

    TOO_SLOW = "takes longer to read than the limit allows"

    def check_time(self) -> None:
        if time.monotonic() - self.started > self.max_seconds:
            raise _Refused(f"{self.TOO_SLOW}, {self.max_seconds:g} seconds")

    def check_frame(self, frame: Any) -> None:
        self.check_time()
        self.check_pixels(frame.width, frame.height)
        self.decoded += 1
        if self.decoded > self.max_decoded:
            raise _Refused(f"needs more decoded frames than the limit of {self.max_decoded:,}")

    def check_pixels(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            limit = f"the limit of {self.max_pixels:,}"
            raise _Refused(f"too many pixels: {width} x {height} is more than {limit}")


@dataclass
class _Reading:
    """Both passes over one file."""

    av: Any
    limits: _Limits

    def clip(self, file: IO[bytes], *, frames: int) -> Clip:
        if not file.read(1):
            raise _Refused("the file is empty")
        with self._opened(file) as (container, stream):
            packets = list(self._packets(container, stream))
            timed = container.format.name not in TIMELESS and has_times(packets)
            unit = stream.time_base
        if not packets:
            raise _Refused("has no frames")
        packets = packets if timed else counted(packets)
        wanted = choose(packets, frames=frames)
        with self._opened(file) as (container, stream):
            stored = self._stored(container, stream)
            decoding = _Decoding(self.av, stored, stream.codec_context, self.limits, timed=timed)
            found = {one: _upright(decoding.frame(one)) for one in dict.fromkeys(wanted)}
        begin, end = span(packets)
        return Clip(
            frames=[found[one].copy() for one in wanted],
            length=sum(one.is_shown for one in packets),
            seconds=float((end - begin) * unit) if timed else None,
            decoded=self.limits.decoded,
        )

    @contextmanager
    def _opened(self, file: IO[bytes]) -> Iterator[tuple[Any, Any]]:
        """The container and its first stream that moves: a song's cover does not."""
        file.seek(0)
        most = str(self.limits.max_pixels)
        options = {"format_whitelist": CONTAINERS, "max_pixels": most, "threads": "1"}
        try:
            container = self.av.open(
                file, options=options, metadata_errors="replace", timeout=self.limits.max_seconds
            )
        except self.av.error.ExitError:
            raise
        except self.av.error.FFmpegError:
            file.seek(0)
            raise _Refused(_what_it_is(file.read(BEGINNING))) from None
        with container:
            cover = self.av.stream.Disposition.attached_pic
            streams = [one for one in container.streams.video if not one.disposition & cover]
            if not streams:
                if container.streams.audio or container.streams.video:
                    raise _Refused("has no moving pictures, only sound or a cover")
                raise _Refused("damaged or truncated: nothing in it can be shown")
            codec = streams[0].codec_context
            if codec is None:
                raise _Refused("its codec is none that PyAV can decode")
            self.limits.check_pixels(codec.width, codec.height)
            codec.options = {"max_pixels": most}
            codec.thread_count = 1  # many clips are read at once, each in a process of its own
            yield container, streams[0]

    def _packets(self, container: Any, stream: Any) -> Iterator[Packet]:
        last = None
        for last in self._stored(container, stream):
            shown = not last.is_discard
            yield Packet(last.pts, last.duration or 0, last.is_keyframe, shown)
        if last is not None and last.is_corrupt:
            raise _Refused("truncated: the file ends too early")

    def _stored(self, container: Any, stream: Any) -> Iterator[Any]:
        for packet in container.demux(stream):
            self.limits.check_time()
            if packet.size:  # the last one is an empty mark
                yield packet


def _what_it_is(beginning: bytes) -> str:
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, reason in FOREIGN_BEGINNINGS:
        if start.startswith(magic):
            return reason
    if not beginning.strip(b"\0"):
        return "nothing but zero bytes: an interrupted download?"
    return "damaged or truncated, or not a video of a kind that is opened"


@dataclass
class _Decoding:
    """Decodes forwards, and passes over what nobody wants."""

    av: Any
    packets: Iterator[Any]
    codec: Any
    limits: _Limits
    timed: bool
    read: int = 0  # packets
    place: int = -1  # of the current frame
    current: Any = None
    ready: deque[Any] = field(default_factory=deque)
    damaged: bool = False

    def frame(self, wanted: Wanted) -> Any:
        """The frame shown at a place or the first after it, or else the last there is."""
        if wanted.start > self.read:
            self._leap(wanted.start)
        while self.current is None or self.place < wanted.place:
            if not self._advance():
                break
        lost = self.timed and self.damaged and self.place != wanted.place
        if self.current is None or self.current.is_corrupt or lost:
            raise _Refused("damaged: some of its frames cannot be decoded")
        return self.current

    def _leap(self, start: int) -> None:
        while self.read < start and next(self.packets, None) is not None:
            self.read += 1
        self.codec.flush_buffers()
        self.ready.clear()
        self.current, self.place, self.damaged = None, start - 1, False

    def _advance(self) -> bool:
        """Move to the next frame; False at the end of the clip."""
        while not self.ready:
            packet = next(self.packets, None)
            self.read += 1
            try:
                self.ready.extend(self.codec.decode(packet))
            except self.av.error.InvalidDataError:  # what follows may be whole
                self.damaged = True
            except EOFError:  # asked again after its end
                return False
            if packet is None and not self.ready:
                return False
        self.current = self.ready.popleft()
        self.limits.check_frame(self.current)
        if not self.timed:
            self.place += 1
        elif self.current.pts is not None:
            self.place = self.current.pts
        return True


def _upright(frame: Any) -> Image.Image:
    turn = _turn(frame)
    if any(part.is_alpha for part in frame.format.components):
        drawn = Image.fromarray(frame.reformat(format="rgba", threads=1).to_ndarray())
        drawn = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    else:
        drawn = Image.fromarray(frame.reformat(format="rgb24", threads=1).to_ndarray())
    return drawn if turn is None else drawn.transpose(turn)


def _turn(frame: Any) -> Image.Transpose | None:
    """What the display matrix asks for; None where it asks for nothing, or for no right angle."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return TURNS.get(tuple(round(one / ONE) for one in (a, b, c, d)))
