"""A topic's plots as SVG: bars of times with their range, and curves of how things grow."""

import re
from pathlib import Path
from typing import Any

Json = dict[str, Any]
OURS, PEER, TWIN = "#0b6e4f", "#8d99ae", "#d9a441"


def draw(topic: Json, folder: Path, *, suffix: str = "svg") -> list[Path]:
    """One picture for all comparisons, one for each curve; the files written."""
    import matplotlib

    matplotlib.use("Agg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "mplug", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    if topic["comparisons"]:
        paths.append(folder / f"{topic['name']}.{suffix}")
        _save(_bars(topic["comparisons"]), paths[-1])
    for curve in topic["curves"]:
        word = re.sub(r"[^a-z0-9]+", "-", curve["title"].lower()).strip("-")
        paths.append(folder / f"{topic['name']}-{word}.{suffix}")
        _save(_curve(curve), paths[-1])
    return paths


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, bbox_inches="tight", metadata=metadata, dpi=110)
    pyplot.close(figure)


def _bars(comparisons: list[Json]) -> Any:
    """Seconds of each rival, the range as a whisker, its ratio written behind."""
    from matplotlib import pyplot

    counts = [len(_racing(each)) for each in comparisons]
    figure, axes = pyplot.subplots(
        len(comparisons),
        1,
        figsize=(7.5, sum(0.34 * count + 0.75 for count in counts)),
        height_ratios=[count + 1 for count in counts],
        squeeze=False,
        layout="constrained",
    )
    for axis, comparison in zip(axes[:, 0], comparisons, strict=True):
        _race(axis, comparison)
    return figure


def _racing(comparison: Json) -> list[Json]:
    return [each for each in comparison["found"] if not each["name"].startswith("roof ")]


def _race(axis: Any, comparison: Json) -> None:
    racing = _racing(comparison)
    places = range(len(racing))
    middle = [each["median"] for each in racing]
    spread = [
        [each["median"] - min(each["seconds"]) for each in racing],
        [max(each["seconds"]) - each["median"] for each in racing],
    ]
    axis.barh(
        places,
        middle,
        xerr=spread,
        color=[_colour(each, comparison) for each in racing],
        height=0.7,
    )
    for place, each in zip(places, racing, strict=True):
        words = f"  {each['median']:.3g} s"
        if each["name"] != comparison["reference"]:
            words += f", {each['ratio']:.2f}x"
        axis.text(max(each["seconds"]), place, words, va="center")
    axis.set_yticks(places, [each["name"] for each in racing])
    axis.invert_yaxis()
    axis.set_xlim(0, max(max(each["seconds"]) for each in racing) * 1.25)
    axis.set_title(comparison["title"], loc="left", fontsize=9, fontweight="bold")
    axis.set_xlabel("seconds")
    axis.spines[["top", "right"]].set_visible(False)


def _colour(found: Json, comparison: Json) -> str:
    if found["name"] == comparison["reference"]:
        return PEER
    return OURS if found["name"].startswith("mplug") and "without" not in found["name"] else TWIN


def _curve(curve: Json) -> Any:
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axis = pyplot.subplots(figsize=(5.5, 3.4), layout="constrained")
    for name, points in curve["series"].items():
        xs, ys = zip(*points, strict=True)
        # What is counted and not measured is dashed.
        dashed = any(word in name for word in ("arithmetic", "slope", "counted"))
        axis.plot(xs, ys, "--" if dashed else "-o", label=name, markersize=4)
    if curve["log"]:
        axis.set_xscale("log")
        axis.set_yscale("log")
        measured = {x for points in curve["series"].values() for x, _ in points}
        axis.set_xticks(sorted(measured), [f"{x:,.9g}" for x in sorted(measured)])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
    else:
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
    axis.set(xlabel=curve["x"], ylabel=curve["y"])
    axis.set_title(curve["title"], loc="left", fontsize=9, fontweight="bold")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
