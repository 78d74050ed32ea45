"""What a world of scenes is made of: concepts, their drawings by artist, and held-out pairs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from itertools import combinations, product
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from mplug.errors import ConfigError

Pixels = npt.NDArray[np.uint8]
Pair = frozenset[str]

TRAINING_ARTISTS = ("noto", "noto-v1", "fxemoji", "twemoji", "streamline")
VALIDATION_ARTISTS = ("emojione",)
TEST_ARTISTS = ("fluent-flat", "fluent")
# Renderings by one artist: no two may be on different sides of a split.
SAME_ARTIST = ({"fluent-flat", "fluent"}, {"emojione", "emojione-v1"})


@dataclass(frozen=True)
class Concept:
    """Something that can be drawn: its name, and other words people use for it."""

    name: str
    countable: bool  # False: "some grapes", not "a grapes"
    icon: str  # what icon sets call it
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """The concepts scenes are made of, and the pairs that no training scene may hold together."""

    concepts: tuple[Concept, ...]
    held_out: frozenset[Pair]

    @classmethod
    def load(cls, *, concepts: int, seed: int, held_out_pairs: int = 0) -> Self:
        """Draw a world: concepts that more artists have drawn are taken first.

        Raises:
            ConfigError: the sample has fewer concepts, or too few pairs would be left to learn.
        """
        known = all_concepts()
        if concepts > len(known):
            raise ConfigError(
                f"data.scenes.concepts = {concepts}, but the vendored sample has {len(known)}"
            )
        random = np.random.default_rng([seed, 1])
        artists = (*TRAINING_ARTISTS, *VALIDATION_ARTISTS, *TEST_ARTISTS)
        missing = [sum(each.name not in _boxes()[one] for one in artists) for each in known]
        order = np.lexsort((random.random(len(known)), np.array(missing)))
        chosen = sorted((known[place] for place in order[:concepts]), key=lambda each: each.name)
        held_out = _hold_out([each.name for each in chosen], pairs=held_out_pairs, seed=seed)
        return cls(tuple(chosen), held_out)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The concepts' names, in alphabetical order."""
        return tuple(each.name for each in self.concepts)

    def may_meet(self, names: Iterable[str]) -> bool:
        """Whether a training scene may hold all these names together."""
        return not any(frozenset(pair) in self.held_out for pair in combinations(names, 2))


@lru_cache(maxsize=1)
def all_concepts() -> tuple[Concept, ...]:
    """Every concept of the vendored sample."""
    return tuple(
        Concept(entry["name"], entry["countable"], entry["icon"], tuple(entry["keywords"]))
        for entry in _index()["concepts"]
    )


def artist_names() -> tuple[str, ...]:
    """Every artist whose drawings are vendored."""
    return tuple(_boxes())


def artists_with(name: str, artists: Sequence[str]) -> tuple[str, ...]:
    """Those of `artists` that have drawn `name`.

    Raises:
        ConfigError: an artist is unknown, or none of them has drawn it.
    """
    for artist in artists:
        if artist not in _boxes():
            raise _unknown(artist)
    drawn = tuple(artist for artist in artists if name in _boxes()[artist])
    if not drawn:
        raise ConfigError(f"none of the artists {', '.join(artists)} has drawn {name!r}: name more")
    return drawn


def check_split(groups: Sequence[Sequence[str]]) -> None:
    """Refuse groups of artists that share an artist, under whatever name.

    Raises:
        ConfigError: an artist is in two groups.
    """
    for one, other in combinations(groups, 2):
        for left, right in product(one, other):
            if left == right or any({left, right} <= same for same in SAME_ARTIST):
                raise ConfigError(
                    f"{left!r} and {right!r} are one artist, on both sides of a split: "
                    "scores on an unseen artist would mean nothing"
                )


def drawing(artist: str, name: str) -> Pixels:
    """A drawing, straight RGBA [height, width, 4], cropped to what it shows.

    Raises:
        ConfigError: the artist is unknown or has not drawn it.
    """
    (artist,) = artists_with(name, (artist,))
    x0, y0, x1, y1 = _boxes()[artist][name]
    return _sheet(artist)[y0:y1, x0:x1]


def _hold_out(names: Sequence[str], *, pairs: int, seed: int) -> frozenset[Pair]:
    """Pairs drawn so that every name loses about as many partners as any other."""
    possible = len(names) * (len(names) - 1) // 2
    if pairs > possible // 2:
        raise ConfigError(
            f"data.scenes.held_out_pairs = {pairs}, but {len(names)} concepts make {possible} "
            f"pairs and half of them must stay for training: at most {possible // 2}"
        )
    if not pairs:
        return frozenset()
    random = np.random.default_rng([seed, 2])
    lost = dict.fromkeys(names, 0)
    drawn = list(combinations(names, 2))
    order = [drawn[place] for place in random.permutation(possible)]
    chosen: list[Pair] = []
    while len(chosen) < pairs:
        limit = min(lost.values()) + 2  # grows as the rounds go, so that losses stay even
        rest = []
        for one, other in order:
            if len(chosen) < pairs and lost[one] < limit and lost[other] < limit:
                chosen.append(frozenset((one, other)))
                lost[one] += 1
                lost[other] += 1
            else:
                rest.append((one, other))
        if len(rest) == len(order):  # the least used names have no partner left within the limit
            one, other = rest.pop(0)
            chosen.append(frozenset((one, other)))
            lost[one] += 1
            lost[other] += 1
        order = rest
    return frozenset(chosen)


@dataclass(frozen=True)
class Credit:
    """Who made an artist's drawings, and how they may be used."""

    title: str
    author: str
    url: str
    licence: str  # SPDX
    package: str  # npm name@version


def credit(artist: str) -> Credit:
    """Whom to name beside pictures that show this artist's drawings.

    Raises:
        ConfigError: the artist is unknown.
    """
    if artist not in _boxes():
        raise _unknown(artist)
    return Credit(**_index()["credits"][artist])


def add_artist(
    artist: str, *, sheet: Pixels, boxes: Mapping[str, Sequence[int]], credit: Credit
) -> None:
    """Make drawings that are not vendored known to this process, under a name of their own.

    `boxes` gives each concept's place [x0, y0, x1, y1] on the RGBA `sheet`.

    Raises:
        ConfigError: the name is that of a vendored artist.
    """
    if artist in _boxes() and artist not in _added:
        raise ConfigError(f"there are drawings by {artist!r} already: choose another name")
    _added[artist] = sheet
    _index()["boxes"][artist] = {name: list(box) for name, box in boxes.items()}
    _index()["credits"][artist] = asdict(credit)


_added: dict[str, Pixels] = {}  # sheets that are not vendored


@lru_cache(maxsize=1)
def _index() -> dict[str, Any]:
    text = (_assets() / "index.json").read_text(encoding="utf-8")
    index: dict[str, Any] = json.loads(text)
    return index


def _boxes() -> dict[str, dict[str, list[int]]]:
    boxes: dict[str, dict[str, list[int]]] = _index()["boxes"]
    return boxes


def _assets() -> Traversable:
    return files("mplug.data.scenes") / "assets"


def _unknown(artist: str) -> ConfigError:
    return ConfigError(
        f"there are no drawings by {artist!r}; the artists are {', '.join(_boxes())}"
    )


def _sheet(artist: str) -> Pixels:
    return _added[artist] if artist in _added else _vendored_sheet(artist)


@lru_cache(maxsize=16)
def _vendored_sheet(artist: str) -> Pixels:
    with Image.open(BytesIO((_assets() / f"{artist}.webp").read_bytes())) as image:
        sheet = np.array(image.convert("RGBA"))
    sheet.flags.writeable = False
    return sheet
