"""Captions: the clean-up that pretraining uses, and what a mirrored picture does to the words."""

import re

MAX_WORDS = 30

DELETED = str.maketrans("", "", ",.'!?\"()*#:;~")
SPACED = str.maketrans("-/", "  ")

# Places where "left" and "right" are surely sides of the picture: "on the left", "right of",
# "top left", "leftmost". Elsewhere they may mean something else ("what is left", "right now").
SIDE = re.compile(
    r"""
    \b(?: (?<=\bthe\ ) | (?<=\bits\ ) | (?<=\bhis\ ) | (?<=\bher\ ) | (?<=\btheir\ )
        | (?<=\btop\ ) | (?<=\bbottom\ ) | (?<=\bupper\ ) | (?<=\blower\ ) | (?<=\bfar\ )
        | (?<=\bto\ ) | (?<=\bfacing\ ) | (?<=\bpointing\ )
    )(?:left|right)
        (?= \s*$ | [.,;:!?)] | \s+ (?:and|is|are|with|of|in|on|at|to|there|stands?|sits?)\b )
    | \b(?:left|right)
        (?= (?:most|wards?)\b
          | [\s-](?:of|sides?|hand(?:ed)?|corner|edge|half|third|part)\b )
    """,
    re.VERBOSE | re.IGNORECASE,
)
ANY_SIDE = re.compile(r"\b(?:left|right)(?:most|wards?)?\b", re.IGNORECASE)
SIDES_ELSEWHERE = r"""
    \b(?: links | rechts | linken? | rechten? | linker | rechter | gauche | droite
        | izquierd[ao]s? | derech[ao]s? | sinistr[ao] | destr[ao] | esquerd[ao] | direit[ao]
        | lew[aeoy]\w* | praw[aeoy]\w* | sağ\w* | sol | trái | phải
        | лев\w+ | слева | налево | прав\w+ | справа | направо )\b
    | [左右] | 왼 | 오른 | يسار | يمين | बाएं | दाएं | बाएँ | दाएँ
    """
# Mirroring changes what these say, and no word can be swapped for another: writing, turning,
# compass and clock; digits may stand in the picture; and sides in other languages.
UNSURE = re.compile(
    rf"""
    \d | ["“”„«»]
    | \b(?: (?:counter|anti)?-?clockwise | clocks? | letters? | words? | text | written | writing
        | reads | reading | says | saying | signs? | logos? | numbers? | maps? | mirror(?:ed|s)?
        | north\w* | south\w* | east\w* | west\w* )\b
    | {SIDES_ELSEWHERE}
    """,
    re.VERBOSE | re.IGNORECASE,
)
OTHER_SIDE = {"left": "right", "right": "left"}


def clean_caption(text: str, *, max_words: int = MAX_WORDS) -> str:
    """Lower-case, without punctuation, `<person>` as a word, single spaces, the first words only.

    This is the clean-up of mPLUG's pretraining and retrieval texts (spec, section 4).
    """
    text = text.lower().translate(DELETED).translate(SPACED).replace("<person>", "person")
    return " ".join(text.split()[:max_words])


def lower_caption(text: str) -> str:
    """Lower-case with single spaces: how caption fine-tuning reads its targets."""
    return " ".join(text.lower().split())


def mirror_caption(text: str) -> str | None:
    """The caption of the mirrored picture, or None where that cannot be told."""
    if UNSURE.search(text) or len(ANY_SIDE.findall(text)) != len(SIDE.findall(text)):
        return None
    return SIDE.sub(other_side, text)


def other_side(match: re.Match[str]) -> str:
    """Right for a matched left, and left for right, written alike."""
    word = match.group()
    other = OTHER_SIDE[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
