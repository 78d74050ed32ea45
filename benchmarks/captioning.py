"""Captions by beam search: ours, BLIP's `generate`, and our own decoder without a cache."""

from collections.abc import Callable

import torch

from benchmarks import arithmetic, roof, systems
from benchmarks.harness import Bar, Comparison, Rival, Topic, compare, run_alone
from benchmarks.twins import Uncached
from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate

HERE = "benchmarks.captioning"
BEAMS, WORDS = 5, 20
BARS = {"fp32": (1.5, 2.1), "bf16": (2.8, 3.6), "int8": (4.0, 6.0)}  # bar and stretch
ROUTED = 1.7  # the bar of float32 where oneDNN was measured to pay
Work = Callable[[], dict[str, float]]


def build_ours(*, size: str, batch: int, precision: str) -> Work:
    """From pixels to ids by the shared cache."""
    model, pixels = systems.ours(size, precision=precision), systems.pixels(size, images=batch)
    gflop = arithmetic.captions(model.config, images=batch, beams=BEAMS, written=WORDS)

    def work() -> dict[str, float]:
        with torch.inference_mode():
            written = _write(model.decoder, model.encode_image(pixels))
        return {"gflop": gflop, "words": written, "routed": systems.routed(model)}

    return work


def build_twin(*, size: str, batch: int) -> Work:
    """The same search over a decoder that keeps nothing."""
    model, pixels = systems.ours(size), systems.pixels(size, images=batch)

    def work() -> dict[str, float]:
        with torch.inference_mode():
            written = _write(Uncached(model.decoder), model.encode_image(pixels))
        return {"words": written}

    return work


def _write(decoder: object, memory: torch.Tensor) -> float:
    """How many words each text has; every one is forced to the same number."""
    search = BeamSearch(GenerationConfig(beams=BEAMS, min_tokens=WORDS, max_tokens=WORDS))
    prompt = torch.full((len(memory), 1), systems.CLS)
    found = generate(decoder, memory, prompt=prompt, end_id=systems.END, search=search)  # type: ignore[arg-type]
    (length,) = {len(texts[0].ids) - 1 for texts in found}
    return length


def build_blip(*, size: str, batch: int) -> Work:
    """The public call, with the same number of words forced."""
    model = systems.blip(size, kind="BlipForConditionalGeneration")
    pixels = systems.pixels(size, images=batch)
    forced = {"num_beams": BEAMS, "min_new_tokens": WORDS, "max_new_tokens": WORDS}

    def work() -> dict[str, float]:
        with torch.inference_mode():
            ids = model.generate(pixel_values=pixels, **forced)
        return {"words": ids.shape[1] - 1}

    return work


def build_vision(*, size: str, batch: int) -> Work:
    """Our image encoder alone."""
    model, pixels = systems.ours(size), systems.pixels(size, images=batch)
    gflop = arithmetic.vision(model.config, images=batch)

    def work() -> dict[str, float]:
        with torch.inference_mode():
            model.encode_image(pixels)
        return {"gflop": gflop}

    return work


def build_blip_vision(*, size: str, batch: int) -> Work:
    """BLIP's image encoder alone."""
    model = systems.blip(size, kind="BlipForConditionalGeneration").vision_model
    pixels = systems.pixels(size, images=batch)
    gflop = arithmetic.vision(systems.config(size), images=batch)

    def work() -> dict[str, float]:
        with torch.inference_mode():
            model(pixel_values=pixels)
        return {"gflop": gflop}

    return work


def _vision(size: str, *, rounds: int) -> Comparison:
    arguments = {"size": size, "batch": 4}
    rivals = [
        Rival("BLIP", HERE, "build_blip_vision", arguments),
        Rival("mplug fp32", HERE, "build_vision", arguments),
        *roof.rivals("fp32", quick=False),
    ]
    title = "The vision part, batch 4"
    return compare(rivals, rounds=rounds, threads=roof.THREADS, reference="BLIP", title=title)


def topic(*, quick: bool) -> Topic:
    """Batches of 4 and 1, every precision, and the vision part."""
    size, rounds = ("quick", 2) if quick else ("base", 5)
    found, bars = [], []
    for batch in (1,) if quick else (4, 1):
        rivals = [Rival("BLIP", HERE, "build_blip", {"size": size, "batch": batch})]
        for precision in BARS:
            arguments = {"size": size, "batch": batch, "precision": precision}
            once = not (quick or roof.has_hardware(precision))
            rivals.append(Rival(f"mplug {precision}", HERE, "build_ours", arguments, once=once))
        rivals += roof.rivals(quick=quick)
        if batch == 1:
            arguments = {"size": size, "batch": batch}
            twin = Rival("mplug without cache", HERE, "build_twin", arguments, once=not quick)
            rivals.append(twin)
        title = f"Captions, batch {batch}, beam {BEAMS}, {WORDS} words"
        one = compare(rivals, rounds=rounds, threads=roof.THREADS, reference="BLIP", title=title)
        found.append(one)
        for precision, (least, stretch) in BARS.items():
            value = one[f"mplug {precision}"].ratio
            if one[f"mplug {precision}"].counts["routed"]:
                least = ROUTED
            work = f"captions, batch {batch}, {precision}, against BLIP"
            bar = Bar(work, value, at_least=least, stretch=stretch)
            bars.append(roof.binding(bar, precision=precision))
    if not quick:
        found.append(_vision(size, rounds=rounds))
        for work, share, least in (
            ("vision part, batch 4, share of the roof, fp32", found[-1].of_roof("mplug fp32"), 70),
            ("captions, batch 4, share of the roof, fp32", found[0].of_roof("mplug fp32"), 60),
        ):
            bars.append(Bar(work, 100 * share, stretch=least, unit="%"))
    return Topic(
        "captioning",
        title="Captions",
        about=f"Pixels to ids: ViT-B/16 at 256 px and a 12-layer decoder, beam {BEAMS}, every text "
        f"forced to {WORDS} words; random weights of equal sizes. BLIP is `transformers`' "
        "`BlipForConditionalGeneration.generate`; the twin without a cache reads all words again "
        "at every step, each beam its own copy of the image.",
        comparisons=found,
        bars=bars,
    )


if __name__ == "__main__":
    run_alone(topic)
