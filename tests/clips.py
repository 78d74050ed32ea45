"""Little clips in which frame i is grey level 8 * i, so that a frame says which one it is."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

STEP = 8  # grey levels between frames
RATE = 10  # frames a second


def write_clip(
    path: Path,
    *,
    count: int = 30,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    keyframe_every: int = 10,
    times: Sequence[int] | None = None,
    pictures: Sequence[Image.Image] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip of grey frames, or of `pictures`; `times` are in tenths of a second."""
    pictures = pictures or [
        Image.new("RGB", size, (min(255, STEP * place),) * 3) for place in range(count)
    ]
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream: Any = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = pictures[0].size if pictures else size
        stream.pix_fmt = pixels
        stream.codec_context.gop_size = keyframe_every
        stream.codec_context.thread_count = 1
        for place, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = place if times is None else times[place]
            frame.time_base = Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, *, cover: bool = False) -> Path:
    """Write a second of silence, with a picture beside it that does not move."""
    with av.open(str(path), "w") as container:
        sound: Any = container.add_stream("aac", rate=8000, layout="mono")
        if cover:
            stream: Any = container.add_stream("png", rate=1)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
            stream.disposition = av.stream.Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 8000
        if cover:
            picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


def levels(frames: Sequence[Image.Image]) -> list[int]:
    """Which frames of a grey clip these are."""
    return [round(float(np.asarray(frame).mean()) / STEP) for frame in frames]


def gif(pictures: Sequence[Image.Image], *, milliseconds: int = 100) -> bytes:
    """An animated GIF."""
    file = BytesIO()
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, disposal=2
    )
    return file.getvalue()
