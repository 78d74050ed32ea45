"""Caption metrics against the official package, which runs Java; and the reward of SCST.

The official rival needs the extra `eval` and Java; without them our side is timed alone.
"""

import io
import json
import re
import shutil
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import Bar, Comparison, Rival, Topic, compare, run_alone
from mplug.metrics import (
    CiderD,
    DocumentFrequency,
    Tokenised,
    caption_figures,
    ptb,
    ptb_tokens,
)
from mplug.metrics.cider import FixedCiderD

HERE = "benchmarks.metrics"
OFFICIAL = "pycocoevalcap"
BAR, STRETCH, REWARD_MS = 2.0, 5.0, 25.0
CAPTIONS = Path(__file__).resolve().parents[1] / "tests" / "golden" / "captions" / "tokens.jsonl"
# Behind such an end the official program looks at the next line, so that the tokens of a caption
# depend on its neighbour: "x." and "No." (see mplug.metrics.ptb).
READ_ON = re.compile(r"[A-Za-z]{1,2}\.")
Work = Callable[[], dict[str, float]]


class Captions(NamedTuple):
    """One candidate and several references of each image."""

    candidates: list[str]
    references: list[list[str]]


def make_captions(*, images: int, references: int, seed: int = 0) -> Captions:
    """Captions of two halves each, so that hardly any two are alike; the same for a seed."""
    rows = [json.loads(line) for line in CAPTIONS.read_text("utf-8").split("\n") if line]
    known = [
        words
        for row in rows
        if len(words := row["caption"].split()) > 3 and not READ_ON.fullmatch(words[-1])
    ]
    random = np.random.default_rng(seed)
    halves = random.integers(len(known), size=(images * (references + 1), 2)).tolist()
    texts = [
        " ".join(known[first][: len(known[first]) // 2] + known[last][len(known[last]) // 2 :])
        for first, last in halves
    ]
    rest = texts[images:]
    return Captions(
        texts[:images],
        [rest[start : start + references] for start in range(0, len(rest), references)],
    )


def build_ours(*, images: int, references: int) -> Work:
    """Captions to figures, as a fresh process would: Java starts anew in every round too."""
    captions = make_captions(images=images, references=references)

    def work() -> dict[str, float]:
        ptb.forget()
        re.purge()
        begun = time.perf_counter()
        tokens = Tokenised.of(*captions)
        cut = time.perf_counter() - begun
        figures = caption_figures(tokens, split="benchmark")
        return {"tokenising": cut} | {figure.metric: figure.value for figure in figures}

    return work


def build_official(*, images: int, references: int) -> Work:
    """The official package: a Java program for tokens, Python for scores."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    captions = make_captions(images=images, references=references)
    asked = {place: [{"caption": text}] for place, text in enumerate(captions.candidates)}
    known = {
        place: [{"caption": text} for text in texts]
        for place, texts in enumerate(captions.references)
    }
    tokenizer = PTBTokenizer()

    def work() -> dict[str, float]:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            begun = time.perf_counter()
            said, right = tokenizer.tokenize(asked), tokenizer.tokenize(known)
            cut = time.perf_counter() - begun
            return {"tokenising": cut} | official_scores(right, said)

    return work


def official_scores(references: Any, candidates: Any) -> dict[str, float]:
    """The figures, by the names that they have here."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    bleu, _ = Bleu(4).compute_score(references, candidates, verbose=0)
    rouge, _ = Rouge().compute_score(references, candidates)
    cider, _ = Cider().compute_score(references, candidates)
    named = {f"bleu_{n}": float(score) for n, score in enumerate(bleu, start=1)}
    return named | {"rouge_l": float(rouge), "cider_d": float(cider)}


class Drawn(NamedTuple):
    """`samples` captions of each picture, its references, and what all images' references count."""

    captions: list[list[str]]
    references: list[list[str]]
    frequency: DocumentFrequency

    @classmethod
    def of(cls, *, pictures: int, samples: int, images: int) -> "Drawn":
        """No caption twice, as far as there are enough images to take them from."""
        made = make_captions(images=images, references=5)
        first = range(0, pictures * samples, samples)
        captions = [made.candidates[place : place + samples] for place in first]
        frequency = DocumentFrequency.of(Tokenised.of(*made).references)
        return cls(captions, made.references[:pictures], frequency)


def build_reward(**sizes: int) -> Work:
    """CIDEr-D of each picture's captions, texts to numbers, for pictures never met."""
    drawn = Drawn.of(**sizes)
    scorer = FixedCiderD(drawn.frequency)

    def work() -> dict[str, float]:
        ptb.forget_texts()
        said = [[ptb_tokens(text) for text in texts] for texts in drawn.captions]
        known = [[ptb_tokens(text) for text in texts] for texts in drawn.references]
        return {"mean": float(np.mean(scorer.of_samples(said, known)))}

    return work


def build_reward_twin(**sizes: int) -> Work:
    """The same caption by caption, from dictionaries of n-grams."""
    drawn = Drawn.of(**sizes)
    frequency = CiderD(drawn.frequency)

    def work() -> dict[str, float]:
        ptb.forget_texts()
        scorer, scores = copy(frequency), []  # a copy that remembers no reference
        scorer._remembered = {}
        for said, texts in zip(drawn.captions, drawn.references, strict=True):
            known = [ptb_tokens(text) for text in texts]
            scores += [scorer.score(ptb_tokens(text), known) for text in said]
        return {"mean": float(np.mean(scores))}

    return work


def has_official() -> bool:
    """Whether the package and Java are here."""
    return find_spec(OFFICIAL) is not None and shutil.which("java") is not None


def largest_difference(found: Comparison) -> float:
    """The most that two figures of the same name differ."""
    ours, official = found["mplug"].counts, found[OFFICIAL].counts
    return max(abs(ours[name] - value) for name, value in official.items() if name != "tokenising")


def topic(*, quick: bool) -> Topic:
    """The whole set by turns, then rewards."""
    images = 200 if quick else 5000
    sizes = {"images": images, "references": 5}
    rivals = [Rival("mplug", HERE, "build_ours", sizes)]
    notes = []
    if has_official():
        rivals.append(Rival(OFFICIAL, HERE, "build_official", sizes))
    else:
        notes.append("Our side alone: pycocoevalcap (extra `eval`) or Java is not here.")
    found = compare(
        rivals,
        rounds=2 if quick else 5,
        threads=1,
        reference=rivals[-1].name,
        title=f"{images:,} images x 5 references: tokens, BLEU, ROUGE-L, CIDEr-D",
    )
    samples = {"pictures": 20, "samples": 5, "images": images}
    rewards = compare(
        [
            Rival("mplug", HERE, "build_reward", samples),
            Rival("caption by caption", HERE, "build_reward_twin", samples),
        ],
        rounds=3 if quick else 9,
        threads=1,
        reference="caption by caption",
        title="Reward of 100 captions, 5 of each picture, 5 references each",
    )
    taken = 1000 * rewards["mplug"].median
    bars = [Bar("SCST reward of 100 captions", taken, at_most=REWARD_MS, unit="ms")]
    if has_official():
        work = f"caption metrics, {images:,} x 5, against the Java-based package"
        bars.insert(0, Bar(work, found["mplug"].ratio, BAR, stretch=STRETCH))
        notes.append(f"Two figures differ by at most {largest_difference(found):.1e}.")
    return Topic(
        "metrics",
        title="Caption metrics",
        about="Captions as people and models write them to figures, in one process, remembered "
        "tokens and compiled rules forgotten before every round; the official package starts its "
        "Java program twice a round.",
        comparisons=[found, rewards],
        bars=bars,
        notes=notes,
    )


if __name__ == "__main__":
    run_alone(topic)
