"""Files that benchmarks read: pictures with the spectrum of photographs, and clips of them."""

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RATE = 25  # frames a second


def natural(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Noise whose amplitudes fall with the frequency, as those of photographs do."""
    random = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1
    turns = random.random((3, *frequency.shape))
    planes = np.fft.irfft2(np.exp(2j * np.pi * turns) / frequency, s=(height, width))
    values = 120 + 50 * planes / planes.std()
    return Image.fromarray(values.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


def jpegs(width: int, height: int, *, count: int) -> list[bytes]:
    """Different pictures as the bytes of files."""
    files = []
    for seed in range(count):
        file = BytesIO()
        natural(width, height, seed=seed).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def write_clip(path: Path, *, seconds: int, size: tuple[int, int], keyframe_every: int) -> None:
    """H.264: a window that slides over a picture."""
    import av

    whole = np.asarray(natural(size[0] + 256, size[1], seed=1))
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        for number in range(seconds * RATE):
            left = abs(number % 512 - 256)
            window = np.ascontiguousarray(whole[:, left : left + size[0]])
            frame = av.VideoFrame.from_ndarray(window, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
