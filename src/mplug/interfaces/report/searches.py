"""Texts and the pictures found for them, as HTML."""

from collections.abc import Sequence

from mplug.interfaces.report.examples import Picture, SearchExample
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.parts import by_split, image, section, worst_of_all

WORST = "The texts whose own picture comes last."


def searches_section(
    searches: Sequence[SearchExample], *, worst: Sequence[SearchExample] = ()
) -> Markup:
    """For each text the pictures found, best first, the right one framed."""
    if not searches:
        return joined()
    note = (
        "Each text was searched among pictures the model never trained on. Best match first; the "
        "picture the text was written for is framed, at the end of the row where it came later."
    )
    return section(
        "Search",
        note,
        by_split(searches, card=_search_row, tag="div", class_="searches"),
        worst_of_all(worst, card=_search_row, tag="div", class_="searches", note=WORST),
        anchor="search",
    )


def _search_row(search: SearchExample) -> Markup:
    place = f"right one: {_ordinal(search.place)} of {search.gallery:,}"
    results = [_found(each.picture, "right" if each.right else "other") for each in search.results]
    if search.wanted is not None:
        results.append(_found(search.wanted, "right later"))
    top = any(result.right for result in search.results)
    return element(
        "figure",
        element(
            "figcaption",
            element("q", search.query),
            element("span", f"✓ {place}" if top else place, class_="chip good" if top else "chip"),
        ),
        element(
            "ol",
            *results,
            class_="found",
        ),
        class_="search",
    )


def _found(picture: Picture, class_: str) -> Markup:
    spoken = element("span", "the right one", class_="aloud") if "right" in class_ else joined()
    return element("li", image(picture), spoken, class_=class_)


def _ordinal(place: int) -> str:
    ending = (
        "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    )
    return f"{place:,}{ending}"
