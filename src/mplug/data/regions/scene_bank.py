"""Scenes as regions: drawn once, described box by box, kept in one file, and asked anew for ever.

What is asked of a scene costs nothing; drawing and describing it does. So a number of scenes is
drawn once, and every visit asks something else of one of them. Boxes are exact, and so is what
stands in them: a soft label is sure of the right class, and leaves a little to all others.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mplug.config.schema import ScenesConfig
from mplug.data.regions.stored import Floats, Regions, read_arrays
from mplug.data.scenes.scene import Box, Placed, Scene
from mplug.data.scenes.stream import SceneExamples, Split, to_pixels
from mplug.data.scenes.tasks import PAINTED, box_shares
from mplug.data.whole_file import whole_path

Describe = Callable[[npt.NDArray[np.float32], Sequence[Floats]], list[Floats]]
"""Features of the boxes of normalised pictures [pictures, 3, size, size], picture by picture."""

VERSION = 1  # raised whenever the same settings would draw other scenes
AT_ONCE = 64  # pictures described together
SCREENED = 0.3  # of the scenes, those with a screen
SURE = 0.9  # what a soft label gives the right class
BANK = 31  # marks the random numbers of what is kept
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class SceneBank:
    """Scenes without their pictures, and the regions of each: its objects, then its screen."""

    scenes: tuple[Scene, ...]
    regions: tuple[Regions, ...]

    def __len__(self) -> int:
        """How many scenes there are."""
        return len(self.scenes)


def region_boxes(scene: Scene) -> Floats:
    """The boxes [regions, 4] of a scene's objects, then of its screen, in shares of its sides."""
    size = scene.image.shape[0]
    boxes = [placed.box for placed in scene.objects] + ([scene.screen] if scene.screen else [])
    return np.array([box_shares(box, image_size=size) for box in boxes], dtype=np.float32)


def class_count(config: ScenesConfig) -> int:
    """Background, the concepts, and a screen."""
    return config.concepts + 2


def soft_labels(scene: Scene, names: Sequence[str]) -> Floats:
    """How sure one is of every class, region by region [regions, classes]."""
    classes = len(names) + 2
    right = [1 + names.index(placed.name) for placed in scene.objects]
    right += [classes - 1] if scene.screen else []
    labels = np.full((len(right), classes), (1 - SURE) / (classes - 1), dtype=np.float32)
    labels[np.arange(len(right)), right] = SURE
    return labels


def scene_bank(
    folder: Path,
    config: ScenesConfig,
    *,
    split: Split,
    count: int,
    image_size: int,
    encoder: str,
    describe: Callable[[], Describe],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SceneBank:
    """The bank of these settings, read from `folder`, or made and left there.

    `encoder` is the name of what `describe` gives: it is only asked for where there is no file.

    Raises:
        DataError: the folder cannot be written, or a file in it is not what it should be.
    """
    settings = [VERSION, config.model_dump(mode="json"), split, count, image_size, encoder]
    key = sha256(json.dumps(settings).encode()).hexdigest()[:12]
    file = folder / f"scenes-{split}-{key}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scenes = SceneExamples(config, image_size=image_size, split=split)
        made = _describe(scenes, count, describe(), progress)
        _save(file, *made)
    return _load(file, image_size=image_size, names=scenes_names(config))


def scenes_names(config: ScenesConfig) -> tuple[str, ...]:
    """The concepts of a world, in the order of their classes."""
    return SceneExamples(config, image_size=1).world.names


def describe_scenes(scenes: Sequence[Scene], describe: Describe) -> list[Floats]:
    """Features of the regions of scenes, many at once."""
    found: list[Floats] = []
    for start in range(0, len(scenes), AT_ONCE):
        some = scenes[start : start + AT_ONCE]
        pixels = np.stack([to_pixels(scene.image) for scene in some])
        found += describe(pixels, [region_boxes(scene) for scene in some])
    return found


def _describe(
    scenes: SceneExamples, count: int, describe: Describe, progress: Callable[[int, int], None]
) -> tuple[list[Scene], list[Floats]]:
    kept: list[Scene] = []
    features: list[Floats] = []
    for start in range(0, count, AT_ONCE):
        some = [_draw(scenes, place) for place in range(start, min(start + AT_ONCE, count))]
        features += describe_scenes(some, describe)
        kept += some
        progress(len(kept), count)
    return kept, features


def _draw(scenes: SceneExamples, place: int) -> Scene:
    random = scenes.random(place, 0, BANK)
    screened = bool(random.random() < SCREENED)
    renderer = replace(scenes.renderer, painted=PAINTED, screened=screened)
    return renderer.scene(scenes.draw_names(random), random=random)


def _save(file: Path, scenes: Sequence[Scene], features: Sequence[Floats]) -> None:
    said = [
        {"objects": [asdict(placed) for placed in scene.objects], "screen": scene.screen}
        for scene in scenes
    ]
    arrays: dict[str, Any] = {
        "scenes": np.frombuffer(json.dumps(said).encode(), dtype=np.uint8),
        "features": np.concatenate(features).astype(np.float16),
    }
    with whole_path(file) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, **arrays)


def _load(file: Path, *, image_size: int, names: Sequence[str]) -> SceneBank:
    arrays = read_arrays(file, names={"scenes", "features"}, most_bytes=MOST_BYTES)
    blank = np.broadcast_to(np.uint8(0), (image_size, image_size, 3))  # only its size is read
    scenes = [_scene(each, blank) for each in json.loads(arrays["scenes"].tobytes())]
    ends = np.cumsum([len(scene.objects) + (scene.screen is not None) for scene in scenes])
    features = np.split(arrays["features"].astype(np.float32), ends[:-1])
    return SceneBank(tuple(scenes), tuple(_regions(scenes, features, names)))


def _scene(said: dict[str, Any], blank: npt.NDArray[np.uint8]) -> Scene:
    objects = [Placed(**{**placed, "box": Box(*placed["box"])}) for placed in said["objects"]]
    return Scene(blank, tuple(objects), Box(*said["screen"]) if said["screen"] else None)


def _regions(
    scenes: Sequence[Scene], features: Sequence[Floats], names: Sequence[str]
) -> Iterator[Regions]:
    for scene, described in zip(scenes, features, strict=True):
        boxes = region_boxes(scene)
        sure = np.ones(len(boxes), dtype=np.float32)
        yield Regions(described, boxes, sure, soft_labels(scene, names))
