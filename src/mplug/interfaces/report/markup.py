"""HTML and SVG built from elements: text is escaped unless it already is markup."""

from html import escape

_VOID = frozenset({"br", "img", "link", "meta"})


class Markup(str):
    """Text that is markup already; made by `element` and `joined` only."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float | bool) -> Markup:
    """An element with its children in order; a plain string child is text and gets escaped.

    An underscore in an attribute's name stands for a hyphen and one at its end is dropped
    (`class_`, `aria_label`); True gives a bare attribute, False none.
    """
    words = [tag]
    for name, value in attributes.items():
        key = name.removesuffix("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not False:
            words.append(f'{key}="{escape(_written(value), quote=True)}"')
    start = f"<{' '.join(words)}>"
    return Markup(start if tag in _VOID else f"{start}{joined(*children)}</{tag}>")


def joined(*children: str) -> Markup:
    """Children one after another, text escaped."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child, quote=False) for child in children
        )
    )


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"
