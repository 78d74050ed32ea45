"""Words that a change of the picture may make untrue: places, sides, numbers and colours.

Where a change of words cannot be told, the answer is None, and the picture stays as it is.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from mplug.data.records import Record
from mplug.data.text import ANY_SIDE, SIDES_ELSEWHERE, UNSURE, mirror_caption, other_side

# What a part of the picture, or the picture turned, may not show or not show there.
WHOLE = re.compile(
    rf"""
    \b(?: (?:left|right)(?:most|wards?)? | (?<!\bon\ )top | top(?!\s+of\b) | bottom | middle
        | cent(?:er|re)(?:ed|d)? | corners? | edges? | borders? | upper | lower | uppermost
        | lowest | highest | (?:first|second|third|fourth|last)\s+from
        | how\s+many | number\s+of | count )\b
    | {SIDES_ELSEWHERE}
    """,
    re.VERBOSE | re.IGNORECASE,
)
COLOUR = re.compile(
    r"""
    \b(?: colou?r(?:s|ed|ful)? | black | white | gr[ae]y | silver | red | orange | yellow
        | gold(?:en)? | green | blue | navy | teal | turquoise | cyan | purple | violet | magenta
        | pink | maroon | brown | beige | tan | cream | blonde? | (?:dark|light|bright)(?:er|est)?
        | farben? | couleurs? | color(?:es|i|e)? | cor(?:es)? | kolor\w* | цвет\w* )\b
    | [色]
    """,
    re.VERBOSE | re.IGNORECASE,
)
SIDE_WORD = re.compile(r"\b(?:left|right)(?=(?:most|wards?)?\b)", re.IGNORECASE)
BARE_SIDE = re.compile(
    r"\s*(?:(?:on|to|at|from)\s+)?(?:the\s+)?(?:left|right)(?:most)?(?:\s+(?:side|hand))?\s*\.?\s*",
    re.IGNORECASE,
)
COUNTED = re.compile(r"\bhow\s+many\b", re.IGNORECASE)
NUMBER = re.compile(r"\s*[0-9]{1,3}\s*")
# Where "right" is no side, as in "the dog right behind the cat".
NO_SIDE = re.compile(
    r"""\bright\s+(?:above|at|behind|below|beneath|beside|between|by|here|in|next|now|on|over|there
        |under|up)\b""",
    re.VERBOSE | re.IGNORECASE,
)

IMAGE = r"(?:images?|pictures?|photos?|photographs?|pics?)"
# Which of two pictures, and no place in one of them.
OF_PAIR = re.compile(
    rf"""
    \b(?:left|right)(?= (?:most|[\s-]hand(?:ed)?)? \s+ {IMAGE}\b
      | \s+ (?:and|or) \s+ (?:the\s+)? (?:left|right) (?:most|[\s-]hand)? \s+ {IMAGE}\b )
    | \b(?:first|second)(?= \s+ {IMAGE}\b )
    | (?: (?<=picture\ on\ the\ ) | (?<=image\ on\ the\ ) | (?<=photo\ on\ the\ )
        | (?<=picture\ to\ the\ ) | (?<=image\ to\ the\ ) | (?<=photo\ to\ the\ )
      ) (?:left|right)\b (?! \s+ (?:of|side\s+of)\b )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A place or a direction in one picture, and not which of two.
IN_ONE = re.compile(
    rf"""
    \b(?:left|right)(?= \s+ of \b (?! \s+ (?:the\s+|each\s+|both\s+)* {IMAGE}\b ) )
    | (?: (?<=facing\ ) | (?<=facing\ the\ ) | (?<=facing\ to\ the\ ) | (?<=pointing\ )
        | (?<=pointing\ to\ the\ ) | (?<=looking\ ) | (?<=looking\ to\ the\ ) | (?<=turned\ )
        | (?<=turned\ to\ the\ )
      ) (?:left|right)\b (?! \s+ {IMAGE}\b )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What names one of two pictures otherwise, or in another language.
NAMES_ONE = re.compile(
    rf"""
    \b(?: first | second | former | latter | 1st | 2nd | {IMAGE}\s+(?:[0-9]+|one|two|[ab])
        )\b
    | {SIDES_ELSEWHERE}
    """,
    re.VERBOSE | re.IGNORECASE,
)
MASK = "\ue000"  # for which of two pictures; nobody writes it


class Turned(NamedTuple):
    """A statement about two pictures when each is mirrored, when they are exchanged, and after
    both; what cannot be told is None.
    """

    mirrored: str | None
    exchanged: str | None
    both: str | None


def speaks_of_places(record: Record) -> bool:
    """Whether something asked is true of the whole picture as it stands, and maybe of no part."""
    statement = record.statement or ""
    if len(record.images) == 2:
        statement = OF_PAIR.sub("", statement)
    texts = [*_asked(replace(record, statement=statement)), *record.caption[:1], *record.text]
    return any(WHOLE.search(text) for text in texts)


def depends_on_colours(record: Record) -> bool:
    """Whether a colour decides what is right; captions may name any, as in pretraining."""
    return any(COLOUR.search(text) for text in _asked(record))


def mirrored(record: Record) -> Record | None:
    """What is asked of the mirrored picture; boxes are left alone.

    Words read from the picture would be mirrored too, so a record with `text` stays as it is,
    unless that is the premise of a statement.
    """
    if record.text and record.statement is None:
        return None
    question = record.question or ""
    try:
        return replace(
            record,
            caption=_each(record.caption, mirror_caption),
            text=_each(record.text, mirror_caption),
            question=_optional(record.question, mirror_caption),
            answers=tuple(
                replace(answer, text=_sure(mirror_answer(answer.text, question=question)))
                for answer in record.answers
            ),
            phrase=_optional(record.phrase, mirror_phrase),
            statement=_optional(record.statement, mirror_caption),
        )
    except _Unsure:
        return None


def mirror_answer(answer: str, *, question: str) -> str | None:
    """An answer about the mirrored picture; a side alone and a number of things are sure."""
    if BARE_SIDE.fullmatch(answer):
        return SIDE_WORD.sub(other_side, answer)
    if NUMBER.fullmatch(answer) and COUNTED.search(question):
        return answer
    return mirror_caption(answer)


def mirror_phrase(phrase: str) -> str | None:
    """A phrase for a thing in the mirrored picture; left and right are sides wherever they are."""
    if UNSURE.search(phrase) or NO_SIDE.search(phrase):
        return None
    return SIDE_WORD.sub(other_side, phrase)


def turn_pair(statement: str) -> Turned:
    """What becomes of a statement about a left and a right picture.

    Sides may be those of the pair ("the left picture") or those of each picture ("facing left").
    Where it is not sure which ("on the left"), only mirroring the two side by side, which is both
    mirroring and exchanging them, changes all alike.
    """
    which = OF_PAIR.findall(statement)
    masked = OF_PAIR.sub(MASK, statement)
    sure = len(ANY_SIDE.findall(masked)) == len(IN_ONE.findall(masked))
    mirrored = mirror_caption(masked)
    exchangeable = NAMES_ONE.search(masked) is None
    others = [_other(word) for word in which]
    return Turned(
        _filled(mirrored, which) if sure else None,
        _filled(masked, others) if sure and exchangeable else None,
        _filled(mirrored, others) if exchangeable else None,
    )


class _Unsure(Exception):
    """The words for a mirrored picture cannot be told."""


def _sure(text: str | None) -> str:
    if text is None:
        raise _Unsure
    return text


def _each(texts: Iterable[str], mirror: Callable[[str], str | None]) -> tuple[str, ...]:
    return tuple(_sure(mirror(text)) for text in texts)


def _optional(text: str | None, mirror: Callable[[str], str | None]) -> str | None:
    return None if text is None else _sure(mirror(text))


def _asked(record: Record) -> Iterator[str]:
    yield from (text for text in (record.question, record.phrase, record.statement) if text)
    yield from (answer.text for answer in record.answers)


def _other(word: str) -> str:
    ordinal = {"first": "second", "second": "first"}.get(word.lower())
    if ordinal is None:
        return SIDE_WORD.sub(other_side, word)
    return ordinal.capitalize() if word[0].isupper() else ordinal


def _filled(text: str | None, words: Iterable[str]) -> str | None:
    remaining = iter(words)
    return None if text is None else re.sub(MASK, lambda _: next(remaining), text)
