"""What else is asked of pictures: questions, phrases, pairs, hypotheses and clips, as HTML."""

from collections.abc import Callable
from functools import partial

from mplug.interfaces.report.content import Part
from mplug.interfaces.report.examples import AskExample, Box, BoxExample, Picture
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.parts import grid, image, section, worst_of_all
from mplug.interfaces.report.scores import kinds_table
from mplug.interfaces.report.wording import PARTS, WORST_BOXES, WORST_SAID, part_title, spelled

PAIR = "compare"  # its two pictures are the left and the right one; elsewhere several are a clip
SIDES = ("left", "right")

Card = Callable[[AskExample | BoxExample], Markup]


def part_section(part: Part) -> Markup:
    """A task's section: on each split its kinds and some of what is asked, then the failures."""
    every = (*part.examples, *part.worst)
    boxed = any(isinstance(each, BoxExample) for each in every)
    class_ = "asks wide" if any(_is_wide(each) for each in every) else "asks"
    card = partial(_card, task=part.task)
    splits = dict.fromkeys(each.split for each in (*part.kinds, *part.examples))
    if not splits:
        return joined()
    worst = worst_of_all(
        part.worst, card=card, tag="ul", class_=class_, note=WORST_BOXES if boxed else WORST_SAID
    )
    return section(
        part_title(part.task),
        PARTS[part.task][1] if part.task in PARTS else "",
        _box_key() if boxed else joined(),
        *(_split(part, split, card, class_) for split in splits),
        worst,
        anchor=part.task,
    )


def _split(part: Part, split: str, card: Card, class_: str) -> Markup:
    kinds = [score for score in part.kinds if score.split == split]
    shown = [each for each in part.examples if each.split == split]
    return joined(
        element("h3", spelled(split)),
        kinds_table(kinds) if kinds else joined(),
        grid(shown, card, "ul", class_) if shown else joined(),
    )


def _card(example: AskExample | BoxExample, *, task: str) -> Markup:
    if isinstance(example, BoxExample):
        return _box_card(example)
    return _ask_card(example, task=task)


def _is_wide(example: AskExample | BoxExample) -> bool:
    return isinstance(example, AskExample) and len(example.pictures) > 1


def _ask_card(example: AskExample, *, task: str) -> Markup:
    verdict = "right" if example.right else "wrong"
    said = example.said.strip() or "(nothing)"
    lines = [
        element("p", example.text, class_="asked"),
        element("p", _judged(said, verdict), class_="predicted"),
    ]
    if not example.right:
        lines.append(element("p", f"right answer: {example.true}", class_="truth"))
    if example.blind:
        lines.append(element("p", f"without the picture: {example.blind}", class_="blind"))
    chips = [
        element("span", "✓ right", class_="chip good")
        if example.right
        else element("span", "✗ wrong", class_="chip bad")
    ]
    if example.sure is not None:
        chips.append(element("span", f"{example.sure:.0%} sure", class_="chip"))
    lines.append(element("p", *chips, class_="chips"))
    return element("li", _pictures(example.pictures, task), element("div", *lines, class_="said"))


def _judged(said: str, verdict: str) -> Markup:
    return element("mark", said, element("span", f" ({verdict})", class_="aloud"), class_=verdict)


def _pictures(pictures: tuple[Picture, ...], task: str) -> Markup:
    """One picture, the two of a pair side by side, or a clip's frames in their order."""
    if len(pictures) == 1:
        return element("div", image(pictures[0]), class_="pictured")
    if task == PAIR:
        shown = [
            element("figure", image(picture), element("figcaption", side))
            for picture, side in zip(pictures, SIDES, strict=True)
        ]
        return element("div", *shown, class_="pictured pair")
    frames = [
        element("li", image(picture, more=f"frame {place} of {len(pictures)}"))
        for place, picture in enumerate(pictures, start=1)
    ]
    return element("ol", *frames, class_="pictured frames")


def _box_card(example: BoxExample) -> Markup:
    verdict = "✓ found" if example.right else "✗ missed"
    chips = [
        element("span", verdict, class_="chip good" if example.right else "chip bad"),
        element("span", f"{example.overlap:.0%} shared", class_="chip"),
    ]
    return element(
        "li",
        element(
            "div",
            image(
                example.picture,
                more=f"{example.text} is {_in_words(example.true)}, "
                f"the model says {_in_words(example.found)}",
            ),
            _drawn(example),
            class_="pictured boxed",
        ),
        element(
            "div",
            element("p", example.text, class_="asked"),
            element("p", *chips, class_="chips"),
            class_="said",
        ),
    )


def _in_words(box: Box) -> str:
    left, top, right, bottom = (f"{value:.0%}" for value in box)
    return f"from {left} to {right} across and from {top} to {bottom} down"


def _drawn(example: BoxExample) -> Markup:
    """Both boxes, each over a dark line that lets it stand out from any picture."""
    shapes = [
        element(
            "rect",
            class_=class_,
            x=f"{100 * box[0]:.2f}%",
            y=f"{100 * box[1]:.2f}%",
            width=f"{100 * (box[2] - box[0]):.2f}%",
            height=f"{100 * (box[3] - box[1]):.2f}%",
        )
        for box, name in ((example.true, "true"), (example.found, "found"))
        for class_ in ("under", name)
    ]
    return element("svg", *shapes, aria_hidden="true")


def _box_key() -> Markup:
    return element(
        "p",
        element("span", class_="swatch box found"),
        " where the model sees it · ",
        element("span", class_="swatch box true"),
        " where it is",
        class_="key",
    )
