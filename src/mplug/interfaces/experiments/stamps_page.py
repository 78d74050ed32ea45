"""The stamps experiment's page and picture, from its cells; what is missing is left open."""

from collections.abc import Mapping
from typing import Any

from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.experiments.fusion_page import percent
from mplug.interfaces.experiments.seeds import OverSeeds, over_seeds
from mplug.interfaces.experiments.stamp_maps import AT
from mplug.interfaces.experiments.stamps import BASELINE, BOTH, KINDS, OURS, PIXELS, SCRATCH, TEXT
from mplug.interfaces.report.bars import Bar, Panel, picture

TITLES = {
    PIXELS: "16 x 16 pixels, ridge to MiniLM",
    BASELINE: "EfficientNet-lite0, ridge to MiniLM",
    OURS: "the same, then trained contrastively",
    SCRATCH: "mPLUG from nothing",
    TEXT: "mPLUG, text from MiniLM",
    BOTH: "mPLUG, text from MiniLM, eyes from mplug-tiny",
}
COMPARED = ((OURS, BASELINE), (TEXT, SCRATCH), (BOTH, SCRATCH), (BOTH, BASELINE))
Found = Mapping[int, Mapping[str, Any]]  # cells of one kind by split


def lines(cells: Cells) -> list[str]:
    """The page."""
    heads = ["", "splits", *(f"R@{k}" for k in AT)]
    rows = [[TITLES[kind], str(len(found(cells, kind))), *_row(cells, kind)] for kind in KINDS]
    gains = [
        [f"{TITLES[one]} minus {TITLES[other]}", *made]
        for one, other in COMPARED
        if (made := _gains(cells, one, other))
    ]
    page = ["# A text encoder trained by others, on Tux Paint's stamps", "", _about(cells), ""]
    page += _table(heads, [row for row in rows if row[1] != "0"])
    if gains:
        page += ["## Differences, split by split", "", *_table(heads, gains)]
    return page


def chart(cells: Cells) -> str:
    """A panel for each place that recall looks at."""
    panels = [Panel(f"R@{k}, picture to caption", bars) for k in AT if (bars := _bars(cells, k))]
    about = (
        "Recall among 150 captions, mean over splits with its 95% interval (Student's t; of a "
        "single split, by resampling its pictures). Mark: chance."
    )
    return picture(panels, about=about, form="{:.3f}")


def found(cells: Cells, kind: str) -> Found:
    """The cells of a kind that are done."""
    done = [cells[name] for name in cells.names]
    return {cell["split"]: cell for cell in done if cell["kind"] == kind}


def figure(cells: Cells, kind: str, k: int) -> OverSeeds:
    """The mean over splits with Student's interval; of one split, its own."""
    scores = [_score(cell, k) for cell in found(cells, kind).values()]
    if len(scores) == 1:
        return OverSeeds(scores[0]["value"], scores[0]["low"], scores[0]["high"])
    return over_seeds([score["value"] for score in scores])


def _about(cells: Cells) -> str:
    steps = cells.settings["run"]["optim"]["steps"]
    return (
        "About 400 stamps to learn from, 50 to choose by, 150 captions to find that nothing was "
        "trained on; each split of the committed list is another draw. Nothing here saw a stamp "
        f"before, but EfficientNet-lite0 saw ImageNet. The mPLUG models were trained for {steps:,} "
        f"steps, the map from frozen features for {cells.settings['epochs']} epochs at most, each "
        "taken where validation was best. In per cent, with the 95% interval of the mean over "
        "splits (Student's t; of a single split, by resampling its pictures). Chance is 0.7, 3.3 "
        "and 6.7."
    )


def _row(cells: Cells, kind: str) -> list[str]:
    if not found(cells, kind):
        return []
    return [percent(figure(cells, kind, k)) for k in AT]


def _gains(cells: Cells, one: str, other: str) -> list[str]:
    mine, theirs = found(cells, one), found(cells, other)
    splits = sorted(mine.keys() & theirs.keys())
    if not splits:
        return []
    made = [
        over_seeds([_score(mine[s], k)["value"] - _score(theirs[s], k)["value"] for s in splits])
        for k in AT
    ]
    return [str(len(splits)), *(percent(gain, sign="+") for gain in made)]


def _bars(cells: Cells, k: int) -> list[Bar]:
    made = []
    for kind in KINDS:
        if found(cells, kind):
            value, low, high = figure(cells, kind, k)
            chance = k / _score(next(iter(found(cells, kind).values())), k)["n"]
            made.append(Bar(kind, value, low, high, chance))
    return made


def _score(cell: Mapping[str, Any], k: int) -> Mapping[str, Any]:
    one: Mapping[str, Any] = next(score for score in cell["scores"] if score["at"] == k)
    return one


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body, ""]
