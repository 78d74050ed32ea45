"""The fusion experiment's page and picture, from its cells; what is missing is left open."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.experiments.fusion import (
    BASELINE,
    ENCODERS,
    PACE,
    SAME_STEPS,
    SAME_TIME,
    SCHEMES,
    parsed,
)
from mplug.interfaces.experiments.seeds import OverSeeds, over_seeds
from mplug.interfaces.report.bars import Bar, Panel, picture

TITLES = {
    "skip": "skip-connected",
    "connected": "connected attention",
    "co_attention": "co-attention",
    "asymmetric": "asymmetric",
}
MODES = {SAME_STEPS: "The same steps", SAME_TIME: "The same time"}
METRICS = {"answer_accuracy": "questions", "compare_accuracy": "pairs"}
ARTISTS = {"training_artists": "artists it trained on", "unseen_artist": "an artist it never saw"}
# The paper's own figures (arXiv 2205.12005, figures 1 and 4): VQA test-dev, seconds of 100 samples.
PAPER = {
    "skip": (77.94, 0.41),
    "connected": (77.38, 1.65),
    "co_attention": (77.54, 1.86),
    "asymmetric": (76.7, 0.28),
}


class Column(NamedTuple):
    """What is asked, of pictures by whom."""

    metric: str
    split: str

    @property
    def title(self) -> str:
        return f"{METRICS[self.metric]}, {ARTISTS[self.split]}"


COLUMNS = [Column(metric, split) for metric in METRICS for split in ARTISTS]
Found = dict[int, Mapping[str, Any]]  # cells of one scheme and mode by seed


def lines(cells: Cells) -> list[str]:
    """The page."""
    return [
        "# Four fusion schemes on scenes",
        "",
        _about(cells),
        "",
        *(line for mode in MODES for line in _mode(cells, mode)),
        "## The paper",
        "",
        "Its figures are of ViT-B, 4 million pairs and six fusion layers (arXiv 2205.12005, "
        "figures 1 and 4).",
        "",
        "| scheme | VQA test-dev | seconds for 100 samples |",
        "|---|---|---|",
        *(f"| {TITLES[scheme]} | {vqa} | {seconds} |" for scheme, (vqa, seconds) in PAPER.items()),
        "",
    ]


def chart(cells: Cells) -> str:
    """A panel for each question and mode: accuracies with intervals, marks at blind guessing."""
    panels = [
        Panel(f"{MODES[mode]}: {column.title}", bars)
        for mode in MODES
        for column in COLUMNS
        if (bars := _bars(cells, mode, column))
    ]
    about = (
        "Accuracy, mean over seeds with its 95% interval (Student's t). "
        "Mark: the best of what does not see."
    )
    return picture(panels, about=about, form="{:.3f}")


def _about(cells: Cells) -> str:
    runs = {name: run for name, run in cells.settings.items() if isinstance(run, dict)}
    steps = [f"{run['optim']['steps']} steps of {name}" for name, run in runs.items()]
    fusion = runs["fusion-scenes"]["model"]["fusion"]
    places = ", ".join(str(place) for place in fusion["connected_at"]) or "none"
    return (
        f"One recipe but for `model.fusion.scheme`, with the same encoders: {', '.join(steps)}. "
        f"{fusion['num_layers']} fusion layers; the skip-connected scheme connects at {places} "
        f"(from 0). Asked about {cells.settings['scenes']} held-out scenes of each kind. "
        "Figures are means over seeds with Student's 95% interval of the mean; differences are "
        "seed by seed. At the same time, a scheme takes as many steps as it can while the "
        "skip-connected one takes its own, by the median pace of the runs with the same steps."
    )


def found(cells: Cells, scheme: str, mode: str) -> Found:
    """The cells of a scheme; of the baseline, those with its own steps are also in its own time."""
    mode = SAME_STEPS if scheme == BASELINE else mode
    named = {name: parsed(name) for name in cells.names if name not in (ENCODERS, PACE)}
    return {
        seed: cells[name] for name, (of, how, seed) in named.items() if (of, how) == (scheme, mode)
    }


def score(cell: Mapping[str, Any], column: Column) -> Mapping[str, Any]:
    """One figure of a cell."""
    return next(
        each
        for each in cell["scores"]
        if (each["metric"], each["split"]) == (column.metric, column.split)
    )


def _mode(cells: Cells, mode: str) -> list[str]:
    rows = [row for scheme in SCHEMES if (row := _row(cells, scheme, mode)) is not None]
    if not rows:
        return []
    titles = [each.title for each in COLUMNS]
    heads = ["scheme", "seeds", "steps", "seconds a step", "pace", *titles]
    gains = [row for scheme in SCHEMES[1:] if (row := _gain_row(cells, scheme, mode)) is not None]
    page = [f"## {MODES[mode]}", "", *_table(heads, [*rows, _blind_row(cells, mode)])]
    if gains:
        heads = [f"{TITLES[BASELINE]} minus", "seeds", *titles]
        page += [*_table(heads, gains)]
    return page


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body, ""]


def _row(cells: Cells, scheme: str, mode: str) -> list[str] | None:
    runs = list(found(cells, scheme, mode).values())
    if not runs:
        return None
    figures = [over_seeds([score(run, column)["value"] for run in runs]) for column in COLUMNS]
    return [
        TITLES[scheme],
        str(len(runs)),
        f"{runs[0]['steps']:,}",
        f"{median(run['seconds_per_step'] for run in runs):.2f}",
        _pace(cells, scheme),
        *(percent(figure) for figure in figures),
    ]


def _blind_row(cells: Cells, mode: str) -> list[str]:
    best = [f"{100 * blind(cells, mode, column):.1f}" for column in COLUMNS]
    return ["best without seeing", "", "", "", "", *best]


def _pace(cells: Cells, scheme: str) -> str:
    """A step's seconds when the schemes took turns, once they have."""
    if PACE not in cells:
        return ""
    return f"{median(cells[PACE]['seconds_per_step'][scheme]):.2f}"


def _gain_row(cells: Cells, scheme: str, mode: str) -> list[str] | None:
    mine, theirs = found(cells, BASELINE, mode), found(cells, scheme, mode)
    seeds = sorted(mine.keys() & theirs.keys())
    if not seeds:
        return None
    gains = [
        over_seeds(
            [
                score(mine[seed], column)["value"] - score(theirs[seed], column)["value"]
                for seed in seeds
            ]
        )
        for column in COLUMNS
    ]
    return [TITLES[scheme], str(len(seeds)), *(percent(gain, sign="+") for gain in gains)]


def blind(cells: Cells, mode: str, column: Column) -> float:
    """The most that any baseline has of any of the mode's cells."""
    return max(
        value
        for scheme in SCHEMES
        for cell in found(cells, scheme, mode).values()
        for value in score(cell, column)["baselines"].values()
    )


def percent(figure: OverSeeds, *, sign: str = "") -> str:
    """In per cent, with the interval where there is one."""
    value, low, high = (100 * part for part in figure)
    if math.isnan(low):
        return f"{value:{sign}.1f}"
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def _bars(cells: Cells, mode: str, column: Column) -> list[Bar]:
    bars = []
    for scheme in SCHEMES:
        runs = found(cells, scheme, mode).values()
        if not runs:
            continue
        figure = over_seeds([score(run, column)["value"] for run in runs])
        low, high = (
            (figure.value, figure.value) if math.isnan(figure.low) else (figure.low, figure.high)
        )
        mark = blind(cells, mode, column)
        bars.append(Bar(TITLES[scheme], figure.value, max(low, 0.0), min(high, 1.0), mark))
    return bars
