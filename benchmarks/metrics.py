"""Caption metrics against the official package, which runs Java: seconds, and equal figures.

    pip install 'mplug[eval]'; python benchmarks/metrics.py docs/results

Tokenisation, BLEU, ROUGE-L and CIDEr-D of the same captions in one process, the two by turns.
Writes metrics-speed.json and metrics-speed.md into the folder.
"""

import argparse
import io
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mplug.errors import MissingExtraError, need_extra
from mplug.metrics import Tokenised, caption_figures, ptb

CAPTIONS = Path(__file__).resolve().parents[1] / "tests" / "golden" / "captions" / "tokens.jsonl"
# Behind such an end the official program looks at the next line, so that the tokens of a caption
# depend on its neighbour: "x." and "No." (see mplug.metrics.ptb).
READ_ON = re.compile(r"[A-Za-z]{1,2}\.")
STAGES = ("tokenisation", "BLEU, ROUGE-L, CIDEr-D", "together")
SIDES = ("mplug", "official")


class Captions(NamedTuple):
    """One candidate and several references of each image."""

    candidates: list[str]
    references: list[list[str]]


class Spent(NamedTuple):
    """Seconds on the clock, and of processors, those of child processes too."""

    wall: float
    processor: float


Result = TypeVar("Result")
Timed = dict[str, Spent]  # by stage
Scores = dict[str, float]


def main() -> None:
    """Measure, then write the two files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    try:
        need_extra("pycocoevalcap", extra="eval")
    except MissingExtraError as error:
        sys.exit(str(error))
    if shutil.which("java") is None:
        sys.exit("the official tokeniser needs Java: no program java is on the PATH")
    captions = make_captions(images=asked.images, references=asked.references)
    rounds, apart = measure(captions, repeats=asked.repeats)
    result = summary(rounds) | {
        "images": asked.images,
        "references_each": asked.references,
        "repeats": asked.repeats,
        "largest_difference": apart,
        "machine": machine(),
    }
    asked.folder.mkdir(parents=True, exist_ok=True)
    written = json.dumps(result, indent=1) + "\n"
    (asked.folder / "metrics-speed.json").write_text(written, encoding="utf-8")
    page = "\n".join(lines(result))
    (asked.folder / "metrics-speed.md").write_text(page, encoding="utf-8")
    print(page)


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


def measure(captions: Captions, *, repeats: int) -> tuple[list[dict[str, Timed]], float]:
    """Each round's times by side and stage, and the most that two figures differ."""
    runners = {"mplug": run_mplug, "official": run_official}
    rounds, apart = [], 0.0
    for number in range(repeats):
        found = {side: runners[side](captions) for side in SIDES[:: 1 if number % 2 == 0 else -1]}
        ours, official = found["mplug"][1], found["official"][1]
        apart = max(apart, *(abs(ours[name] - official[name]) for name in official))
        rounds.append({side: timed for side, (timed, _) in found.items()})
        print(f"round {number + 1} of {repeats} done", file=sys.stderr, flush=True)
    return rounds, apart


def run_mplug(captions: Captions) -> tuple[Timed, Scores]:
    """This package, as a fresh process would: Java starts anew in every round too."""
    ptb.forget()
    re.purge()
    tokens, cutting = clocked(lambda: Tokenised.of(*captions))
    figures, scoring = clocked(lambda: caption_figures(tokens, split="benchmark"))
    return times(cutting, scoring), {figure.metric: figure.value for figure in figures}


def run_official(captions: Captions) -> tuple[Timed, Scores]:
    """The official package: a Java program for tokens, Python for scores."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    asked = {place: [{"caption": text}] for place, text in enumerate(captions.candidates)}
    known = {
        place: [{"caption": text} for text in texts]
        for place, texts in enumerate(captions.references)
    }
    tokenizer = PTBTokenizer()
    (references, candidates), cutting = clocked(
        lambda: (tokenizer.tokenize(known), tokenizer.tokenize(asked))
    )
    scores, scoring = clocked(lambda: official_scores(references, candidates))
    return times(cutting, scoring), scores


def official_scores(references: Any, candidates: Any) -> Scores:
    """The figures, by the names that they have here."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    bleu, _ = Bleu(4).compute_score(references, candidates, verbose=0)
    rouge, _ = Rouge().compute_score(references, candidates)
    cider, _ = Cider().compute_score(references, candidates)
    named = {f"bleu_{n}": float(score) for n, score in enumerate(bleu, start=1)}
    return named | {"rouge_l": float(rouge), "cider_d": float(cider)}


def clocked(work: Callable[[], Result]) -> tuple[Result, Spent]:
    """What the work returns, and what it took; what it prints is lost."""
    wall, processor = time.perf_counter(), processor_seconds()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        result = work()
    return result, Spent(time.perf_counter() - wall, processor_seconds() - processor)


def processor_seconds() -> float:
    """Used up to now by this process and the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def times(cutting: Spent, scoring: Spent) -> Timed:
    """By stage, with both together."""
    together = Spent(cutting.wall + scoring.wall, cutting.processor + scoring.processor)
    return dict(zip(STAGES, (cutting, scoring, together), strict=True))


def summary(rounds: list[dict[str, Timed]]) -> dict[str, Any]:
    """Medians of seconds over rounds, and the ratio of each round, in order."""
    result: dict[str, Any] = {}
    for stage in STAGES:
        row: dict[str, Any] = {}
        for clock in Spent._fields:
            seconds = {
                side: [getattr(each[side][stage], clock) for each in rounds] for side in SIDES
            }
            for side in SIDES:
                row[f"{side}_{clock}_seconds"] = median(seconds[side])
            pairs = zip(seconds["official"], seconds["mplug"], strict=True)
            row[f"{clock}_ratios"] = sorted(official / ours for official, ours in pairs)
        result[stage] = row
    return {"stages": result}


def machine() -> dict[str, Any]:
    """What ran it, and how busy that was."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    return {
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "pycocoevalcap": version("pycocoevalcap"),
        "java": java.splitlines()[0],
        "load_average": os.getloadavg()[0],
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The page."""
    about = result["machine"]
    images, each = result["images"], result["references_each"]
    page = [
        "# Speed of the caption metrics",
        "",
        f"{images:,} images with {each} references each, {images * (each + 1):,} captions in all: "
        f"this package against pycocoevalcap {about['pycocoevalcap']}, whose tokeniser is a Java "
        f"program, in one process by turns, {result['repeats']} rounds. Medians, in seconds; "
        "ratios are the median and the range of the rounds' own. Processor seconds are those of "
        "all cores; they are the ones to compare where other work ran too, which a load above "
        "the number of processors tells.",
        "",
        "| | mplug | official | ratio | mplug, processor | official, processor | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage, row in result["stages"].items():
        cells = [
            f"{row['mplug_wall_seconds']:.2f}",
            f"{row['official_wall_seconds']:.2f}",
            spread(row["wall_ratios"]),
            f"{row['mplug_processor_seconds']:.2f}",
            f"{row['official_processor_seconds']:.2f}",
            spread(row["processor_ratios"]),
        ]
        page.append(f"| {stage} | {' | '.join(cells)} |")
    return [
        *page,
        "",
        f"Two figures differ by at most {result['largest_difference']:.1e}. "
        f"{about['processors']} processors, at the end with a load of {about['load_average']:.1f}; "
        f"Python {about['python']}, numpy {about['numpy']}, {about['java']}.",
        "",
        "`python benchmarks/metrics.py docs/results` measures again; "
        "[metrics-speed.json](metrics-speed.json) holds the figures.",
        "",
    ]


def spread(ratios: list[float]) -> str:
    """The median and the range."""
    return f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


if __name__ == "__main__":
    main()
