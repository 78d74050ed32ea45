"""The fusion bench's page and picture, from its cells."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from mplug.interfaces.bench.fusion import ENCODERS, PATCH
from mplug.interfaces.bench.networks import (
    PAPER_STRIDE_SECONDS,
    Network,
    Sizes,
    networks,
)
from mplug.interfaces.experiments.cells import Cells
from mplug.interfaces.report.bars import Bar, Panel, picture

SAMPLES = 100  # the paper's seconds are of so many
MEBIBYTE = 2**20
Clocks = Mapping[str, Sequence[float]]
PAPER_REFERENCE = PAPER_STRIDE_SECONDS[3]
HEADS = (
    "network",
    "multiply-adds, 10⁹",
    "×",
    "forward, s",
    "×",
    "processors ×",
    "training, s",
    "×",
    "processors ×",
    "with encoders ×",
    "memory, MB",
    "training, MB",
    "paper, s",
    "×",
)


class Ratios(NamedTuple):
    """How many times the reference's, round by round."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def lines(cells: Cells) -> list[str]:
    """The page."""
    sizes = Sizes(**cells.settings["sizes"])
    return [
        "# Fusion schemes side by side",
        "",
        f"{sizes.num_layers} fusion layers of width {sizes.dim}, {cells.settings['batch']} pairs "
        f"at once, {cells.settings['repeats']} rounds in which every network had its turn. Seconds "
        f"are medians, for {SAMPLES} pairs; × is how many times the skip-connected network with "
        "S = 3, median and range of the rounds' own; of processors' time too, which is the one to "
        "believe where other work ran on them (a load above their number). Training is forwards "
        "and backwards, without the optimiser's update. *With encoders* is forwards, behind a "
        f"vision transformer of {2 * sizes.num_layers} layers on patches of {PATCH} px and a text "
        f"encoder of {sizes.num_layers}. Memory is the peak of what is made, without weights; in "
        "training with their gradients. Multiply-adds are those of one pair.",
        "",
        *_networks(sizes),
        *(line for name in cells.names for line in _shape(cells, name, sizes)),
        "The paper's seconds are those of its figures 3 and 4, for 100 samples; it names neither "
        "device nor lengths. Of S it counts layers from one and connects where i mod (S + 1) = 0; "
        "the released code counts from zero and connects where i mod S = 0, but never the first. "
        "Where a stride connects nothing, the network is the asymmetric one, measured twice: how "
        "far the two rows are apart is how far to trust the others.",
        "",
    ]


def chart(cells: Cells) -> str:
    """Times as multiples of the reference's, with the paper's as marks.

    On a CPU they are of processors' time, which other work on them does not change.
    """
    sizes = Sizes(**cells.settings["sizes"])
    panels = [
        Panel(f"{_title(name)}: {kind}", _bars(cells[name], kind, sizes))
        for name in cells.names
        for kind in ("forward", "training")
    ]
    return picture(
        panels,
        about="Time (processors', on a CPU) as a multiple of the skip-connected network's with "
        "S = 3: median and range of rounds. Mark: by the paper's figures.",
    )


def _networks(sizes: Sizes) -> list[str]:
    heads = ("network", "connected layers, from 0", "rule", "parameters, 10⁶")
    rows = [
        (
            network.name,
            ", ".join(map(str, network.places)) or "none",
            "; ".join(network.strides) or "every layer",
            f"{_parameters(network, sizes) / 1e6:.1f}",
        )
        for network in networks(sizes.num_layers)
    ]
    return [*_table(heads, rows), ""]


def _parameters(network: Network, sizes: Sizes) -> int:
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in network.build(sizes).parameters())


def _title(name: str) -> str:
    image, _, words = name.partition("/")
    return f"{image} px, {words} words"


def _shape(cells: Cells, name: str, sizes: Sizes) -> list[str]:
    rows, machine = cells[name]["rows"], cells[name]["machine"]
    image, _, words = name.partition("/")
    patches = (int(image) // PATCH) ** 2 + 1
    batch = cells.settings["batch"]
    compared = networks(sizes.num_layers)
    table = [
        _row(network, rows, reference=rows[compared[0].name], per_sample=SAMPLES / batch)
        for network in compared
    ]
    encoders = rows[ENCODERS]
    seconds = median(encoders["forward"]["seconds"]) * SAMPLES / batch
    return [
        f"## {image} px ({patches} places) and {words} words",
        "",
        *_table(HEADS, table),
        "",
        f"The encoders take {seconds:.1f} s and {encoders['multiply_adds'] / 1e9:.1f} × 10⁹ "
        f"multiply-adds. {machine['device']}, {machine['threads']} threads, torch "
        f"{machine['torch']}, a load of {machine['load_average']:.1f} at the end.",
        "",
    ]


def _row(
    network: Network, rows: Mapping[str, Any], *, reference: Mapping[str, Any], per_sample: float
) -> list[str]:
    mine, encoders = rows[network.name], rows[ENCODERS]
    together = _ratios(
        _added(mine["forward"]["seconds"], encoders["forward"]["seconds"]),
        _added(reference["forward"]["seconds"], encoders["forward"]["seconds"]),
    )
    paper = network.paper_seconds
    return [
        network.name,
        f"{mine['multiply_adds'] / 1e9:.2f}",
        f"{mine['multiply_adds'] / reference['multiply_adds']:.2f}",
        *_times(mine["forward"], reference["forward"], per_sample=per_sample),
        *_times(mine["training"], reference["training"], per_sample=per_sample),
        f"{together.value:.2f}",
        f"{mine['forward_bytes'] / MEBIBYTE:.1f}",
        f"{mine['training_bytes'] / MEBIBYTE:.1f}",
        "" if paper is None else f"{paper:.2f}",
        "" if paper is None else f"{paper / PAPER_REFERENCE:.2f}",
    ]


def _times(mine: Clocks, reference: Clocks, *, per_sample: float) -> list[str]:
    return [
        f"{median(mine['seconds']) * per_sample:.2f}",
        str(_ratios(mine["seconds"], reference["seconds"])),
        str(_ratios(mine["processor_seconds"], reference["processor_seconds"])),
    ]


def _bars(cell: Mapping[str, Any], kind: str, sizes: Sizes) -> list[Bar]:
    rows, on_processors = cell["rows"], cell["machine"]["device"].startswith("cpu")
    clock = "processor_seconds" if on_processors else "seconds"
    bars, compared = [], networks(sizes.num_layers)
    for network in compared:
        mine, reference = rows[network.name][kind], rows[compared[0].name][kind]
        ratios = _ratios(mine[clock], reference[clock])
        paper = network.paper_seconds
        mark = None if paper is None else paper / PAPER_REFERENCE
        name = network.name.replace("skip-connected, ", "skip, ")
        bars.append(Bar(name, *ratios, mark))
    return bars


def _ratios(mine: Sequence[float], reference: Sequence[float]) -> Ratios:
    each = [one / other for one, other in zip(mine, reference, strict=True)]
    return Ratios(median(each), min(each), max(each))


def _added(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [one + other for one, other in zip(first, second, strict=True)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body]
