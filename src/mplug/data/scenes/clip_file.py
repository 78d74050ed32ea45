"""Writing clips as H.264 in MP4, through PyAV (extra `video`)."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from mplug.data.scenes.world import Pixels
from mplug.errors import DataError, need_extra

RATE = 8  # frames a second
QUALITY = "18"  # x264's constant rate factor: hardly to be told from the original


def write_clip(path: Path, frames: Pixels, *, rate: int = RATE) -> None:
    """Write RGB frames [frames, height, width, 3], the same bytes for the same frames.

    The folder is made where it does not exist.

    Raises:
        MissingExtraError: PyAV is not installed.
        DataError: the file cannot be written, or PyAV was built without H.264.
    """
    av = need_extra("av", extra="video")
    # H.264 halves the resolution of its colours, so it wants even sides: the edge is repeated.
    even = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    frames = np.pad(frames, even, mode="edge")
    options = {"crf": QUALITY, "threads": "1"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as file:
            stream = file.add_stream("libx264", rate=rate, options=options)
            stream.width, stream.height, stream.pix_fmt = (
                frames.shape[2],
                frames.shape[1],
                "yuv420p",
            )
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            for number, image in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                # Left to the encoder, this conversion gives other bytes now and then.
                frame = frame.reformat(format=stream.pix_fmt, threads=1)
                frame.pts, frame.time_base = number, Fraction(1, rate)
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the clip cannot be written: {error}") from error
