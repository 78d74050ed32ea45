"""The UNITER experiment's page and picture, from its cells; what is missing is left open."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.experiments.fusion_page import percent
from mplug.interfaces.experiments.seeds import OverSeeds, over_seeds
from mplug.interfaces.experiments.uniter import ROWS, SPLITS, parsed
from mplug.interfaces.report.bars import Bar, Panel, picture

TITLES = {
    "none": "no pretraining",
    "mlm": "MLM",
    "mlm_itm": "MLM + ITM",
    "regions": "+ MRC-kl + MRFR",
    "alignment": "+ WRA (all)",
    "joint_masking": "joint masking, no WRA",
}
COLUMNS = {
    "answer_accuracy": "questions",
    "recall_at_1_text_to_image": "picture search",
    "recall_at_1_image_to_text": "caption search",
    "compare_accuracy": "pairs",
    "region_accuracy": "regions",
    "entail_accuracy": "entailment",
}
META = "sum of the first five"  # as in the paper: its Meta
IN_META = tuple(COLUMNS)[:5]
ARTISTS = {"training_artists": "Artists it trained on", "unseen_artist": "An artist it never saw"}
# UNITER, arXiv 1909.11740, table 2: UNITER-base, in-domain data; Meta.
PAPER = {
    "none": 314.34,
    "mlm": 386.10,
    "mlm_itm": 393.04,
    "regions": 399.97,
    "alignment": 400.93,
    "joint_masking": 396.51,
}


class Row(NamedTuple):
    """A row's cells by seed."""

    name: str
    cells: Mapping[int, Mapping[str, Any]]


def lines(cells: Cells) -> list[str]:
    """The page."""
    return [
        "# UNITER's objectives on scenes",
        "",
        _about(cells),
        "",
        *(line for split in SPLITS for line in _split(cells, split)),
        "## The paper",
        "",
        "UNITER-base on COCO and Visual Genome (arXiv 1909.11740, table 2). Meta is the sum of "
        "VQA, picture and caption search, NLVR2 and RefCOCO+.",
        "",
        "| pretraining | Meta |",
        "|---|---|",
        *(f"| {TITLES[row]} | {meta} |" for row, meta in PAPER.items()),
        "",
    ]


def chart(cells: Cells) -> str:
    """A panel for each figure of the artist never seen, with a mark at what does not see."""
    panels = [
        Panel(title, [bar for row in _rows(cells) if (bar := _bar(cells, row, metric))])
        for metric, title in COLUMNS.items()
    ]
    about = (
        "An artist it never saw; mean over seeds with its 95% interval, of one seed over scenes. "
        "Mark: the best of what does not see."
    )
    return picture([panel for panel in panels if panel.bars], about=about, form="{:.3f}")


def _about(cells: Cells) -> str:
    runs = [run for run in cells.settings.values() if isinstance(run, dict)]
    steps = [f"{run['optim']['steps']} steps of {run['name']}" for run in runs]
    data = runs[0]["data"]
    return (
        f"One recipe but for its objectives: {', '.join(steps)}, over {data['pictures']} scenes "
        f"whose boxes are exact, described by {data['encoder']}. Each row is then "
        "fine-tuned on all tasks at once. Joint masking hides words and regions of a pair at once. "
        f"Asked about {cells.settings['scenes']} held-out scenes of each kind, of combinations "
        "that training lacks. Figures are means over seeds in per cent, with Student's 95% "
        "interval of the mean; of one seed, the interval is over scenes."
    )


def _rows(cells: Cells) -> list[Row]:
    found: dict[str, dict[int, Mapping[str, Any]]] = {row: {} for row in ROWS}
    for name in cells.names:
        row, seed = parsed(name)
        found[row][seed] = cells[name]
    return [Row(row, each) for row, each in found.items() if each]


def score(cell: Mapping[str, Any], metric: str, split: str) -> Mapping[str, Any]:
    """One figure of a cell."""
    return next(
        each for each in cell["scores"] if (each["metric"], each["split"]) == (metric, split)
    )


def blind(cells: Cells, metric: str, split: str) -> float:
    """The most that any baseline has beside any cell."""
    return max(
        value
        for row in _rows(cells)
        for cell in row.cells.values()
        for value in score(cell, metric, split)["baselines"].values()
    )


def _figure(row: Row, metric: str, split: str) -> OverSeeds:
    """Over seeds; of one seed, over scenes."""
    found = [score(cell, metric, split) for cell in row.cells.values()]
    if len(found) == 1:
        return OverSeeds(found[0]["value"], found[0]["low"], found[0]["high"])
    return over_seeds([each["value"] for each in found])


def _meta(row: Row, split: str) -> OverSeeds:
    return over_seeds(
        [
            sum(score(cell, metric, split)["value"] for metric in IN_META)
            for cell in row.cells.values()
        ]
    )


def _split(cells: Cells, split: str) -> list[str]:
    rows = _rows(cells)
    if not rows:
        return []
    heads = ["pretraining", "seeds", META, *COLUMNS.values()]
    table = [
        [
            TITLES[row.name],
            str(len(row.cells)),
            percent(_meta(row, split)),
            *(percent(_figure(row, metric, split)) for metric in COLUMNS),
        ]
        for row in rows
    ]
    best = [f"{100 * blind(cells, metric, split):.1f}" for metric in COLUMNS]
    meta = 100 * sum(blind(cells, metric, split) for metric in IN_META)
    table.append(["best without seeing", "", f"{meta:.1f}", *best])
    body = [f"| {' | '.join(line)} |" for line in table]
    rule = f"|{'---|' * len(heads)}"
    return [f"## {ARTISTS[split]}", "", f"| {' | '.join(heads)} |", rule, *body, ""]


def _bar(cells: Cells, row: Row, metric: str) -> Bar | None:
    value, low, high = _figure(row, metric, "unseen_artist")
    if math.isnan(low):
        low = high = value
    mark = blind(cells, metric, "unseen_artist")
    return Bar(TITLES[row.name], value, max(low, 0.0), min(high, 1.0), mark)
