"""One step of pretraining at base size: the four losses, the teacher, the update."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import roof, systems
from benchmarks.harness import Bar, Comparison, Rival, Table, Topic, compare, run_alone
from mplug.config.schema import ObjectivesConfig, OptimConfig, TrainConfig
from mplug.data.batch import Batch
from mplug.models.mplug import MPlug
from mplug.nn.cost import multiply_adds
from mplug.tasks.pretrain import Pretraining
from mplug.tasks.words import Words
from mplug.training import loop
from mplug.training.distributed import Processes
from mplug.training.interrupts import Interrupts
from mplug.training.memory import keep_freed_memory
from mplug.training.run import RunDirectory

HERE = "benchmarks.training_step"
BATCH, LENGTH = 4, 30  # pairs, and tokens of every caption with its ends
# Steps a turn, as a run makes them: the first finds its memory as another's turn left it.
IN_A_ROW = 3
SMALL = {"batch": 1, "side": 96}  # what is left of a step where bf16 has no instructions
STEP = 1000  # targets are softened in full from here on, and no blind values are measured
ORIGINAL_GFLOP = 427.0  # of an image, as the original code does a step
Work = Callable[[], dict[str, float]]


class Stopwatch:
    """Seconds spent in some functions of the step."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, owner: Any, name: str) -> None:
        """Count the time of `owner.name` from now on."""
        work = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - begun

        setattr(owner, name, watched)


def pairs(size: str, *, batch: int, side: int | None = None) -> Batch:
    """Random pictures with captions of one length, all different."""
    ids, mask = systems.texts(size, lengths=[LENGTH] * batch)
    ids[:, -1] = systems.END
    own = torch.arange(batch)
    pixels = systems.pixels(size, images=batch, side=side)
    return Batch(pixels, ids, mask, image_ids=own, caption_ids=own)


def words(vocab_size: int) -> Words:
    """Ids from `systems.FIRST_WORD` on are words."""
    places = torch.arange(vocab_size)
    ordinary = places >= systems.FIRST_WORD
    return Words(0, systems.END, systems.MASK, places[ordinary], ordinary)


def engine(size: str, *, batch: int, precision: str, side: int | None = None) -> loop.Engine[Batch]:
    """A run that is about to make its first update; nothing is written."""
    config = systems.config(size, side=side)
    optim = OptimConfig(steps=2 * STEP, batch_size=batch, precision=precision)  # type: ignore[arg-type]
    torch.manual_seed(0)
    task = Pretraining(
        MPlug(config),
        objectives=ObjectivesConfig(),
        optim=optim,
        words=words(config.text.vocab_size),
        longest=LENGTH,
        seed=0,
        processes=Processes(),
        validation=list,
    )
    settings = TrainConfig(blind_every=STEP + 1)
    run = RunDirectory(Path("no-run"))
    made = loop.Engine(task, optim=optim, settings=settings, run=run, processes=Processes())
    made.task.train()
    return made


def build(
    *,
    size: str,
    batch: int,
    precision: str,
    count: bool = False,
    side: int | None = None,
    steps: int = 1,
) -> Work:
    """The update as a run makes it, `steps` in a row.

    With `count` the first, which nobody times, counts its arithmetic.
    """
    keep_freed_memory()
    made = engine(size, batch=batch, precision=precision, side=side)
    given, asked = pairs(size, batch=batch, side=side), Interrupts()
    counts: dict[str, float] = {}
    watch = Stopwatch()
    for owner, name in (
        (made.task, "before_step"),
        (made.optimizer, "step"),
        (loop, "gradient_norm"),
        (loop, "clip_gradients"),
    ):
        watch.watch(owner, name)

    def update() -> None:
        made.progress.step = STEP  # the same draws in every round
        made.update(iter([given]), asked)

    def work() -> dict[str, float]:
        if count and not counts:
            counts["gflop"] = 2e-9 * multiply_adds(update)
        watch.seconds, begun = 0.0, time.perf_counter()
        for _ in range(steps):
            update()
        share = watch.seconds / (time.perf_counter() - begun)
        return counts | {"percent in optimiser and teacher": 100 * share}

    return work


def topic(*, quick: bool) -> Topic:
    """Both precisions, against the roof of the same run."""
    size, rounds = ("quick", 2) if quick else ("base", 5)
    emulated = not (quick or roof.has_hardware("bf16"))
    whole = {"size": size, "batch": BATCH, "steps": 1 if quick else IN_A_ROW}
    rivals = [_rival("fp32", whole, count=True)]
    if not emulated:
        rivals.append(_rival("bf16", whole, count=True))
    told = [p for p in ("fp32", "bf16") if roof.has_hardware(p)]
    found = compare(
        [*rivals, *roof.rivals(*told, quick=quick)],
        rounds=rounds,
        threads=roof.THREADS,
        reference="step fp32",
        title=f"A step of pretraining, batch {BATCH}",
    )
    comparisons = [found, _small(size)] if emulated else [found]
    return Topic(
        "training_step",
        title="A step of pretraining",
        about=f"The four losses, a teacher and the update, of {BATCH} pairs with captions of "
        f"{LENGTH} tokens; ViT-B/16 at 256 px, six layers of text, six of fusion, twelve of the "
        "decoder, dropout as the recipe has it, no checkpointing. Arithmetic is counted in a step: "
        "all matrix products it does, the teacher's among them. "
        f"A turn is {IN_A_ROW} steps in a row.",
        comparisons=comparisons,
        bars=_bars(found, bf16=comparisons[-1]),
        tables=[_against_original(found)],
        notes=[
            "This processor has no instructions for bf16, and a step without them takes minutes: "
            f"both precisions met over {SMALL['batch']} pair with a picture of {SMALL['side']} px."
        ]
        if emulated
        else [],
    )


def _rival(precision: str, step: dict[str, Any], *, count: bool = False) -> Rival:
    named = {"fp32": "float32", "bf16": "bfloat16"}[precision]
    arguments = {**step, "precision": named, "count": count}
    share = float(step.get("steps", 1))
    return Rival(f"step {precision}", HERE, "build", arguments, share=share)


def _small(size: str) -> Comparison:
    """Both precisions where bf16 is emulated, which ran once."""
    step = {"size": size, **SMALL}
    return compare(
        [_rival("fp32", step), replace(_rival("bf16", step), once=True)],
        rounds=3,
        threads=roof.THREADS,
        reference="step fp32",
        title=f"A step over {SMALL['batch']} pair with a picture of {SMALL['side']} px",
    )


def _bars(found: Comparison, *, bf16: Comparison) -> list[Bar]:
    step = found["step fp32"]
    inside = step.counts["percent in optimiser and teacher"]
    bars = [
        Bar(
            "training step, arithmetic's share of the roof, fp32",
            100 * found.of_roof("step fp32"),
            at_least=57,
            stretch=70,
            unit="%",
        ),
        Bar(
            "training step, the original's arithmetic in that time, share of the roof, fp32",
            100 * BATCH * ORIGINAL_GFLOP / step.median / found["roof fp32"].rate,
            at_least=57,
            stretch=70,
            unit="%",
        ),
        Bar("training step, peak memory", step.peak_mb / 1000, at_most=8.5, unit="GB"),
        Bar(
            "training step, optimiser and teacher's share",
            inside,
            at_most=5,
            stretch=3,
            unit="%",
        ),
    ]
    ratio = Bar(
        "training step, bf16 autocast against fp32",
        bf16["step bf16"].ratio,
        at_least=1.7,
        stretch=2,
    )
    return [*bars, roof.binding(ratio, precision="bf16")]


def _against_original(found: Comparison) -> Table:
    """What a step does, beside what the original code would do for as many images."""
    step, limit = found["step fp32"], found["roof fp32"].rate
    original = BATCH * ORIGINAL_GFLOP
    return Table(
        "The arithmetic of a step, fp32",
        ["", "GFLOP", "at the roof, s", "share of the roof in the step's time"],
        [
            [name, f"{gflop:.0f}", f"{gflop / limit:.2f}", f"{gflop / step.median / limit:.0%}"]
            for name, gflop in (
                ("as it is done", step.counts["gflop"]),
                ("as the original does it", original),
            )
        ],
    )


if __name__ == "__main__":
    run_alone(topic)
