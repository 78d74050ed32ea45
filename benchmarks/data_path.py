"""From the bytes of a JPEG to the tensor that a model reads; and a loader that feeds a step."""

import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import roof, systems
from benchmarks.harness import Bar, Rival, Topic, compare, run_alone
from benchmarks.pictures import jpegs
from mplug.data.batch import collate
from mplug.data.dataset import RecordExamples
from mplug.data.loader import Loader
from mplug.data.media import load_scaled
from mplug.data.records import read_records
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import MEAN, STD, PretrainAugmentation, to_array
from mplug.weights import shipped

HERE = "benchmarks.data_path"
BAR, WAIT_PERCENT = 1.25, 2.0
SIZES = ((640, 480), (1600, 1200))
SIDE = 256
FED = 2  # pictures of a step
Work = Callable[[], dict[str, float]]


def build_ours(*, size: list[int], count: int) -> Work:
    """The path of `mplug.load(...)` and of evaluations."""
    files = jpegs(*size, count=count)

    def work() -> dict[str, float]:
        for file in files:
            to_array(load_scaled(file, side=SIDE).image, size=SIDE)
        return {"pictures": count}

    return work


def build_pillow(*, size: list[int], count: int) -> Work:
    """Decoded whole by Pillow, scaled by its bicubic filter, normalised with NumPy."""
    files = jpegs(*size, count=count)

    def work() -> dict[str, float]:
        for file in files:
            _plain(file)
        return {"pictures": count}

    return work


def _plain(file: bytes) -> np.ndarray:
    image = Image.open(BytesIO(file)).convert("RGB")
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    values = np.asarray(image, dtype=np.float32) / 255
    return np.ascontiguousarray(((values - MEAN) / STD).transpose(2, 0, 1))


def levels_apart(size: tuple[int, int]) -> tuple[float, float]:
    """The mean and the most by which a value differs from plain Pillow's, in 255 levels."""
    (file,) = jpegs(*size, count=1)
    ours = to_array(load_scaled(file, side=SIDE).image, size=SIDE)
    apart = np.abs(ours - _plain(file)) * STD[:, None, None] * 255
    return float(apart.mean()), float(apart.max())


def build_feeding(*, size: str, batch: int, steps: int, workers: int) -> Work:
    """Records' JPEGs, augmented as in pretraining, to a step: forward and backward of vision."""
    folder = Path(tempfile.mkdtemp())  # of the process, which keeps it while it lives
    for number, file in enumerate(jpegs(640, 480, count=16)):
        (folder / f"{number}.jpg").write_bytes(file)
    lines = [f'{{"image": "{number}.jpg", "caption": "a picture"}}\n' for number in range(16)]
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    model = systems.ours(size)
    side = model.config.vision.image_size
    examples = RecordExamples(
        read_records(folder / "records.jsonl").records,
        tokenizer=Tokenizer.load(shipped.folder()),
        image_size=side,
        max_words=20,
        augmentation=PretrainAugmentation(side),
    )

    def work() -> dict[str, float]:
        loader = Loader(
            examples, collate=collate, batch_size=batch, seed=0, workers=workers, pad_id=0
        )
        waited, begun, place = 0.0, 0.0, 0
        batches = loader.batches(steps=steps + 1)
        while True:
            asked = time.perf_counter()
            given = next(batches, None)
            now = time.perf_counter()
            if given is None:
                break
            if place:  # the first is waited for while the workers begin
                waited += now - asked
            else:
                begun = now
            model.zero_grad()
            loss = model.encode_image(given.pixels).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            place += 1
        return {"wait_percent": 100 * waited / (time.perf_counter() - begun)}

    return work


def topic(*, quick: bool) -> Topic:
    """Two sizes of pictures against plain Pillow, then the loader beside a step."""
    comparisons, bars, notes = [], [], []
    for size in SIZES:
        arguments = {"size": list(size), "count": 4 if quick else 40}
        name = f"JPEG of {size[0]} x {size[1]} to {SIDE} x {SIDE}"
        found = compare(
            [
                Rival("mplug", HERE, "build_ours", arguments),
                Rival("plain Pillow", HERE, "build_pillow", arguments),
            ],
            rounds=3 if quick else 9,
            threads=1,
            reference="plain Pillow",
            title=name,
        )
        comparisons.append(found)
        bars.append(Bar(f"data path, {name}", found["mplug"].ratio, at_least=BAR))
        mean, most = levels_apart(size)
        notes.append(
            f"{name}: a value differs from plain Pillow's by {mean:.2f} of 255 levels in the mean, "
            f"by {most:.0f} at most."
        )
    step: dict[str, Any] = {
        "size": "quick" if quick else "base",
        "batch": FED,
        "steps": 4 if quick else 6,
    }
    fed = compare(
        [
            Rival(f"{workers} workers", HERE, "build_feeding", step | {"workers": workers})
            for workers in (2, 0)
        ],
        rounds=2 if quick else 3,
        threads=roof.THREADS,
        reference="0 workers",
        title=f"Batches of {FED} augmented JPEGs to a step (the image encoder, there and back)",
    )
    waits = fed["2 workers"].counts["wait_percent"]
    bars.append(
        Bar(
            "the loader with 2 workers keeps a step fed",
            waits,
            at_most=WAIT_PERCENT,
            unit="% waited",
            binds=not quick,
            why="a step of the small model is too short to mean anything" if quick else "",
        )
    )
    return Topic(
        "data_path",
        title="Data path",
        about="Bytes of JPEG files to normalised tensors in one process by one bicubic filter. "
        "Large pictures are decoded at a half, a quarter or an eighth; the filter is torch's, "
        "which has vector instructions; values are looked up.",
        comparisons=[*comparisons, fed],
        bars=bars,
        notes=notes,
    )


if __name__ == "__main__":
    run_alone(topic)
