"""What several sections of the page are made of: headings, pictures, grids of cards."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from mplug.interfaces.report.examples import Picture
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.wording import spelled


class _OfSplit(Protocol):
    @property
    def split(self) -> str: ...


Example = TypeVar("Example", bound=_OfSplit)


def section(title: str, note: str, *content: str, anchor: str) -> Markup:
    """A section of the page with its heading and one sentence on how to read it."""
    return element(
        "section",
        element("h2", title, id=f"{anchor}-title"),
        element("p", note, class_="note"),
        *content,
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def image(picture: Picture, *, more: str = "") -> Markup:
    """A picture inside the page; `more` is what is drawn over it, in words."""
    address = f"data:{picture.media_type};base64,{b64encode(picture.data).decode('ascii')}"
    words = f"{picture.description}; {more}" if more else picture.description
    return element("img", src=address, alt=words, title=words)


def by_split(
    examples: Sequence[Example], *, card: Callable[[Example], Markup], tag: str, class_: str
) -> Markup:
    """A grid of cards for each split, under its name."""
    return joined(
        *(
            joined(
                element("h3", spelled(split)),
                grid([each for each in examples if each.split == split], card, tag, class_),
            )
            for split in dict.fromkeys(each.split for each in examples)
        )
    )


def worst_of_all(
    examples: Sequence[Example],
    *,
    card: Callable[[Example], Markup],
    tag: str,
    class_: str,
    note: str,
) -> Markup:
    """The worst failures of every split, each split under its name; nothing where none are."""
    if not examples:
        return joined()
    parts = [
        joined(
            element("h4", spelled(split)),
            grid([each for each in examples if each.split == split], card, tag, class_),
        )
        for split in dict.fromkeys(each.split for each in examples)
    ]
    return joined(element("h3", "The worst failures"), element("p", note, class_="note"), *parts)


def grid(
    examples: Sequence[Example], card: Callable[[Example], Markup], tag: str, class_: str
) -> Markup:
    """Cards of examples, in their order."""
    return element(tag, *(card(each) for each in examples), class_=class_)
