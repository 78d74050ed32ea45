"""Every word that the tasks of scenes can use beside the names of things."""

from collections.abc import Iterator

from mplug.data.scenes.facts import FURTHEST
from mplug.data.scenes.phrases import COLOURS
from mplug.data.scenes.scene import OPPOSITE

ASKED = (
    "what is in the picture?",
    "what is this?",
    "how many things are there?",
    "where is the thing, seen from the thing?",
    "where are the things?",
    "is there a thing? are there some things? yes no",
    "what colour is the thing? what colour are the things?",
    "left right top bottom middle above below",
    "both pictures show an only one picture shows neither picture shows",
    "the left picture shows more things, the right picture shows more things",
    "there is an, there are some",
    "what moves? what appears? what disappears? which way does the thing move? do the things move?",
    "a thing moves left and a thing stays, some things move right and some things stay",
    "a thing moves up, a thing moves down, a thing moves towards a thing, away from a thing",
    "a thing appears, some things appear, a thing disappears, some things disappear",
)


def task_words() -> Iterator[str]:
    """Short texts with all words of questions, answers, phrases, statements and clips."""
    yield from ASKED
    for direction, furthest in FURTHEST.items():
        yield f"what is {direction} the thing? what is the {furthest} thing?"
    yield f"{' '.join(OPPOSITE)} {' '.join(sorted(COLOURS))}"
    yield " ".join(str(number) for number in range(10))
