"""The fusion networks that are compared: four schemes, and strides by two rules."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from mplug.config.sizes import PAPER_STRIDE, connected_places
from mplug.nn.fusion import skip_connected, uniform

RULES: tuple[Literal["paper", "released"], ...] = ("paper", "released")
STRIDES = (1, 2, 3, 6)
PAPER_LAYERS = 6

# The paper's figure 4, and figure 3 for strides: seconds of 100 samples; where, it does not say.
PAPER_SECONDS = {"co-attention": 1.86, "connected attention": 1.65, "asymmetric": 0.28}
PAPER_STRIDE_SECONDS = {1: 1.65, 2: 1.03, 3: 0.41, 6: 0.28}


@dataclass(frozen=True)
class Sizes:
    """Of all networks alike."""

    dim: int = 768
    num_heads: int = 12
    hidden_dim: int = 3072
    num_layers: int = 6


@dataclass(frozen=True)
class Network:
    """One fusion network; `places` are its connected layers, counted from 0."""

    name: str
    scheme: str
    places: tuple[int, ...]
    strides: tuple[str, ...] = field(default=())  # each that gives these places, with its rule
    paper_seconds: float | None = None

    def build(self, sizes: Sizes) -> nn.ModuleList:
        """With new weights, from torch's current seed."""
        shape = {"dim": sizes.dim, "num_heads": sizes.num_heads, "hidden_dim": sizes.hidden_dim}
        rest = {"eps": 1e-12, "dropout": 0.0}
        if self.scheme != "skip":
            return uniform(sizes.num_layers, scheme=self.scheme, **shape, **rest)  # type: ignore[arg-type]
        return skip_connected(
            sizes.num_layers,
            connected_at=self.places,
            add_image=False,
            **shape,
            **rest,  # type: ignore[arg-type]
        )


def networks(num_layers: int, *, strides: Sequence[int] = STRIDES) -> list[Network]:
    """What others are compared with (S = 3), then the other schemes, then other strides.

    A stride by either rule is a network of its own only where its places differ from the others'.
    One that connects nothing is there all the same: it is the asymmetric network once more, and
    shows how far two measurements of one thing are apart.
    """
    by_places: dict[tuple[int, ...], list[tuple[int, str]]] = {}
    for stride in dict.fromkeys((PAPER_STRIDE, *strides)):
        for rule in RULES:
            by_places.setdefault(_places(num_layers, stride, rule), []).append((stride, rule))
    skip = [_skip(num_layers, places, named) for places, named in by_places.items()]
    everywhere = tuple(range(num_layers))
    known = PAPER_SECONDS if num_layers == PAPER_LAYERS else {}
    others = [
        Network(name, scheme, places, paper_seconds=known.get(name))
        for name, scheme, places in (
            ("connected attention", "connected", everywhere),
            ("co-attention", "co_attention", ()),
            ("asymmetric", "asymmetric", ()),
        )
    ]
    return [skip[0], *others, *skip[1:]]


def _skip(num_layers: int, places: tuple[int, ...], named: Sequence[tuple[int, str]]) -> Network:
    strides = dict.fromkeys(stride for stride, _ in named)
    whole = [stride for stride in strides if {(stride, rule) for rule in RULES} <= set(named)]
    one = f"S = {', '.join(map(str, strides))}"
    name = f"skip-connected, {one}" if whole else f"skip-connected, {one} ({named[0][1]})"
    return Network(
        name,
        "skip",
        places,
        tuple(f"S = {stride}, {rule}" for stride, rule in named),
        PAPER_STRIDE_SECONDS.get(named[0][0]) if num_layers == PAPER_LAYERS else None,
    )


def _places(num_layers: int, stride: int, rule: Literal["paper", "released"]) -> tuple[int, ...]:
    with warnings.catch_warnings():  # that a stride connects nothing is a row of the table
        warnings.simplefilter("ignore")
        return connected_places(num_layers, stride=stride, rule=rule)
