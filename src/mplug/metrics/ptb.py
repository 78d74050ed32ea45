"""Caption tokens as the official COCO caption scorer makes them, without Java.

The scorer runs Stanford's PTB tokenizer 3.4.1 with `-preserveLines -lowerCase`, a caption a line,
and then drops 17 tokens of punctuation. What a token is, `ptb_rules` says.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from mplug.metrics.ptb_rules import ABBREVIATED, RULES, Rule, W

PTB_TOKENISER = "ptb-3.4.1"

# In upper case, so that "-lrb-" stays: the text is in lower case by then.
DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-"]
    + [".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
CUT_IN_TWO = frozenset({"cannot", "gonna", "wanna", "gotta", "lemme", "gimme"})

# Captions are cut piece by piece, at their blanks, and pieces are remembered: few are new. A closed
# piece is cut without a look beyond the blank that follows. Any other has an end or a beginning by
# which some rule reaches over blanks ("no. 5", "1 1/2", "(555) 123-4567", ". . ."): it is cut
# together with all pieces up to the next closed one, or, with markup in it ("<b >"), to the end.
_CLOSED = re.compile(r"[^\s<]{0,39}[^\s<\d.)]|[A-Za-z'’\"()!?,;:-]{1,40}")
_NOT_PLAIN = CUT_IN_TWO | ABBREVIATED  # all other runs of ASCII letters are tokens
_REMEMBERED = 16384
_LONGEST = 100  # characters that are remembered together
_LINE_END = "\n\n"  # some rules look at two characters behind a token
_SIGNS = frozenset("".join(rule.needs for rule in RULES))
_KINDS_OF_TEXT = 1024  # by their signs, whose rules are remembered


class Found(NamedTuple):
    """A token, and how much of the text it takes."""

    token: str
    length: int


def ptb_tokens(caption: str) -> list[str]:
    """The tokens that the official caption metrics count.

    The official program reads captions as the lines of one file. So two cases differ: it takes a
    line break inside a caption, other than the line feed, for the end of the caption (here a
    blank); and a caption that ends in "x." or "no." may lose or gain that full stop to the way
    the next caption begins (here every caption stands alone). A token may hold an unbreakable
    blank ("1\\xa01/2").
    """
    tokens: list[str] = []
    open_pieces: list[str] = []
    pieces = caption.split(" ")
    for place, piece in enumerate(pieces):
        known = _closed_tokens(piece)
        if known is None:
            if "<" in piece:
                return [*tokens, *_each_longest(" ".join([*open_pieces, *pieces[place:]]))]
            open_pieces.append(piece)
        elif open_pieces:
            tokens += _open_tokens(" ".join([*open_pieces, piece]))
            open_pieces.clear()
        else:
            tokens += known
    if open_pieces:
        tokens += _open_tokens(" ".join(open_pieces))
    return tokens


def forget() -> None:
    """Drop compiled rules and remembered pieces, as if nothing had been cut yet; for timing."""
    forget_texts()
    for remembered in (_letter, _compiled, _rules):
        remembered.cache_clear()


def forget_texts() -> None:
    """Drop remembered pieces alone."""
    _closed_tokens.cache_clear()
    _remembered_tokens.cache_clear()


@lru_cache(maxsize=_REMEMBERED)
def _closed_tokens(piece: str) -> tuple[str, ...] | None:
    """The tokens of a piece that a blank or the end follows; None where rules may look beyond."""
    if not _CLOSED.fullmatch(piece):
        return None
    if piece.isascii() and piece.isalpha() and (word := piece.lower()) not in _NOT_PLAIN:
        return (word,)
    return tuple(_each_longest(piece))


def _open_tokens(text: str) -> tuple[str, ...]:
    """The tokens of some pieces, of which only the last may be closed."""
    return _remembered_tokens(text) if len(text) <= _LONGEST else tuple(_each_longest(text))


@lru_cache(maxsize=_REMEMBERED)
def _remembered_tokens(text: str) -> tuple[str, ...]:
    return tuple(_each_longest(text))


def _each_longest(text: str) -> Iterator[str]:
    """The tokens of a text by every rule at every place, without the dropped ones."""
    position, ended, signs = 0, text + _LINE_END, _SIGNS.intersection(text)
    while position < len(text):
        found = longest_match(ended, position, signs)
        if found.token and found.token not in DROPPED:
            yield found.token
        position += found.length


def longest_match(text: str, position: int, signs: frozenset[str] = _SIGNS) -> Found:
    """The token that begins at a place of a text; "" where none does.

    `signs` are those of the text that some rule needs, or more.
    """
    longest = position
    best: tuple[Rule, str] | None = None
    for rule, pattern in _rules(_kind(text[position]), signs):
        match = pattern.match(text, position)
        if match and match.end() > longest:
            longest = match.end()
            best = rule, match[match.lastindex or 0]
    if best is None:
        return Found("", 1)
    rule, matched = best
    return Found(rule.write(matched), len(matched))


def _kind(character: str) -> str:
    """As `Rule.begins` names it."""
    if "0" <= character <= "9":
        return "1"
    return "a" if _letter().match(character) else "."


@cache
def _letter() -> re.Pattern[str]:
    return re.compile(f"[{W}]")


@lru_cache(maxsize=_KINDS_OF_TEXT)
def _rules(kind: str, signs: frozenset[str]) -> list[tuple[Rule, re.Pattern[str]]]:
    """The rules that may find something there in a text with these signs: few of them all."""
    return [
        (rule, pattern)
        for rule, pattern in _compiled(kind)
        if not rule.needs or not signs.isdisjoint(rule.needs)
    ]


@cache
def _compiled(kind: str) -> list[tuple[Rule, re.Pattern[str]]]:
    """Compiled when first asked for: it takes longer than all else that a command imports."""
    return [(rule, re.compile(rule.pattern)) for rule in RULES if kind in rule.begins]
