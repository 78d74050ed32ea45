"""A whole retrieval evaluation, against encoding and reranking at the rates measured alone."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

import mplug
from benchmarks import roof
from benchmarks.harness import Bar, Rival, Topic, compare, run_alone
from mplug.config.schema import ScenesConfig
from mplug.data.records import Record, read_records
from mplug.data.scenes.stream import SceneExamples
from mplug.tasks.observer import Observer, Texts
from mplug.tasks.record_reading import Reading
from mplug.tasks.record_search import evaluate_search

HERE = "benchmarks.retrieval_evaluation"
TOP, CAPTIONS = 32, 5
OVERHEAD = 1.2  # times encoding and reranking alone
Work = Callable[[], dict[str, float]]


def observer() -> Observer:
    """mplug-tiny."""
    loaded = mplug.load("mplug-tiny", device="cpu")
    return Observer(loaded.network, loaded.tokenizer, torch.device("cpu"))


def scenes(images: int, *, size: int) -> list[Record]:
    """Composed pictures as PNG files, each with captions of its own and of its neighbours."""
    folder = Path(tempfile.mkdtemp())  # of the process, which keeps it while it lives
    drawn = SceneExamples(ScenesConfig(), image_size=size)
    made = [drawn.captioned_scene(place, seed=0) for place in range(images)]
    lines = []
    for place, (scene, _) in enumerate(made):
        Image.fromarray(np.asarray(scene.image, dtype=np.uint8)).save(folder / f"{place}.png")
        own = [made[(place + number) % images][1] for number in range(CAPTIONS)]
        texts = [f"{text} {number}" for number, text in enumerate(own)]  # no two alike
        lines.append(json.dumps({"image": f"{place}.png", "caption": texts}) + "\n")
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    return list(read_records(folder / "records.jsonl").records)


def build_evaluation(*, images: int) -> Work:
    """From files to recalls, both ways, by similarity and reranked; counts what is encoded."""
    watching = observer()
    records = scenes(images, size=watching.model.config.vision.image_size)
    rows: dict[str, int] = {}

    def counted(name: str) -> Any:
        encode = getattr(watching.model, name)

        def encoded(given: Any, *rest: Any) -> Any:
            rows[name] = rows.get(name, 0) + len(given)
            return encode(given, *rest)

        return patch.object(watching.model, name, encoded)

    def work() -> dict[str, float]:
        rows.clear()
        with counted("encode_image"), counted("encode_text"):
            found = evaluate_search(watching, records, split="bench", top=TOP)
        by_name = {figure.metric: figure.value for figure in found.figures}
        return {
            "images_encoded": rows["encode_image"],
            "texts_encoded": rows["encode_text"],
            "recall_at_10": by_name["recall_at_10_text_to_image"],
        }

    return work


def build_images(*, images: int) -> Work:
    """Pictures read and encoded."""
    watching = observer()
    size = watching.model.config.vision.image_size
    records = scenes(images, size=size)

    def work() -> dict[str, float]:
        for seen in Reading(records, size).batches():
            watching.images(seen.pixels)
        return {"images": images}

    return work


def build_texts(*, images: int) -> Work:
    """Captions encoded."""
    watching = observer()
    records = scenes(images, size=watching.model.config.vision.image_size)
    texts = [text for record in records for text in record.caption]

    def work() -> dict[str, float]:
        watching.texts(texts)
        return {"texts": len(texts)}

    return work


def build_rerank(*, images: int) -> Work:
    """`TOP` texts of each picture and `TOP` pictures of each text matched, drawn at random."""
    watching = observer()
    size = watching.model.config.vision.image_size
    records = scenes(images, size=size)
    seen = torch.cat([watching.images(each.pixels) for each in Reading(records, size).batches()])
    texts: Texts = watching.texts([text for record in records for text in record.caption])
    count, random = len(texts.mask), np.random.default_rng(0)
    top = min(TOP, images)
    both = [
        (np.repeat(np.arange(images), top), _drawn(random, images, of=count, top=top)),
        (_drawn(random, count, of=images, top=top), np.repeat(np.arange(count), top)),
    ]

    def work() -> dict[str, float]:
        pairs = 0
        for image_rows, text_rows in both:
            watching.match(seen, texts, image_rows=image_rows, text_rows=text_rows)
            pairs += len(image_rows)
        return {"pairs": pairs}

    return work


def _drawn(random: np.random.Generator, queries: int, *, of: int, top: int) -> np.ndarray:
    return np.concatenate([random.choice(of, size=top, replace=False) for _ in range(queries)])


def topic(*, quick: bool) -> Topic:
    """The whole once; its parts on a tenth of the pictures, in rounds."""
    images = 20 if quick else 1000
    part = 20 if quick else 100
    share = part / images
    rounds = 2 if quick else 3
    name = f"{images:,} images x {images * CAPTIONS:,} texts, the {TOP} nearest reranked both ways"
    parts = {"images": "build_images", "texts": "build_texts", "rerank": "build_rerank"}
    found = compare(
        [
            Rival("evaluation", HERE, "build_evaluation", {"images": images}, once=not quick),
            *(
                Rival(f"{each} alone", HERE, factory, {"images": part}, share=share)
                for each, factory in parts.items()
            ),
        ],
        rounds=rounds,
        threads=roof.THREADS,
        reference="evaluation",
        title=name,
    )
    alone = sum(found[f"{each} alone"].median for each in parts)
    counts = found["evaluation"].counts
    return Topic(
        "retrieval_evaluation",
        title="Retrieval evaluation",
        about="mplug-tiny on composed scenes, from PNG files to recalls by similarity, by matching "
        "and by both. The parts ran on "
        f"{part} images with their texts; their seconds are scaled to the whole.",
        comparisons=[found],
        bars=[
            Bar(
                "full retrieval evaluation over encode + rerank alone",
                found["evaluation"].median / alone,
                at_most=OVERHEAD,
            ),
            Bar(
                "images encoded, each once and a blank one",
                counts["images_encoded"],
                at_most=images + 1,
                unit="",
            ),
            Bar(
                "texts encoded, each once",
                counts["texts_encoded"],
                at_most=images * CAPTIONS,
                unit="",
            ),
        ],
    )


if __name__ == "__main__":
    run_alone(topic)
