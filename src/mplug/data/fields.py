"""The fields of a record: what each may hold, and what to say when it holds something else."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

MAX_TEXT_LENGTH = 10_000  # characters; a longer caption is a file pasted by mistake
SURROGATE = re.compile(r"[\ud800-\udfff]")

Value = TypeVar("Value")
Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


class Refused(ValueError):
    """A value that a field cannot hold; the message is the reason."""


@dataclass(frozen=True)
class Answer:
    """An answer to a question, and how much it counts."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class NamedBox:
    """An object in a picture."""

    name: str
    box: Box


def _kind(value: object) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "true or false"), (int | float, "a number"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, list) else "an object"


def text(value: object) -> str:
    """Text with something in it."""
    if not isinstance(value, str):
        raise Refused(f"must be text, not {_kind(value)}")
    if not value.strip():
        raise Refused("is empty")
    if len(value) > MAX_TEXT_LENGTH:
        raise Refused(f"has {len(value):,} characters; the limit is {MAX_TEXT_LENGTH:,}")
    if SURROGATE.search(value):
        raise Refused("holds half a character (a lone surrogate such as \\ud800)")
    return value


def texts(value: object) -> tuple[str, ...]:
    """One text, or a list of them."""
    if isinstance(value, list):
        if not value:
            raise Refused("is an empty list")
        return tuple(_each(value, text))
    if not isinstance(value, str):
        raise Refused(f"must be text or a list of texts, not {_kind(value)}")
    return (text(value),)


def path(value: object) -> str:
    """The path of a file on this machine."""
    name = text(value)
    if "\0" in name:
        raise Refused("holds a NUL character")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", name):
        raise Refused(f"is a web address, not a file: download {name} first")
    return name


def paths(value: object) -> str | tuple[str, ...]:
    """One path, or a list of them."""
    if not isinstance(value, list):
        return path(value)
    if not value:
        raise Refused("is an empty list")
    return tuple(_each(value, path))


def name(value: object) -> str:
    """Text, a number or true/false, kept as text."""
    if isinstance(value, bool | int):
        return str(value)
    return text(value)


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"must be a number, not {_kind(value)}")
    if isinstance(value, int) and abs(value) > 2**53 or not math.isfinite(value):
        raise Refused(f"must be a finite number, not {str(value)[:20]}")
    return float(value)


def box(value: object) -> Box:
    """[x0, y0, x1, y1] in pixels, with x0 < x1 and y0 < y1."""
    if not isinstance(value, list) or len(value) != 4:
        raise Refused("must be [x0, y0, x1, y1]")
    x0, y0, x1, y1 = (number(side) for side in value)
    if x0 >= x1 or y0 >= y1:
        raise Refused(f"must have x0 < x1 and y0 < y1, not {value}")
    return x0, y0, x1, y1


def boxes(value: object) -> tuple[Box, ...]:
    """A list of boxes."""
    return tuple(_each(_list(value, "boxes [x0, y0, x1, y1]"), box))


def answers(value: object) -> tuple[Answer, ...]:
    """A list of {text, weight}; the weight may be left out."""
    return tuple(_each(_list(value, 'answers {"text": ..., "weight": ...}'), _answer))


def objects(value: object) -> tuple[NamedBox, ...]:
    """A list of {name, box}."""
    return tuple(_each(_list(value, 'objects {"name": ..., "box": ...}'), _object))


def _answer(value: object) -> Answer:
    given = _keys(value, required=("text",), optional=("weight",))
    weight = number(given.get("weight", 1.0))
    if weight < 0:
        raise Refused(f"weight must not be negative, and is {weight}")
    return Answer(text(given["text"]), weight)


def _object(value: object) -> NamedBox:
    given = _keys(value, required=("name", "box"))
    return NamedBox(text(given["name"]), box(given["box"]))


def _list(value: object, of: str) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"must be a list of {of}, not {_kind(value)}")
    return value


def _each(values: list[Any], parse: Callable[[object], Value]) -> list[Value]:
    parsed = []
    for place, value in enumerate(values):
        try:
            parsed.append(parse(value))
        except Refused as refused:
            raise Refused(f"[{place}] {refused}") from None
    return parsed


def _keys(
    value: object, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"must be an object with {' and '.join(required)}, not {_kind(value)}")
    missing = [key for key in required if key not in value]
    unknown = [key for key in value if key not in required + optional]
    if missing:
        raise Refused(f"lacks {', '.join(missing)}")
    if unknown:
        raise Refused(unknown_field(unknown[0], required + optional))
    return value


def unknown_field(given: str, known: tuple[str, ...]) -> str:
    """What to say about a field that does not exist."""
    close = get_close_matches(given.strip().lower(), known, n=1)
    return f"unknown field {given[:50]!r}" + (
        f"; did you mean {close[0]!r}?" if close else f"; the fields are {', '.join(known)}"
    )


FIELDS: dict[str, Callable[[object], Any]] = {
    "image": paths,
    "video": path,
    "image_id": name,
    "id": name,
    "caption": texts,
    "question": text,
    "answers": answers,
    "phrase": text,
    "boxes": boxes,
    "statement": text,
    "label": name,
    "objects": objects,
    "text": texts,
}
