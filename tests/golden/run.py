"""Compares the product with the reference numbers: `python tests/golden/run.py [DIR]`.

Checks every value in DIR/mplug/*/expected* and in the other sets (DIR/captions, DIR/clip, ..., or
folders of them), those of them that are there (by default in this folder), prints a line for each
family, and exits with 1 if anything failed. DIR may hold other sets of that layout.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from tests.golden import (
    beam,
    caption,
    clip,
    encoders,
    grounding,
    rerank,
    retrieval,
    scorers,
    uniter,
    vqa,
)
from tests.golden.compare import Tally, tolerance
from tests.golden.reference import PRECISIONS, Entries, Reference

# Each says which entries it can make; a name is looked up in all of them.
FAMILIES = {
    "encoders": encoders.entries,
    "vqa": vqa.entries,
    "caption": caption.entries,
    "retrieval": retrieval.entries,
    "rerank": rerank.entries,
    "grounding": grounding.entries,
    "beam": beam.entries,
}
# Sets that each come with one file of expected values, and what checks them.
OTHER_SETS = {
    "captions": scorers.check_captions,
    "vqa": scorers.check_vqa,
    "clip": clip.check_clip,
    "clip_resnet": clip.check_clip,
    "uniter": uniter.check_uniter,
}
HERE = Path(__file__).resolve().parent
SHOWN_FAILURES = 20


def check(reference: Reference) -> dict[str, Tally]:
    """What became of every expected value of a set, by family."""
    made = {family: entries(reference) for family, entries in FAMILIES.items()}
    tallies = {family: Tally() for family in FAMILIES}
    for name, expected in reference.expected.items():
        owners = [family for family, entries in made.items() if name in entries]
        if owners:
            check_entry(tallies[owners[0]], made[owners[0]], reference, name)
        else:
            tallies.setdefault("unread", Tally()).failed(name, expected, problem="nothing reads it")
    return tallies


def check_entry(tally: Tally, made: Entries, reference: Reference, name: str) -> None:
    """Make one entry and compare it; one that cannot be made has failed, the others go on."""
    allowed, expected = tolerance(name, reference.precision.dtype), reference.expected[name]
    try:
        value = made[name]()
    except Exception as error:  # whatever it is, it is this entry's failure
        tally.failed(name, expected, problem=f"{type(error).__name__}: {error}")
    else:
        tally.compare(name, value, expected, allowed=allowed)


def report(tally: Tally, title: str) -> str:
    """One line of counts."""
    return (
        f"{title}: {tally.checked} checked, {len(tally.failures)} failed, worst {tally.worst:.1e}"
    )


def checks(folder: Path) -> Iterator[tuple[str, Tally]]:
    """Every family of every set below a folder, by a title."""
    for place in sorted(path.parent for path in (folder / "mplug").glob("*/config.json")):
        for precision in PRECISIONS:
            for family, tally in check(Reference(place, precision)).items():
                yield f"{place.name} {precision.name} {family}", tally
    for name, check_set in OTHER_SETS.items():
        for place in _sets(folder / name):
            for family, tally in check_set(place).items():
                yield f"{place.relative_to(folder)} {family}", tally


def _sets(folder: Path) -> Iterator[Path]:
    """The folder, where it holds a set, and those of its folders that do."""
    if any(path.is_file() for path in folder.glob("*.json")):
        yield folder
    yield from sorted(path.parent for path in folder.glob("*/config.json"))


def main(folder: Path) -> int:
    """Check every set below a folder; returns the exit code."""
    torch.set_num_threads(1)  # the tensors are tiny
    total = Tally()
    for title, tally in checks(folder):
        print(report(tally, title), flush=True)
        total.add(tally)
    if not total.checked:
        print(f"golden: no set in {folder}: nothing to check")
        return 1
    for sentence in total.unchecked:
        print(f"  not checked: {sentence}")
    for failure in total.failures[:SHOWN_FAILURES]:
        print(f"  failed: {failure}")
    if len(total.failures) > SHOWN_FAILURES:
        print(f"  and {len(total.failures) - SHOWN_FAILURES} more")
    print(report(total, "golden"))
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE))
