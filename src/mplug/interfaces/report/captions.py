"""Captions of pictures beside the true ones, each name marked right, wrong or missed, as HTML."""

from collections.abc import Sequence
from functools import partial

from mplug.interfaces.report.examples import CaptionExample
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.parts import by_split, image, section, worst_of_all
from mplug.metrics.objects import name_spans

WORST = "The pictures of which the fewest names are right; of those, where most names are wrong."


def captions_section(
    examples: Sequence[CaptionExample],
    *,
    worst: Sequence[CaptionExample] = (),
    names: frozenset[str],
) -> Markup:
    """A grid of pictures, the model's caption above the true one; grouped by split."""
    if not examples:
        return joined()
    key = element(
        "p",
        element("mark", "name", class_="right"),
        " is in the picture · ",
        element("mark", "name", class_="wrong"),
        " is not · ",
        element("mark", "name", class_="missed"),
        " is, but the model did not say so",
        class_="key",
    )
    note = "Pictures the model never trained on, neither chosen nor sorted by how well it did."
    card = partial(_caption_card, names=names)
    return section(
        "Captions",
        note,
        key,
        by_split(examples, card=card, tag="ul", class_="captions"),
        worst_of_all(worst, card=card, tag="ul", class_="captions", note=WORST),
        anchor="captions",
    )


def _caption_card(example: CaptionExample, *, names: frozenset[str]) -> Markup:
    known = names | example.objects
    said = frozenset(span.name for span in name_spans(example.predicted, known))
    found = len(said & example.objects)
    perfect = said == example.objects
    count = f"{found} of {len(example.objects)} named"
    return element(
        "li",
        image(example.picture),
        element(
            "div",
            element("p", _judged(example.predicted, example, known), class_="predicted"),
            *(
                element("p", _missing(reference, example, said), class_="reference")
                for reference in example.references
            ),
            element(
                "p", f"✓ {count}" if perfect else count, class_="chip good" if perfect else "chip"
            ),
        ),
    )


def _judged(text: str, example: CaptionExample, known: frozenset[str]) -> Markup:
    """The model's words, each object name marked right or wrong, for eyes and for ears."""
    if not text.strip():
        return element("em", "(nothing)")
    parts: list[str] = []
    done = 0
    for span in name_spans(text, known):
        verdict = "right" if span.name in example.objects else "wrong"
        parts += [text[done : span.start], _mark(text[span.start : span.stop], verdict)]
        done = span.stop
    return joined(*parts, text[done:])


def _missing(text: str, example: CaptionExample, said: frozenset[str]) -> Markup:
    """A true caption, with the objects the model left out marked."""
    parts: list[str] = []
    done = 0
    for span in name_spans(text, example.objects):
        if span.name not in said:
            parts += [text[done : span.start], _mark(text[span.start : span.stop], "missed")]
            done = span.stop
    return joined(*parts, text[done:])


def _mark(words: str, verdict: str) -> Markup:
    return element("mark", words, element("span", f" ({verdict})", class_="aloud"), class_=verdict)
