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

# Two short ways, which change nothing (the tests hold them to the long one). Most words of captions
# stand in runs of letters, with punctuation that is dropped: no rule makes anything longer of
# them, but for the words below.
_PLAIN = re.compile(r"(?:[A-Za-z]{2,}(?:,|\.(?! \.))?\s+|[A-Za-z]\s+)+")  # ". . ." is one token
_NOT_PLAIN = CUT_IN_TWO | ABBREVIATED
_TO_BLANKS = str.maketrans(".,", "  ")
# And what lies between two blanks is cut without a look beyond them, unless it has an end or a
# beginning by which some rule reaches over a blank ("no. 5", "1 1/2", "(555) 123-4567", "<b >",
# ". . ."): such chunks are remembered.
_CHUNK = re.compile(r"([^\s<]{0,39}[^\s<0-9.)]|[A-Za-z'’\"()!?,;:-]{1,40})\s+")
_REMEMBERED = 16384
_LINE_END = "\n\n"  # some rules look at two characters behind a token


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
    text = caption + _LINE_END
    tokens: list[str] = []
    position = 0
    while position < len(caption):
        if (plain := _PLAIN.match(text, position)) and _NOT_PLAIN.isdisjoint(
            words := plain[0].translate(_TO_BLANKS).lower().split()
        ):
            tokens += words
            position = plain.end()
        elif chunk := _CHUNK.match(text, position):
            tokens += _chunk_tokens(chunk[1])
            position = chunk.end()
        elif text[position].isspace():
            position += 1
        else:
            found = longest_match(text, position)
            if found.token and found.token not in DROPPED:
                tokens.append(found.token)
            position += found.length
    return tokens


def forget() -> None:
    """Drop remembered chunks and compiled rules, as if nothing had been cut yet; for timing."""
    for remembered in (_chunk_tokens, _letter, _rules):
        remembered.cache_clear()


@lru_cache(maxsize=_REMEMBERED)
def _chunk_tokens(chunk: str) -> tuple[str, ...]:
    """The tokens of a chunk that a blank follows."""
    return tuple(_each_longest(chunk))


def _each_longest(text: str) -> Iterator[str]:
    """The tokens of a text by every rule at every place, without the dropped ones."""
    position, ended = 0, text + _LINE_END
    while position < len(text):
        found = longest_match(ended, position)
        if found.token and found.token not in DROPPED:
            yield found.token
        position += found.length


def longest_match(text: str, position: int) -> Found:
    """The token that begins at a place of a text; "" where none does."""
    longest = position
    best: tuple[Rule, str] | None = None
    for rule, pattern in _rules(_kind(text[position])):
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


@cache
def _rules(kind: str) -> list[tuple[Rule, re.Pattern[str]]]:
    """Compiled when first asked for: it takes longer than all else that a command imports."""
    return [(rule, re.compile(rule.pattern)) for rule in RULES if kind in rule.begins]
