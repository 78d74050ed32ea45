"""Matching scores of one image with 32 texts, and the other way round."""

from collections.abc import Callable

import torch

from benchmarks import arithmetic, roof, systems
from benchmarks.harness import Bar, Comparison, Rival, Topic, compare, run_alone
from mplug.inference.pairs import match_pairs

HERE = "benchmarks.reranking"
LENGTHS = [8 + place * 7 % 17 for place in range(32)]  # words, 8 to 24 in no order
Work = Callable[[], dict[str, float]]


def build_ours(*, size: str, precision: str, images: int, texts: int) -> Work:
    """Pixels and texts to a score for each pair: each image and each text encoded once."""
    model, pixels = systems.ours(size, precision=precision), systems.pixels(size, images=images)
    lengths = LENGTHS[:texts]
    ids, mask = systems.texts(size, lengths=lengths)
    gflop = _useful(size, lengths=lengths, images=images)
    rows = torch.cartesian_prod(torch.arange(images), torch.arange(texts))

    def work() -> dict[str, float]:
        with torch.inference_mode():
            seen, read = model.encode_image(pixels), model.encode_text(ids, mask)
            scores = match_pairs(
                model,
                read,
                seen,
                mask,
                text_rows=rows[:, 1],
                image_rows=rows[:, 0],
                at_once=32,
            )
        return {"gflop": gflop, "pairs": len(scores), "sum": float(scores.sum())}

    return work


def _useful(size: str, *, lengths: list[int], images: int) -> float:
    config = systems.config(size)
    pairs = [length for length in lengths for _ in range(images)]
    return (
        arithmetic.vision(config, images=images)
        + arithmetic.text_encoder(config, lengths=lengths)
        + arithmetic.fusion(config, lengths=pairs, images=images)
    )


def build_per_pair(*, size: str, images: int, texts: int) -> Work:
    """Images and texts encoded once, then each pair through the whole fusion on its own copy.

    Texts are padded to the longest and the last layer computes all that it can, in one call.
    """
    model, pixels = systems.ours(size), systems.pixels(size, images=images)
    ids, mask = systems.texts(size, lengths=LENGTHS[:texts])
    rows = torch.cartesian_prod(torch.arange(images), torch.arange(texts))

    def work() -> dict[str, float]:
        with torch.inference_mode():
            seen, read = model.encode_image(pixels), model.encode_text(ids, mask)
            _, fused = model.fuse(read[rows[:, 1]], seen[rows[:, 0]], mask[rows[:, 1]])
            scores = model.match(fused)
        return {"pairs": len(scores), "sum": float(scores.sum())}

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
        size, images=1, texts=32, precisions=told, quick=quick, rounds=2 if quick else 5
    )
    ratios = {
        p: [
            theirs / ours
            for theirs, ours in zip(
                one_image["per pair"].seconds, one_image[f"mplug {p}"].seconds, strict=True
            )
        ]
        for p in told
    }
    middle = {p: sorted(each)[len(each) // 2] for p, each in ratios.items()}
    bars = [
        roof.binding(
            Bar(f"rerank, {p}, against our per-pair twin", middle[p], at_least=bar, stretch=far),
            precision=p,
        )
        for p, bar, far in (("fp32", 1.3, 1.6), ("bf16", 2.7, 3.2))
        if p in told
    ]
    against = one_image["mplug fp32"].ratio
    bars.append(Bar("rerank, fp32, against BLIP's public call", against, at_least=7))
    sums = [one_image[name].counts["sum"] for name in ("mplug fp32", "per pair")]
    apart = abs(sums[0] - sums[1]) / len(LENGTHS)
    bars.append(
        Bar("rerank, mean of scores against the twin's, fp32", apart, at_most=1e-5, unit="")
    )
    comparisons = [one_image]
    if not quick:
        # Two rounds: most of it is 32 pictures through the vision transformer on every side.
        comparisons.append(
            _compare(size, images=32, texts=1, precisions=("fp32",), quick=quick, rounds=2)
        )
    return Topic(
        "reranking",
        title="Reranking",
        about="From pixels and ids to matching scores, texts of 8 to 24 words. The per-pair twin "
        "encodes each image and text once too, then fuses every pair on its own copy; BLIP's "
        "public call, `BlipForImageTextRetrieval`, encodes the image for every pair.",
        comparisons=comparisons,
        bars=bars,
    )


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
        Rival("per pair", HERE, "build_per_pair", shared),
        *(
            Rival(f"mplug {precision}", HERE, "build_ours", shared | {"precision": precision})
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
