"""Scenes as training examples without end, and as fixed galleries to evaluate on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mplug.config.schema import ScenesConfig
from mplug.data.batch import Example, identity
from mplug.data.scenes.phrases import OPENINGS, Wording, caption, captions, with_article
from mplug.data.scenes.render import Renderer
from mplug.data.scenes.scene import OPPOSITE, Pixels, Scene
from mplug.data.scenes.wordlist import task_words
from mplug.data.scenes.world import TEST_ARTISTS, World, artists_with, check_split
from mplug.data.transforms import MEAN, STD
from mplug.errors import ConfigError

Split = Literal["train", "validation", "test"]

TRIES = 1000  # draws, before a set of names is said not to exist
NORMALISED = ((np.arange(256, dtype=np.float32)[:, None] / 255 - MEAN) / STD).T  # by channel
EPOCH = 100_000  # examples; scenes never repeat, so this only gives progress a measure


@runtime_checkable
class Words(Protocol):
    """What is needed of a tokenizer."""

    @property
    def cls_id(self) -> int:
        """Begins every text."""
        ...

    @property
    def sep_id(self) -> int:
        """Ends every text."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text's pieces, without special tokens."""
        ...


@dataclass(frozen=True)
class Captioned:
    """A scene with the caption to search with, and every plain caption that is true of it."""

    scene: Scene
    caption: str
    references: tuple[str, ...]


class SceneExamples:
    """Scenes drawn as they are asked for: an example is a function of seed and position.

    Training scenes never hold a held-out pair together and are augmented; those of the other
    splits are neither. `tokenizer` may be left out where only scenes or captions are wanted.

    Raises:
        ConfigError: the world cannot be made, or one artist is on both sides of a split.
    """

    def __init__(
        self,
        config: ScenesConfig,
        *,
        image_size: int,
        tokenizer: Words | None = None,
        max_words: int = 30,
        split: Split = "train",
        artists: Sequence[str] | None = None,
        wording: Wording | None = None,
    ) -> None:
        check_split([config.artists, config.validation_artists, TEST_ARTISTS])
        self.config = config
        self.tokenizer = tokenizer
        self.max_words = max_words
        self.split = split
        self.wording = wording or Wording()
        self.world = World.load(
            concepts=config.concepts, seed=config.seed, held_out_pairs=config.held_out_pairs
        )
        if not 1 <= config.min_objects <= config.max_objects <= config.concepts:
            raise ConfigError(
                f"data.scenes: min_objects {config.min_objects} to max_objects "
                f"{config.max_objects} must lie between 1 and concepts = {config.concepts}"
            )
        self.renderer = Renderer(
            tuple(artists) if artists is not None else self.artists_of(split),
            image_size=image_size,
            object_scale=config.object_scale,
            turned=split == "train",
            repainted=split == "train",
        )
        for name in self.world.names:
            artists_with(name, self.renderer.artists)

    def __len__(self) -> int:
        """A nominal epoch; scenes never repeat."""
        return EPOCH

    def artists_of(self, split: Split) -> tuple[str, ...]:
        """The artists whose drawings a split shows."""
        if split == "train":
            return self.config.artists
        return self.config.validation_artists if split == "validation" else TEST_ARTISTS

    def example(self, position: int, *, seed: int) -> Example:
        """Pixels [3, size, size] and the ids [CLS] caption [SEP] of one scene."""
        if self.tokenizer is None:
            raise ConfigError("these scenes were made without a tokenizer, so they have no ids")
        scene, text = self.captioned_scene(position, seed=seed)
        pieces = self.tokenizer.encode(text)[: self.max_words]
        return Example(
            pixels=to_pixels(scene.image),
            ids=[self.tokenizer.cls_id, *pieces, self.tokenizer.sep_id],
            image_id=identity(f"{self.split} scene {seed} {position}"),
            caption_id=identity(text),
        )

    def captioned_scene(self, position: int, *, seed: int) -> tuple[Scene, str]:
        """The scene at `position`, and one caption of it."""
        random = self.random(position, seed)
        scene = self.renderer.scene(self.draw_names(random), random=random)
        return scene, caption(scene, random=random, wording=self.wording)

    def random(self, position: int, seed: int, *purpose: int) -> np.random.Generator:
        """The random numbers of the example at `position`; those of a purpose are their own."""
        kind = ("train", "validation", "test").index(self.split)
        return np.random.default_rng([self.config.seed, seed, position, kind, *purpose])

    def captions_for_tokenizer(self) -> Iterator[str]:
        """A finite corpus with every word that captions of this world can have."""
        phrases = [with_article(name) for name in self.world.names]
        for place, phrase in enumerate(phrases):
            other = phrases[(place + 1) % len(phrases)]
            for opening in OPENINGS:
                yield f"{opening}{phrase} and {other}, {phrase}"
                for direction in (*OPPOSITE, "beside"):
                    yield f"{opening}{phrase} {direction} {other}"
        yield from task_words()

    def gallery(
        self,
        count: int,
        *,
        artists: Sequence[str],
        seed: int,
        objects: Sequence[int] = (2,),
    ) -> list[Captioned]:
        """Scenes without augmentation whose sets of objects all differ, absent from training.

        `objects` gives the numbers of objects, shared out as in training. A pair is a held-out
        one; a larger set holds one at least; single objects, which training has seen, only differ.

        Raises:
            ConfigError: there are fewer such sets than asked for.
        """
        random = np.random.default_rng([self.config.seed, seed, count, 7])
        renderer = replace(self.plain_renderer(), artists=tuple(artists))
        made = []
        for names in self.different_sets(count, objects, random):
            scene = renderer.scene(names, random=random)
            texts = captions(scene)
            made.append(Captioned(scene, texts[0], texts))
        return made

    def plain_renderer(self, *, turned: bool = False) -> Renderer:
        """What draws this split's scenes in the drawings' own colours."""
        return replace(self.renderer, turned=turned, repainted=False)

    def draw_names(self, random: np.random.Generator) -> list[str]:
        """What the next scene shows; in training, nothing that may not meet."""
        counts = np.arange(self.config.min_objects, self.config.max_objects + 1)
        count = int(random.choice(counts, p=_shares(counts)))
        for _ in range(TRIES):
            places = random.choice(len(self.world.names), size=count, replace=False)
            names = [self.world.names[place] for place in places]
            if self.split != "train" or self.world.may_meet(names):
                return names
        raise ConfigError(
            f"data.scenes: hardly any {count} of {self.config.concepts} concepts may meet in "
            f"training: lower held_out_pairs = {self.config.held_out_pairs} or max_objects"
        )

    def different_sets(
        self, count: int, objects: Sequence[int], random: np.random.Generator
    ) -> list[list[str]]:
        """Sets in random order; what one number of objects cannot give, the next one must."""
        numbers = sorted(set(objects))
        ends = np.rint(np.cumsum(_shares(np.array(numbers))) * count).astype(int)
        sets: list[list[str]] = []
        for number, end in zip(numbers, ends.tolist(), strict=True):
            sets += self._sets_of(number, end - len(sets), random)
        if len(sets) < count:
            raise ConfigError(
                f"{count} different sets of {' or '.join(map(str, numbers))} objects that are "
                f"absent from training were asked for, but there are {len(sets)}: raise "
                "data.scenes.held_out_pairs or ask for fewer"
            )
        return [sets[place] for place in random.permutation(len(sets))]

    def _sets_of(self, number: int, wanted: int, random: np.random.Generator) -> list[list[str]]:
        """At most `wanted` different sets of names, each in random order."""
        names, pairs = self.world.names, sorted(sorted(pair) for pair in self.world.held_out)
        if number <= 2:
            known = [[name] for name in names] if number == 1 else pairs
            places = random.permutation(len(known))[:wanted]
            return [[str(name) for name in random.permutation(known[place])] for place in places]
        if not pairs:
            return []
        found: dict[frozenset[str], list[str]] = {}
        for _ in range(TRIES + 20 * wanted):
            if len(found) == wanted:
                break
            start = pairs[int(random.integers(len(pairs)))]
            others = [name for name in names if name not in start]
            more = random.choice(len(others), size=number - 2, replace=False)
            drawn = [*start, *(others[place] for place in more)]
            found.setdefault(frozenset(drawn), [str(name) for name in random.permutation(drawn)])
        return list(found.values())


def _shares(counts: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
    """How often scenes have each number of objects: one half as often as any other."""
    weights = np.where(counts == 1, 0.5, 1.0)
    return weights / weights.sum()


def to_pixels(image: Pixels) -> npt.NDArray[np.float32]:
    """An image [size, size, 3] as normalised float32 [3, size, size]."""
    pixels = np.empty((3, *image.shape[:2]), dtype=np.float32)
    for channel in range(3):
        pixels[channel] = NORMALISED[channel].take(image[..., channel])
    return pixels
