"""Caption tokens as the official COCO caption scorer makes them, without Java.

The scorer runs Stanford's PTB tokenizer 3.4.1 with `-preserveLines -lowerCase`, a caption a line,
and then drops 17 tokens of punctuation. What a token is, `ptb_rules` says.
"""

import re
from functools import cache
from typing import NamedTuple

from mplug.metrics.ptb_rules import ABBREVIATED, RULES, Rule, W

PTB_TOKENISER = "ptb-3.4.1"

# In upper case, so that "-lrb-" stays: the text is in lower case by then.
DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-"]
    + [".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
CUT_IN_TWO = frozenset({"cannot", "gonna", "wanna", "gotta", "lemme", "gimme"})

# Most words of captions, with the punctuation and blanks that are dropped behind them: no rule
# makes anything longer of letters, but for the words below.
_PLAIN = re.compile(r"(?:([A-Za-z]{2,})[.,]?|([A-Za-z]))\s+")
_NOT_PLAIN = CUT_IN_TWO | ABBREVIATED
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
        found = _plain_word(text, position) or longest_match(text, position)
        if found.token and found.token not in DROPPED:
            tokens.append(found.token)
        position += found.length
    return tokens


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


def _plain_word(text: str, position: int) -> Found | None:
    plain = _PLAIN.match(text, position)
    if plain is None or (word := plain[plain.lastindex or 0].lower()) in _NOT_PLAIN:
        return None
    return Found(word, plain.end() - position)


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
