"""Matching scores of one image with 32 texts, and the other way round."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks import arithmetic, roof, systems
from benchmarks.harness import Bar, Comparison, Rival, Topic, compare, counted, run_alone
from benchmarks.twins import projecting
from mplug.inference.pairs import match_pairs
from mplug.inference.texts import encode_texts
from mplug.models.mplug import MPlug

HERE = "benchmarks.reranking"
LENGTHS = [8 + place * 7 % 17 for place in range(32)]  # words, 8 to 24 in no order
Work = Callable[[], dict[str, float]]


class Given(NamedTuple):
    """Pictures, texts, and the rows of all pairs: each picture with each text."""

    pixels: torch.Tensor
    ids: torch.Tensor
    mask: torch.Tensor
    image_rows: torch.Tensor
    text_rows: torch.Tensor

    @classmethod
    def of(cls, size: str, images: int, texts: int) -> "Given":
        """The same for everybody."""
        rows = torch.cartesian_prod(torch.arange(images), torch.arange(texts))
        ids, mask = systems.texts(size, lengths=LENGTHS[:texts])
        return cls(systems.pixels(size, images=images), ids, mask, rows[:, 0], rows[:, 1])


@torch.inference_mode()
def fast_scores(model: MPlug, given: Given) -> torch.Tensor:
    """Logits of no and yes [pairs, 2], as evaluations and searches make them."""
    return match_pairs(
        model,
        encode_texts(model.encode_text, given.ids, given.mask, at_once=len(given.ids)),
        model.encode_image(given.pixels),
        given.mask,
        text_rows=given.text_rows,
        image_rows=given.image_rows,
        at_once=32,
    )


@torch.inference_mode()
def pair_scores(model: MPlug, given: Given) -> torch.Tensor:
    """The same with each pair through the whole fusion on its own copy.

    Texts are padded to the longest and the last layer computes all that it can, in one call.
    """
    seen, read = model.encode_image(given.pixels), model.encode_text(given.ids, given.mask)
    own = given.text_rows
    _, fused = model.fuse(read[own], seen[given.image_rows], given.mask[own])
    scores: torch.Tensor = model.match(fused)
    return scores


def build_ours(*, size: str, precision: str, images: int, texts: int) -> Work:
    """Pixels and texts to a score for each pair: each image and each text encoded once."""
    model, given = systems.ours(size, precision=precision), Given.of(size, images, texts)
    gflop = _useful(size, lengths=LENGTHS[:texts], images=images)

    def work() -> dict[str, float]:
        scores = fast_scores(model, given)
        return {"gflop": gflop, "pairs": len(scores), "sum": float(scores.sum())}

    return work


def _useful(size: str, *, lengths: list[int], images: int) -> float:
    config = systems.config(size)
    pairs = [length for length in lengths for _ in range(images)]
    return (
        arithmetic.vision(config, images=images)
        + arithmetic.text_encoder(config, lengths=lengths)
        + arithmetic.fusion(config, lengths=pairs, images=images, first=1)
    )


def build_per_pair(*, size: str, images: int, texts: int) -> Work:
    """The twin: images and texts encoded once, then every pair on its own copy."""
    model, given = projecting(systems.ours(size)), Given.of(size, images, texts)

    def work() -> dict[str, float]:
        scores = pair_scores(model, given)
        return {"pairs": len(scores), "sum": float(scores.sum())}

    return work


def build_difference(*, size: str, images: int, texts: int) -> Work:
    """The most that a score differs from the twin's, whose matrices take no other way either."""
    model, given = systems.ours(size), Given.of(size, images, texts)
    torch.manual_seed(0)
    plain = projecting(MPlug(systems.config(size)).eval())

    def work() -> dict[str, float]:
        apart = fast_scores(model, given) - pair_scores(plain, given)
        return {"apart": float(apart.abs().max())}

    return work


def build_blip(*, size: str, images: int, texts: int) -> Work:
    """The public call, which takes pairs: the image is given, and encoded, once for each."""
    model = systems.blip(size, kind="BlipForImageTextRetrieval")
    pixels = systems.pixels(size, images=images)
    ids, mask = systems.texts(size, lengths=LENGTHS[:texts])
    rows = torch.cartesian_prod(torch.arange(images), torch.arange(texts))

    def work() -> dict[str, float]:
        with torch.inference_mode():
            found = model(
                input_ids=ids[rows[:, 1]],
                attention_mask=mask[rows[:, 1]].long(),
                pixel_values=pixels[rows[:, 0]],
                use_itm_head=True,
            )
        return {"pairs": len(found.itm_score)}

    return work


def topic(*, quick: bool) -> Topic:
    """One image and 32 texts in every precision; one text and 32 images."""
    size = "quick" if quick else "base"
    told = ("fp32",) if quick else tuple(systems.PRECISIONS)
    one_image = _compare(
        size, images=1, texts=32, precisions=told, quick=quick, rounds=2 if quick else 9
    )
    bars = [
        roof.binding(
            Bar(
                f"rerank, {p}, against our per-pair twin",
                one_image.ratio_to(f"mplug {p}", "per pair"),
                at_least=bar,
                stretch=far,
            ),
            precision=p,
        )
        for p, bar, far in (("fp32", 1.3, 1.6), ("bf16", 2.7, 3.2))
        if p in told
    ]
    against = one_image["mplug fp32"].ratio
    bars.append(Bar("rerank, fp32, against BLIP's public call", against, at_least=7))
    bars.append(
        Bar(
            "rerank, the most that a score differs from the twin's, fp32",
            largest_difference(size),
            at_most=1e-5,
            unit="",
        )
    )
    comparisons = [one_image]
    if not quick:
        # Once: most of it is 32 pictures through the vision transformer on every side.
        comparisons.append(
            _compare(size, images=32, texts=1, precisions=("fp32",), quick=quick, rounds=1)
        )
    return Topic(
        "reranking",
        title="Reranking",
        about="From pixels and ids to matching scores, texts of 8 to 24 words. The per-pair twin "
        "encodes each image and text once too, then fuses every pair on its own copy, whose keys "
        "and values it projects in every layer; BLIP's public call, `BlipForImageTextRetrieval`, "
        "encodes the image for every pair.",
        comparisons=comparisons,
        bars=bars,
    )


def largest_difference(size: str) -> float:
    """Of all scores of one image with the texts."""
    sizes = {"size": size, "images": 1, "texts": len(LENGTHS)}
    asked = Rival("difference", HERE, "build_difference", sizes, once=True)
    return counted(asked, threads=roof.THREADS, title="Scores of pairs by both ways")["apart"]


def _compare(
    size: str,
    *,
    images: int,
    texts: int,
    precisions: tuple[str, ...],
    quick: bool,
    rounds: int,
) -> Comparison:
    shared = {"size": size, "images": images, "texts": texts}
    measured = [precision for precision in precisions if roof.has_hardware(precision)]
    rivals = [
        Rival("BLIP", HERE, "build_blip", shared, once=not quick),
        Rival("per pair", HERE, "build_per_pair", shared, once=rounds == 1),
        *(
            Rival(
                f"mplug {precision}",
                HERE,
                "build_ours",
                shared | {"precision": precision},
                once=rounds == 1 or not roof.has_hardware(precision),
            )
            for precision in precisions
        ),
        *roof.rivals(*measured, quick=quick),
    ]
    one = f"{images} image{'s' * (images > 1)} x {texts} text{'s' * (texts > 1)}"
    return compare(
        rivals,
        rounds=rounds,
        threads=roof.THREADS,
        reference="BLIP",
        title=one,
    )


if __name__ == "__main__":
    run_alone(topic)
