"""What a gallery of scenes can be told without learning: neighbours by pixels, common captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from mplug.data.scenes.phrases import caption
from mplug.data.scenes.stream import Captioned, SceneExamples
from mplug.metrics.baselines import PixelNeighbours, WordOverlap, most_frequent, random_captions
from mplug.metrics.captions import simple_tokens
from mplug.tasks.observer import Progress, silent

REPORT_EVERY = 500  # scenes drawn between two words of progress


@dataclass(frozen=True)
class Untrained:
    """Training scenes remembered as they are: their captions, and how to find the most alike."""

    captions: tuple[str, ...]
    neighbours: PixelNeighbours
    overlap: WordOverlap
    seed: int

    @classmethod
    def remember(
        cls, scenes: SceneExamples, *, count: int, seed: int, progress: Progress = silent
    ) -> Self:
        """Draw `count` training scenes, without augmentation: nothing is learned that it helps."""
        random = np.random.default_rng([scenes.config.seed, seed])
        renderer = scenes.plain_renderer()
        pictures = np.empty((count, *[renderer.image_size] * 2, 3), dtype=np.uint8)
        captions = []
        for place in range(count):
            scene = renderer.scene(scenes.draw_names(random), random=random)
            pictures[place] = scene.image
            captions.append(caption(scene, random=random))
            if (place + 1) % REPORT_EVERY == 0:
                progress(place + 1, count)
        tokens = [simple_tokens(caption) for caption in captions]
        return cls(tuple(captions), PixelNeighbours.of(pictures), WordOverlap.of(tokens), seed)

    def captions_for(self, gallery: Sequence[Captioned]) -> dict[str, list[str]]:
        """A caption for each scene by each way that learns nothing, by its name."""
        nearest = self.neighbours.nearest([each.scene.image for each in gallery])
        common = most_frequent(self.captions)
        return {
            "chance": random_captions(self.captions, count=len(gallery), seed=self.seed),
            "pixel_nearest_neighbour": [self.captions[place] for place in nearest],
            "most_frequent_caption": [common] * len(gallery),
        }

    def similarity(
        self, captions: Sequence[str], gallery: Sequence[Captioned]
    ) -> npt.NDArray[np.float64]:
        """How much each caption shares with each text of the gallery [captions, texts]."""
        return self.overlap.similarity(
            [simple_tokens(caption) for caption in captions],
            [simple_tokens(each.caption) for each in gallery],
        )
