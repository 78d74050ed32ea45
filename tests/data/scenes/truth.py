"""Whether what is said of scenes is so: read again from texts and boxes alone, by other rules."""

import re

from mplug.data.scenes.phrases import concept_names
from mplug.data.scenes.scene import Box, Placed, Scene
from mplug.data.scenes.world import all_concepts

NAMES = [concept.name for concept in all_concepts()]
SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
ENDS = dict(zip(("leftmost", "rightmost", "topmost", "bottommost"), SIDES.values(), strict=True))
SIDE = re.compile("|".join(SIDES))
END = re.compile("|".join(ENDS))


def centre(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def named(scene: Scene, name: str) -> Placed:
    (found,) = [each for each in scene.objects if each.name == name]
    return found


def stands(one: Placed, side: str, other: Placed) -> bool:
    """Whether the centres differ towards that side, and more so than across it."""
    axis, sign = SIDES[side]
    offsets = [a - b for a, b in zip(centre(one.box), centre(other.box), strict=True)]
    return sign * offsets[axis] > abs(offsets[1 - axis])


def shows(scene: Scene, name: str) -> bool:
    return name in scene.names


def fits(scene: Scene, phrase: str) -> list[Placed]:
    """The objects that a phrase fits."""
    side, end = SIDE.search(phrase), END.search(phrase)
    if end is not None:
        axis, sign = ENDS[end.group()]
        return [max(scene.objects, key=lambda each: sign * centre(each.box)[axis])]
    names = concept_names(phrase, NAMES)
    if side is None:
        return [named(scene, names[0])]
    other = named(scene, names[-1])
    there = [
        each for each in scene.objects if each is not other and stands(each, side.group(), other)
    ]
    return [each for each in there if len(names) == 1 or each.name == names[0]]


def relation_is_true(scene: Scene, text: str) -> bool:
    """Of a text that names two things of the scene and how they stand."""
    found = SIDE.search(text)
    assert found is not None
    one, other = concept_names(text, NAMES)
    return stands(named(scene, one), found.group(), named(scene, other))


def place_is_true(scene: Scene, placed: Placed, place: str) -> bool:
    size = scene.image.shape[0]
    right, down = (value / size - 0.5 for value in centre(placed.box))
    return {
        "left": right < -abs(down),
        "right": right > abs(down),
        "top": down < -abs(right),
        "bottom": down > abs(right),
        "middle": max(abs(right), abs(down)) < 0.05,
    }[place]
