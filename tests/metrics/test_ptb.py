"""Caption tokens: the official ones on golden captions, the habits by name, what must hold."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mplug.metrics.ptb import CUT_IN_TWO, DROPPED, longest_match, ptb_tokens
from mplug.metrics.ptb_rules import RULES

GOLDEN = Path(__file__).parents[1] / "golden" / "captions" / "tokens.jsonl"

# Every one of these was observed: the official program, then its list of dropped punctuation.
HABITS = {
    # words that fall in two
    "I don't think it's John's dogs' bed": "i do n't think it 's john 's dogs bed",
    "they cannot, gonna or wanna": "they can not gon na or wan na",
    "it’s ISN’T": "it 's is n't",
    "we'd've": "we 'd 've",
    "'tis more'n rock 'n' roll, y'all": "'t is more 'n rock 'n' roll y' all",
    # apostrophes that stay
    "a good ol' o'clock ma'am": "a good ol' o'clock ma'am",
    "O'Brien's hors d'oeuvres in the '90s": "o'brien 's hors d'oeuvres in the '90s",
    "g'day": "g day",
    # full stops
    "a man. A dog.": "a man a dog",
    "Mr. Lee of St. Paul, Inc., etc.": "mr. lee of st. paul inc. etc.",
    "no. 5 is no. good": "no. 5 is no good",
    "at 5 p.m. in the U.S.": "at 5 p.m. in the u.s.",
    "a Ph.D. from D.C": "a ph.d. from d.c",
    "row x. The end": "row x the end",
    "row x. End": "row x. end",
    "one word.another word": "one word.another word",
    "a full stop., a comma": "a full stop. a comma",
    "wait... what. . . and..": "wait what and",
    # joined words
    "a black-and-white 5th-floor T-shirt -ish": "a black-and-white 5th-floor t-shirt ish",
    "cat/dog/bird/fish": "cat/dog/bird / fish",
    "a cat--a dog — a bird": "a cat a dog a bird",
    "AT&T but a&b": "at&t but a & b",
    "a man,woman": "a man woman",
    "red,green-eyed": "red,green-eyed",
    # numbers
    "$1,000.50 or 5% of 25¢": "$ 1,000.50 or 5 % of 25 cents",
    "at 10:30pm, 1/2 and 1 1/2": "at 10:30 pm 1/2 and 1\xa01/2",
    "call (555) 123-4567": "call -lrb-555-rrb-\xa0123-4567",
    "6'2\"": "6 2",
    # brackets stay, by name
    "a (red) [car] {x}": "a -lrb- red -rrb- -lsb- car -rsb- -lcb- x -rcb-",
    # signs, markup, addresses
    "really?! no!!": "really ?! no !!",
    "#1 #selfie @home <3 :)": "# 1 #selfie @home < 3 :-rrb-",
    "<b>bold</b> &amp; <start of>": "<b> bold </b> & <start\xa0of>",
    "see http://x.com/a?b=1, me@site.org.": "see http://x.com/a?b=1 me@site.org",
    "“smart” ‘quotes’ «too»": "smart quotes too",
    # other scripts
    "Ünïcode naïve 日本": "ünïcode naïve 日本",
    "a 😀b": "a b",
}


@pytest.mark.parametrize("caption", HABITS)
def test_the_official_habits_are_kept(caption: str) -> None:
    assert " ".join(ptb_tokens(caption)) == HABITS[caption]


def test_the_golden_captions_have_the_golden_tokens() -> None:
    rows = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    wrong = [row for row in rows if " ".join(ptb_tokens(row["caption"])) != row["tokens"]]
    assert len(rows) == 3104
    assert wrong == []


def test_a_caption_without_signs_is_tried_by_few_rules() -> None:
    assert sum(not rule.needs for rule in RULES) <= 7


def slow_tokens(caption: str) -> list[str]:
    """Every rule at every place: the twin that knows no short ways."""
    position, tokens = 0, []
    while position < len(caption):
        found = longest_match(f"{caption}\n\n", position)
        tokens += [found.token] if found.token and found.token not in DROPPED else []
        position += found.length
    return tokens


@pytest.mark.parametrize(
    "caption",
    [
        "the end. . .5 of it",
        "call (555) 123-4567 or 555 123-4567",
        "no. 5 is no. good",
        "1 1/2 of it",
        "row x. The end",
        "a <b > here",
        "the '90s 'n' cannot",
        "snow-covered and/or 5th-floor it's (left) 100km/h",
        "x.  The end, 1  1/2, 1\xa01/2 and no.\n5 ",
        "  two  blanks \t and <a b c d > inc. 7 <end",
        "5\u0663 1/2 of 12\u0664 555 1234",
        "555 1234 56789 and . . . x. Mr. Lee (now) . . .",
        "a " + "very" * 30 + " long. " + "3 " * 60 + "1/2",
    ],
)
def test_what_reaches_over_a_blank_is_cut_by_every_rule(caption: str) -> None:
    assert ptb_tokens(caption) == slow_tokens(caption)


captions = some.lists(
    some.sampled_from(
        ["a", "Dog", "cannot", "the", "x", "no", "I", "can't", "o'clock", "5", "1/2", "St.", "U.S."]
        + ["it's", "dogs'", "'n'", "'90s", "art", "fig", "T-shirt", ":", ";", "?", "!", ")", "’s"]
        + [
            ".",
            ",",
            "...",
            "'",
            '"',
            "(",
            "-",
            "/",
            "&",
            "<b>",
            "<",
            "x. ",
            "555 ",
            "@",
            "é",
            "日",
            "😀",
            " ",
            "  ",
            "\n",
        ]
    )
    | some.text(max_size=4)
).map("".join)


@settings(deadline=None)
@given(captions)
def test_the_short_ways_change_nothing(caption: str) -> None:
    assert ptb_tokens(caption) == slow_tokens(caption)


@settings(deadline=None, max_examples=300)
@given(some.text("ab1Zy.,:;'’&-_/+#$@<>()!?=*`⁄\\ \xa0é٫", min_size=1, max_size=9))
def test_no_rule_finds_more_without_the_signs_that_it_needs(text: str) -> None:
    """Signs alone are dense with what rules need; other texts hardly ever meet them."""
    signs = frozenset(text)
    for place in range(len(text)):
        assert longest_match(text, place, signs) == longest_match(text, place)


@settings(deadline=None)
@given(captions)
def test_tokens_are_lower_case_without_blanks_and_never_dropped_ones(caption: str) -> None:
    for token in ptb_tokens(caption):
        assert token == token.lower()
        assert token
        assert not {" ", "\n", "\t"} & set(token)
        assert token not in DROPPED


@given(some.lists(some.from_regex(r"[a-z]{1,8}", fullmatch=True)))
def test_plain_words_are_their_own_tokens(words: list[str]) -> None:
    kept = [word for word in words if word not in CUT_IN_TWO]
    assert ptb_tokens(" ".join(kept)) == kept


@pytest.mark.parametrize("piece", ["a", "a-", "a.", "@a", "1-", "<a ", "&", "A&", "(", "http://a."])
def test_a_caption_of_thousands_of_characters_takes_no_minutes(piece: str) -> None:
    assert len(ptb_tokens(piece * 1500)) >= 0
