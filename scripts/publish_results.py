"""Write what a run on scenes gave into docs/results: scores, curves, log, configuration and card.

python scripts/publish_results.py runs/scenes-200 docs/results --objects 2 --rerank 16
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mplug.config.load import dump_yaml, load_config
from mplug.interfaces.report.chart import HEIGHT, WIDTH, line_chart
from mplug.interfaces.report.content import SCALES, Curve
from mplug.interfaces.report.curves import curves_from, read_metrics
from mplug.interfaces.report.markup import element, joined
from mplug.interfaces.report.wording import duration, figure, metric_title, spelled

COLUMNS, TITLE_HEIGHT = 2, 26
STYLE = """
svg { background: #fff; font: 12px system-ui, sans-serif; fill: #333; }
.title { font-weight: 600; } .grid { stroke: #ddd; stroke-width: 1; }
polyline { fill: none; stroke-linejoin: round; } polyline.line { stroke: #2266cc; stroke-width: 2; }
polyline.measured { stroke: #2266cc; opacity: .3; }
polyline.blind { stroke: #aa5500; stroke-dasharray: 5 5; stroke-width: 1.6; }
"""


def main() -> None:
    """Measure the run, then write its page and the files beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--objects", type=int, nargs="+", default=[2])
    parser.add_argument("--rerank", type=int, default=16)
    asked = parser.parse_args()
    config = load_config(asked.run / "config.json")
    scores = measured(asked.run, objects=asked.objects, rerank=asked.rerank)
    records = read_metrics(asked.run / "metrics.jsonl")
    asked.folder.mkdir(parents=True, exist_ok=True)
    base = asked.folder / config.name
    base.with_suffix(".svg").write_text(chart(curves_from(records)), encoding="utf-8")
    base.with_suffix(".yaml").write_text(dump_yaml(config), encoding="utf-8")
    shutil.copy(asked.run / "metrics.jsonl", base.with_suffix(".jsonl"))
    shutil.copy(asked.run / "README.md", asked.folder / f"{config.name}-card.md")
    page = "\n".join(lines(config.name, scores, records=records, objects=asked.objects))
    base.with_suffix(".md").write_text(page, encoding="utf-8")
    print(base.with_suffix(".md"))


def measured(run: Path, *, objects: Sequence[int], rerank: int) -> list[dict[str, Any]]:
    """What `mplug evaluate` says of the run, for every split."""
    command = [sys.executable, "-m", "mplug", "evaluate", str(run), "--json"]
    for split in ("training_artists", "validation_artist", "unseen_artist"):
        command += ["--split", split]
    for number in objects:
        command += ["--objects", str(number)]
    answer = subprocess.run(
        [*command, "--rerank", str(rerank)], check=True, stdout=subprocess.PIPE, text=True
    )
    scores: list[dict[str, Any]] = json.loads(answer.stdout)["scores"]
    return scores


def lines(
    name: str, scores: Sequence[dict[str, Any]], *, records: Sequence[Any], objects: Sequence[int]
) -> list[str]:
    """The page: tables of scores, then where the rest is."""
    trained = [record for record in records if record.get("kind") == "train"][-1]
    number = " or ".join(map(str, objects))
    page = [
        f"# {name}",
        "",
        f"{trained['step']:,} steps in {duration(trained['seconds'])} of training "
        f"(at the end {trained['examples_per_second']:.0f} scenes a second). Galleries of scenes "
        f"with {number} objects, of combinations that no training scene holds.",
        f"Configuration: [{name}.yaml]({name}.yaml); log: [{name}.jsonl]({name}.jsonl); "
        f"card: [{name}-card.md]({name}-card.md).",
        "",
    ]
    for split in dict.fromkeys(score["split"] for score in scores):
        page += [f"## {spelled(split)}", "", "| score | value | 95% interval | beside |"]
        page.append("|---|---|---|---|")
        page += [row(score) for score in scores if score["split"] == split]
        page.append("")
    return [*page, "## Curves", "", f"![losses beside their blind values]({name}.svg)", ""]


def row(score: dict[str, Any]) -> str:
    """A score as a line of a table."""
    scale = SCALES.get(score["metric"], 1.0)
    value, low, high = (figure(score[key], scale=scale) for key in ("value", "low", "high"))
    beside = ", ".join(
        f"{spelled(name)} {figure(level, scale=scale)}"
        for name, level in score["baselines"].items()
    )
    return f"| {metric_title(score['metric'])} | {value} | {low} to {high} | {beside} |"


def chart(curves: Sequence[Curve]) -> str:
    """Every loss beside its blind value, in one picture."""
    cell = HEIGHT + TITLE_HEIGHT
    cells = []
    for place, curve in enumerate(curves):
        x, y = place % COLUMNS * WIDTH, place // COLUMNS * cell
        title = element("text", spelled(curve.name), class_="title", x=8, y=16)
        inner = element("g", line_chart(curve), transform=f"translate(0 {TITLE_HEIGHT})")
        cells.append(element("g", title, inner, transform=f"translate({x} {y})"))
    height = -(-len(curves) // COLUMNS) * cell
    picture = element(
        "svg",
        element("style", STYLE),
        joined(*cells),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {COLUMNS * WIDTH} {height}",
        width=COLUMNS * WIDTH,
        height=height,
    )
    return picture.replace("<svg viewBox", f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox')


if __name__ == "__main__":
    main()
