"""Precision: what bfloat16 and int8 cost in quality, and what float32 through oneDNN would gain.

    python -m benchmarks.precision [--quick] [--out DIR]

mplug-tiny on held-out scenes: the same pictures, questions and phrases in every precision.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.harness import Bar, Table, Topic, run_alone
from mplug.metrics import bootstrap

MEASURES = ("CIDEr-D", "VQA accuracy", "R@1", "Acc@0.5")
MAY_LOSE = {"bfloat16": 1.0, "int8": 2.0}  # percent of float32's figure
SPLIT: Literal["training_artists"] = "training_artists"
SCENES, QUICK_SCENES = 500, 40
LEAST_ASKED = 500  # of fewer scenes no balanced questions can be asked
ROUNDS = 9
# Rows, width in and width out of the base model's products.
SHAPES = {
    "decoder, 20 rows": (20, 768, 768),
    "decoder feed-forward, 20 rows": (20, 768, 3072),
    "decoder feed-forward back, 20 rows": (20, 3072, 768),
    "vocabulary, 20 rows": (20, 768, 30522),
    "vision, one picture": (257, 768, 768),
    "vision feed-forward, one picture": (257, 768, 3072),
    "vision feed-forward back, one picture": (257, 3072, 768),
}

Values = Mapping[str, np.ndarray]
"""Of each measure one value a caption, question, query or phrase."""


class Held(NamedTuple):
    """Scenes that training lacks, and what is asked of them."""

    gallery: Any
    questions: Any
    phrases: Any


def topic(*, quick: bool) -> Topic:
    """Quality in three precisions, and the two libraries' float32."""
    scenes = QUICK_SCENES if quick else SCENES
    held = held_out(scenes)
    found = {each: qualities(held, precision=each) for each in ("float32", *MAY_LOSE)}
    bars = [
        Bar(
            f"{measure}, loss in {precision}",
            loss(found["float32"][measure], found[precision][measure]),
            at_most=most,
            unit="%",
            binds=not quick,
            why="too few scenes to tell" if quick else "",
        )
        for precision, most in MAY_LOSE.items()
        for measure in MEASURES
    ]
    products, notes = float32_products(quick=quick)
    return Topic(
        "precision",
        title="Precision",
        about=f"mplug-tiny on {scenes} held-out scenes of the artists it trained on, in every "
        "precision: the same pictures, questions and phrases. Changes are shares of float32's "
        "figure, with the 95% interval of the difference over scenes.",
        bars=bars,
        tables=[_quality_table(found), products],
        notes=[*_hardware(), *notes],
    )


def held_out(scenes: int) -> Held:
    """The gallery, the questions and the phrases; the same for every precision."""
    from mplug.config.load import load_config
    from mplug.tasks.evaluation import Gallery
    from mplug.tasks.scene_evaluation import held_out_asks
    from mplug.weights import shipped

    config: Any = load_config(shipped.stages(shipped.folder())[-1])
    world, size = config.data.scenes, config.model.vision.image_size
    gallery = Gallery.held_out(world, split=SPLIT, image_size=size, count=scenes)
    count = max(scenes, LEAST_ASKED)
    asked = held_out_asks(
        world, split=SPLIT, image_size=size, count=count, tasks=("answer", "ground")
    )
    return Held(gallery, *(replace(each, posed=each.posed[:: count // scenes]) for each in asked))


def qualities(held: Held, *, precision: str) -> Values:
    """Every measure's values, of the model loaded in this precision."""
    import mplug
    from mplug.data.scenes.stream import to_pixels
    from mplug.metrics import cider_d, exact_accuracy, grounding_accuracy
    from mplug.metrics.captions import simple_tokens
    from mplug.metrics.retrieval import ground_truth, hits
    from mplug.tasks.asker import Asker
    from mplug.tasks.observer import Observer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about hardware: the page says it
        model = mplug.load("mplug-tiny", device="cpu", precision=precision)
    observer = Observer(model.network, model.tokenizer)
    scenes = held.gallery.scenes
    images = observer.images(np.stack([to_pixels(each.scene.image) for each in scenes]))
    table = observer.similarity(images, observer.texts(held.gallery.captions))
    right = ground_truth(np.arange(len(table)), images=len(table))
    said = observer.captions(images, generation=model.generation)
    references = [[simple_tokens(text) for text in each.references] for each in scenes]
    asker = Asker(observer, model.generation)
    answers = asker.answers(
        observer.images(held.questions.pixels), [each.ask for each in held.questions.posed]
    )
    boxes = asker.boxes(
        observer.images(held.phrases.pixels), [each.ask for each in held.phrases.posed]
    )
    true = [np.array(each.boxes) for each in held.phrases.posed]
    return {
        "CIDEr-D": np.asarray(cider_d([simple_tokens(text) for text in said], references)),
        "VQA accuracy": exact_accuracy(
            answers, [each.right for each in held.questions.posed]
        ).per_item,
        "R@1": (hits(table, right, k=1) + hits(table.T, right, k=1)) / 2,
        "Acc@0.5": grounding_accuracy(np.array(boxes), true).found.astype(float),
    }


def loss(full: np.ndarray, low: np.ndarray) -> float:
    """How much of the full figure is lost, in percent; a gain is negative."""
    return 100 * (1 - float(low.mean()) / float(full.mean()))


def change(full: np.ndarray, low: np.ndarray) -> str:
    """The change in percent of the full figure, and its 95% interval."""
    parts = [bootstrap.mean_parts(values) for values in (low, full)]
    bounds = bootstrap.difference(*parts)
    scale = 100 / float(full.mean())
    inner = f"{scale * bounds.low:+.1f} to {scale * bounds.high:+.1f}"
    return f"{low.mean():.4f} ({-loss(full, low):+.2f}%; {inner})"


def _quality_table(found: Mapping[str, Values]) -> Table:
    full = found["float32"]
    rows = [
        [
            measure,
            f"{full[measure].mean():.4f}",
            *(change(full[measure], found[each][measure]) for each in MAY_LOSE),
        ]
        for measure in MEASURES
    ]
    may = [f"{each} (may lose {most:g}%)" for each, most in MAY_LOSE.items()]
    return Table("Quality of mplug-tiny", ["", "float32", *may], rows)


def float32_products(*, quick: bool) -> tuple[Table, list[str]]:
    """The products of the model's shapes by torch's own choice and by oneDNN with packed weights.

    In processor time of one process, by turns; the difference is the largest of any sum.
    """
    import torch
    from torch.nn.functional import linear

    generator = torch.Generator().manual_seed(0)
    operators: Any = torch.ops.mkldnn
    rows, ratios = [], []
    for name, (places, inner, columns) in SHAPES.items():
        x = torch.randn(places, inner, generator=generator)
        weight = torch.randn(columns, inner, generator=generator) / inner**0.5
        bias = torch.randn(columns, generator=generator)
        packed = operators._reorder_linear_weight(weight, places)
        ways: list[Callable[[], Any]] = [
            partial(linear, x, weight, bias),
            partial(operators._linear_pointwise, x, packed, bias, "none", [], ""),
        ]
        with torch.no_grad():
            difference = float((ways[0]() - ways[1]()).abs().max())
            seconds = _by_turns(ways, rounds=3 if quick else ROUNDS)
        gflop = 2e-9 * places * inner * columns
        ratio = median(ours / other for ours, other in zip(*seconds, strict=True))
        ratios.append(ratio)
        rates = [f"{gflop / median(each):.0f}" for each in seconds]
        rows.append([name, *rates, f"{ratio:.2f}", f"{difference:.1e}"])
    header = ["float32", "torch, GFLOP/s", "oneDNN, GFLOP/s", "oneDNN is faster by", "differs by"]
    note = (
        f"oneDNN is {min(ratios):.2f} to {max(ratios):.2f} times as fast as what torch chooses, "
        "shape by shape: it pays for the few rows of a decoder's step, not for whole pictures. "
        "`mplug.nn.routing` measures it layer by layer, and takes it only where it is faster and "
        "equal."
    )
    return Table("Float32 through oneDNN", header, rows), [note]


def _by_turns(ways: Sequence[Callable[[], Any]], *, rounds: int) -> list[list[float]]:
    """Processor seconds of each way in each round, of about 50 ms a turn."""
    begun = time.process_time()
    ways[0]()
    times = max(1, round(0.05 / max(time.process_time() - begun, 1e-6)))
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, taken in zip(ways, seconds, strict=True):
            begun = time.process_time()
            for _ in range(times):
                way()
            taken.append((time.process_time() - begun) / times)
    return seconds


def _hardware() -> list[str]:
    """What this processor lacks, and what is done instead."""
    from mplug.nn.precision import has_bfloat16, has_int8

    notes = []
    if not has_bfloat16("cpu"):
        notes.append(
            "No hardware for bfloat16 here: its rounding of weights, inputs and outputs is "
            "imitated in float32. Quality is what such hardware gives, up to the last bit."
        )
    if not has_int8():
        notes.append(
            "No VNNI here: int8 weights keep 7 bits, so that sums of pairs fit 16 bits. "
            "Processors with VNNI use 8 bits, and lose less."
        )
    return notes


if __name__ == "__main__":
    run_alone(topic)
