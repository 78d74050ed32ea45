"""`python -m benchmarks`: every topic, one after another, and the page `docs/performance.md`.

    python -m benchmarks [--quick] [--only NAME ...] [--strict] [--out DIR] [--page FILE]

Quick runs are for seeing that all runs, and write no page unless told where.
"""

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path

from benchmarks import page
from benchmarks.harness import ROOT
from benchmarks.results import OUT, measure

TOPICS = (
    "roof",
    "captioning",
    "answering",
    "reranking",
    "retrieval_evaluation",
    "precision",
    "training_step",
    "self_critical",
    "metrics",
    "data_path",
    "video",
    "start",
    "growth",
)
PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    """Measure, keep the figures, write the page; exit code 1 if a topic failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, in minutes")
    parser.add_argument("--only", nargs="+", choices=TOPICS, help="these topics")
    parser.add_argument("--strict", action="store_true", help="refuse a busy machine")
    parser.add_argument("--out", type=Path, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, help="the page to write")
    asked = parser.parse_args()
    folder = asked.out or (OUT / "quick" if asked.quick else OUT)
    begun, failed = time.perf_counter(), []
    for name in asked.only or TOPICS:
        print(f"==> {name}", file=sys.stderr, flush=True)
        try:
            topic = importlib.import_module(f"benchmarks.{name}").topic
            path = measure(topic, folder=folder, quick=asked.quick, strict=asked.strict)
        except (Exception, SystemExit) as error:  # one topic's failure must not cost the others
            failed.append(name)
            if not isinstance(error, SystemExit):  # whose words are all that is to be said
                traceback.print_exc()
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
            continue
        print("\n".join(page.topic_lines(json.loads(path.read_text("utf-8")))), flush=True)
    target = asked.page or (None if asked.quick else PAGE)
    if target is not None:
        page.write(folder, target, order=TOPICS)
        print(f"==> {target}", file=sys.stderr)
    minutes = (time.perf_counter() - begun) / 60
    print(f"==> {minutes:.1f} minutes; figures in {folder}", file=sys.stderr)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
