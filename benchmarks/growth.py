"""How cost grows: captions, training steps and exact search, beside what the arithmetic says."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks import arithmetic, roof, systems
from benchmarks.harness import Curve, Rival, Table, Topic, counted, run_alone
from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.inference.index import search
from mplug.models.mplug import MPlug

HERE = "benchmarks.growth"
USUAL = {"batch": 1, "beams": 5, "words": 20, "side": 256}
AXES = {  # of captioning
    "batch": (1, 2, 4, 8),
    "beams": (1, 2, 5, 10),
    "words": (5, 10, 20, 40),
    "side": (128, 256, 384),
}
STEP = {"batch": 1, "words": 16}
STEPS = {"batch": (1, 2, 4), "words": (8, 16, 32, 64)}  # of training
DIM, TOP = 256, 10  # of search
GALLERY = (10_000, 100_000, 1_000_000)
Work = Callable[[], dict[str, float]]
Points = list[tuple[float, float]]
Axes = dict[str, list[dict[str, int]]]


def build_models(*, size: str, captions: Axes, steps: Axes) -> Work:
    """Captions, and training steps, in settings that differ along one axis at a time."""
    models: dict[int, MPlug] = {}

    def model_for(side: int) -> MPlug:
        if side not in models:
            torch.manual_seed(0)
            models[side] = MPlug(systems.config(size, side=side)).eval()
        return models[side]

    def work() -> dict[str, float]:
        found = {}
        for kind, once, axes in (("captions", _caption, captions), ("steps", _step, steps)):
            for axis, settings in axes.items():
                once(model_for(settings[0]["side"]), size, settings[0])  # to be warm
                for each in settings:
                    doing = partial(once, model_for(each["side"]), size, each)
                    found[f"{kind} {axis} {each[axis]}"] = _seconds(doing)
        return found

    return work


def _caption(model: MPlug, size: str, settings: dict[str, int]) -> None:
    words, side = settings["words"], settings["side"]
    way = GenerationConfig(beams=settings["beams"], min_tokens=words, max_tokens=words)
    prompt = torch.full((settings["batch"], 1), systems.CLS)
    with torch.inference_mode():
        memory = model.encode_image(torch.randn(settings["batch"], 3, side, side))
        generate(model.decoder, memory, prompt=prompt, end_id=systems.END, search=BeamSearch(way))


def _step(model: MPlug, size: str, settings: dict[str, int]) -> None:
    """Forward and backward of captioning: picture and caption to the loss's gradients."""
    model.zero_grad()
    batch, side = settings["batch"], settings["side"]
    ids, mask = systems.texts(size, lengths=[settings["words"]] * batch)
    memory = model.encode_image(torch.randn(batch, 3, side, side))
    loss = model.decode(ids, mask, memory).logsumexp(dim=-1).mean()
    loss.backward()  # type: ignore[no-untyped-call]


def build_search(*, sizes: list[int]) -> Work:
    """The `TOP` nearest of unit rows to one query, every row compared."""
    random = np.random.default_rng(0)
    rows = np.empty((max(sizes), DIM), dtype=np.float32)
    for start in range(0, len(rows), 100_000):  # so that no second copy is ever whole
        part = random.standard_normal(rows[start : start + 100_000].shape, dtype=np.float32)
        rows[start : start + 100_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    query = rows[7].copy()

    def work() -> dict[str, float]:
        return {
            str(count): _seconds(partial(search, rows[:count], query, top=TOP), times=5)
            for count in sizes
        }

    return work


def _seconds(work: Callable[[], object], *, times: int = 1) -> float:
    """The median of some runs."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return median(found)


def caption_gflop(size: str, settings: dict[str, int]) -> float:
    """Useful arithmetic of captions."""
    return arithmetic.captions(
        systems.config(size, side=settings["side"]),
        images=settings["batch"],
        beams=settings["beams"],
        written=settings["words"],
    )


def step_gflop(size: str, settings: dict[str, int]) -> float:
    """Three times the forward pass: the picture, its keys and values, and the caption over them."""
    sizes, batch = systems.config(size, side=settings["side"]), settings["batch"]
    tokens = arithmetic.image_tokens(sizes)
    forward = arithmetic.vision(sizes, images=batch)
    forward += arithmetic.memory(sizes, images=batch, tokens=tokens)
    forward += sum(
        arithmetic.words(sizes, rows=batch, behind=place, tokens=tokens)
        for place in range(settings["words"])
    )
    return 3 * forward


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How many times y doubles when x does once: the steepness in logarithms, by least squares."""
    x, y = (np.log(np.array(column)) for column in zip(*points, strict=True))
    return float(np.polyfit(x, y, 1)[0])


def _measured(title: str, factory: str, arguments: dict[str, Any]) -> Mapping[str, float]:
    """Seconds by setting, in a process of its own."""
    rival = Rival(title, HERE, factory, arguments, once=True)
    return counted(rival, threads=roof.THREADS, title=title)


def _curve(title: str, x: str, measured: Points, gflop: Points) -> tuple[Curve, list[str]]:
    """Both in one picture: the arithmetic is scaled to meet the first measured point."""
    scale = measured[0][1] / gflop[0][1]
    expected = [(place, scale * each) for place, each in gflop]
    curve = Curve(title, x, "seconds", {"measured": measured, "arithmetic": expected}, log=True)
    return curve, [title, f"{slope(gflop):.2f}", f"{slope(measured):.2f}"]


def topic(*, quick: bool) -> Topic:
    """Every axis in a process of its own."""
    size = "quick" if quick else "base"
    sides = (32, 64) if quick else AXES["side"]
    usual = USUAL | {"side": 64 if quick else USUAL["side"]}
    axes: dict[str, Axes] = {
        kind: {
            axis: [given | {axis: each} for each in (values[:2] if quick else values)]
            for axis, values in chosen.items()
        }
        for kind, given, chosen in (
            ("captions", usual, AXES | {"side": sides}),
            ("steps", STEP | {"side": usual["side"]}, STEPS),
        )
    }
    seconds = _measured("models", "build_models", {"size": size, **axes})
    titles = {"captions": "Captioning", "steps": "Training step (captioning)"}
    needed = {"captions": caption_gflop, "steps": step_gflop}
    found = [
        _curve(
            f"{title} against {axis}",
            axis,
            [(float(each[axis]), seconds[f"{kind} {axis} {each[axis]}"]) for each in settings],
            [(float(each[axis]), needed[kind](size, each)) for each in settings],
        )
        for kind, title in titles.items()
        for axis, settings in axes[kind].items()
    ]
    counts = (1000, 10_000) if quick else GALLERY
    times = _measured("search", "build_search", {"sizes": list(counts)})
    found.append(
        _curve(
            "Exact search against the gallery",
            "vectors",
            [(float(each), times[str(each)]) for each in counts],
            [(float(each), 2e-9 * each * DIM) for each in counts],
        )
    )
    return Topic(
        "growth",
        title="How cost grows",
        about="One axis at a time, all else as usual: a batch of "
        f"{usual['batch']}, {usual['beams']} beams, {usual['words']} words, {usual['side']} "
        "pixels; "
        f"search compares a query with unit rows of {DIM} numbers. A slope of 1 doubles the time "
        "where x doubles.",
        tables=[Table("Slopes", ["", "arithmetic", "measured"], [row for _, row in found])],
        curves=[curve for curve, _ in found],
    )


if __name__ == "__main__":
    run_alone(topic)
