"""What a token of the PTB tokenizer 3.4.1 can be: one rule for each kind, the longest match wins.

Written from the tokenizer's documented options, the golden data and observation of its output on
exhaustive short strings, word lists and prose; where it is odd, so is this.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from mplug.metrics.ptb_characters import LETTERS, MARKS, SYMBOLS, character_class

# A full stop belongs to these wherever they stand ...
ABBREVIATIONS = """
adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec
ens ft gen gov govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph
pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs wm
"""
# ... to these too, but they are cut from a letter that follows ("inc.x") ...
CLOSING_ABBREVIATIONS = """
al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext
feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov
oct okla penn plc rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc
wyo
"""
# ... to these if they begin with a capital, and to these before a digit.
CAPITALISED_ABBREVIATIONS = "ark az del ill la mass miss ore pa tex wash"
NUMBERED_ABBREVIATIONS = "art ca fig figs no nos op pp prop"
# Before one of these a single letter loses its full stop to the sentence.
SENTENCE_STARTS = """
A About According Additionally After An As At But Earlier He Her Here However If In It Last Many
More Now Once One Other Our She Since So Some Such That The Their Then There These They This We
What When While Yet You
"""
ABBREVIATED = frozenset(
    f"{ABBREVIATIONS} {CLOSING_ABBREVIATIONS} {CAPITALISED_ABBREVIATIONS} {NUMBERED_ABBREVIATIONS} "
    "mfg mtg pte ptes pty ptys ppte pptes ppty pptys".split()
)
FILE_ENDINGS = """
bat bmp c cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov pdf php pl png ppt ps py
sql tar txt wav x xml zip
"""
ENTITIES = {"amp": "&", "gt": ">", "lt": "<", "mdash": "--", "ndash": "--", "quot": "''"}
ENTITIES |= {"apos": "'", "nbsp": ""}
SPELLED = {"$": "€¤\x80\u20a0", "#": "£", "cents": "¢", "1/4": "¼", "1/2": "½", "3/4": "¾"}
SPELLED |= {"1/3": "⅓", "2/3": "⅔"}
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

SOFT_HYPHEN = "\xad"
CURLY = "’\x92"
OPENING = "`‘\u201b\x91"


class Rule(NamedTuple):
    """One kind of token.

    `pattern` may match beyond the token: what must follow counts towards the longest match. The
    token is then the first group that matched. `begins` names the kinds of first character (`a`
    letter or mark, `1` digit, `.` any other), so that few rules are tried at each place. For the
    same end, a text with none of the characters of `needs` is promised to hold no such token, or
    none that is longer than what an earlier rule finds; "" promises nothing.
    """

    begins: str
    pattern: str
    write: Callable[[str], str]
    needs: str = ""


def as_written(token: str) -> str:
    """The token in lower case; inner blanks become unbreakable."""
    return token.replace(" ", "\xa0").replace(SOFT_HYPHEN, "").lower()


def straight(token: str) -> str:
    """A clitic, its apostrophe made straight."""
    token = token.replace("&apos;", "'")
    return as_written(re.sub(f"[{CURLY}]", "'", re.sub(f"[{OPENING}]", "`", token)))


def rounded(token: str) -> str:
    """With round brackets by name."""
    return as_written(token).replace("(", "-lrb-").replace(")", "-rrb-")


def entity(token: str) -> str:
    """What a known entity stands for; an accented letter stays as it is."""
    name = token[1:-1]
    return ENTITIES.get(name if name.lower() in ("quot", "apos") else name.lower(), token.lower())


def spelled(token: str) -> str:
    """A sign as it is written in ASCII."""
    return next(text for text, signs in SPELLED.items() if token in signs)


def words(text: str) -> str:
    """Any of some words, in any case."""
    return f"(?i:{'|'.join(sorted(text.split(), key=len, reverse=True))})"


# Pieces of patterns.
A = "A-Za-z" + SOFT_HYPHEN + character_class(LETTERS)
W = A + character_class(MARKS)
WORD = f"(?:[{W}][{W}0-9]*|[0-9][0-9{A}]*)"
PART = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"  # of "and/or"
ACCENTED = "&(?i:[aeiou](?:acute|grave|uml));"
HYPHEN = "-‐‑֊"  # first, so that the plain one is no range
APOSTROPHE = f"(?:['{CURLY}]|&apos;)"
APOSTROPHES = f"'&{CURLY}"  # one of these is in every `APOSTROPHE`
ELIDED = f"(?:[dDoOlL]{APOSTROPHE}[A-Za-z0-9])?"
COMPOUND = f"{ELIDED}{WORD}(?:[{HYPHEN}_]{ELIDED}{WORD})*"
POINTED = "[A-Za-z0-9][A-Za-z0-9.,]*(?:-[A-Za-z0-9]+)+"
NAMED = f"[A-HJ-XZdnol]{APOSTROPHE}[A-Za-z][{A}][{A}0-9]*"
SITE = f"[{W}][{W}0-9]*(?:[.!?][{W}][{W}0-9]*)+"
INITIALS = "[A-Z]+(?:[&+][A-Z]+)+"
CLITIC = "(?i:s|d|m|ll|ve|re)"
CURLED = f"(?:[{CURLY}]|&apos;)"  # a clitic with one of these needs no end
NUMBER = f"(?:\\d*(?:[.,:٫٬{SOFT_HYPHEN}]\\d+)+|\\d+)"
END = f"(?![{W}0-9])"
NAME = r"[A-Za-z][A-Za-z0-9_.:-]*"
QUOTED = "(?:\"[^\"]*\"|'[^']*')"
IN_URL = r'[^\s<>"(){}|]'
URL_END = r'[^\s<>"(){}|!?,.-]'
IN_PATH = r'[^\s<>"()|]'
IN_EMAIL = r'[^\s<>"(){}|.]'

RULES = [
    # Words
    Rule("a", f"(?i:(can)not|(gon|wan)na|(got)ta|(lem|gim)me){END}", as_written),
    Rule("a1", WORD, as_written),
    Rule("a.", f"(?:[{W}]|{ACCENTED})(?:[{W}0-9]|{ACCENTED})*", as_written),
    Rule("a", SITE, as_written, ".!?"),
    Rule(
        "a",
        f"((?:{words(CLOSING_ABBREVIATIONS)}|(?=[A-Z]){words(CAPITALISED_ABBREVIATIONS)}"
        r"|[Pp]{1,2}t[ey]s?|(?i:(?:ph|ed)\.d))\.)(?s:..)",
        as_written,
        ".",
    ),
    Rule("a", f"(?:{words(ABBREVIATIONS)}|[Mm][ft]g)\\.", as_written, "."),
    Rule("a", f"({words(NUMBERED_ABBREVIATIONS)}\\.)\\s?[0-9]", as_written, "."),
    Rule("a", r"[A-Za-z](?:\.[A-Za-z])*\.", as_written, "."),
    Rule(
        "a",
        f"([A-Za-z])\\.\\s+(?:(?=[A-Z])(?:{words(SENTENCE_STARTS)}|(?i:mr|ms)\\.)|</?{NAME}>)\\s",
        as_written,
        ".",
    ),
    Rule("a1", COMPOUND, as_written, f"{HYPHEN}_{APOSTROPHES}"),
    Rule("a1", POINTED, as_written, "-"),
    Rule("a1", "[A-Za-z0-9][A-Za-z0-9.,]*-(?:[A-Za-z0-9]+-)*(?:[A-Za-z]\\.){2,}", as_written, "-"),
    Rule("a1", f"((?:{SITE}|{INITIALS}|{COMPOUND}|{POINTED})\\.)[,:;]", as_written, "."),
    Rule("a1", f"{PART}(?:/{PART}){{1,2}}", as_written, "/"),
    Rule("a", INITIALS, as_written, "&+"),
    Rule("a", r"[Cc]\+\+|[CcFf]#", as_written, "+#"),
    Rule("a", r"(?:US|HK|[A-Z])\$", as_written, "$"),
    # Apostrophes
    Rule(
        "a",
        f"([A-Za-z]*[A-MO-Za-mo-z])[nN](?:{APOSTROPHE}|[{OPENING}])[tT]",
        as_written,
        APOSTROPHES + OPENING,
    ),
    Rule("a", f"[nN](?:{APOSTROPHE}|[{OPENING}])[tT](?![A-Za-z])", straight, APOSTROPHES + OPENING),
    Rule("a1", f"([{W}0-9]+)(?:'|{CURLED}){CLITIC}", as_written, APOSTROPHES),
    Rule(".", f"'{CLITIC}(?![A-Za-z])|{CURLED}{CLITIC}", straight, APOSTROPHES),
    Rule("a", NAMED, as_written, APOSTROPHES),
    Rule(
        "a",
        f"[{A}]+[aeiouyAEIOUY](?:{APOSTROPHE}|`)[aeiouA-Z][{A}]*",
        as_written,
        APOSTROPHES + "`",
    ),
    Rule("a", f"(?i:cap{APOSTROPHE}n|ol{APOSTROPHE}|e'er|nor'easter)", as_written, APOSTROPHES),
    Rule("a", f"(?i:[djl]){APOSTROPHE}(?!{CLITIC})", as_written, APOSTROPHES),
    Rule("a", f"([yY]{APOSTROPHE})(?!{CLITIC})[{A}]", as_written, APOSTROPHES),
    Rule(
        ".",
        f"(?i:{APOSTROPHE}(?:em|cause|till?|n{APOSTROPHE}|n(?=\\s))|'t(?=is|was))",
        as_written,
        APOSTROPHES,
    ),
    Rule(".", f"{APOSTROPHE}\\d\\d(?:[sS]|(?=\\s))", as_written, APOSTROPHES),
    Rule(".", f"''|[{CURLY}]{{2}}", lambda _: "''", "'" + CURLY),
    # Numbers
    Rule("1.", f"[-+]?{NUMBER}", as_written),
    Rule("1", r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}", as_written, "-/"),
    Rule("1", r"(?:\d{1,4}[- \xa0])?\d{1,4}(?:\\?/|⁄)\d{1,4}", as_written, "/⁄"),
    Rule(
        "1.",
        r"(?:\(\d{2,3}\)[ \xa0]?|\+?(?:\d{2,4}[- \xa0])?\d{2,4}[- \xa0])\d{3,4}[- \xa0]?\d{3,5}",
        rounded,
        "(- \xa0",
    ),
    # Addresses
    Rule("a", f"(?i:https?)://{IN_URL}+{URL_END}", as_written, ":"),
    Rule(
        "a",
        f"(?i:www)\\.(?:[A-Za-z0-9-]+\\.)+[A-Za-z]{{2,4}}(?:/{IN_PATH}*{URL_END})?",
        as_written,
        ".",
    ),
    Rule("a", f"[a-z][a-z0-9.]*\\.(?:com|net|org|edu)/{IN_PATH}+{URL_END}", as_written, "."),
    Rule(
        "a1.", f"<?[A-Za-z0-9](?:{IN_EMAIL}|\\.)*@{IN_EMAIL}+(?:\\.{IN_EMAIL}+)*>?", as_written, "@"
    ),
    Rule("a1", f"[0-9{A}]+\\.{words(FILE_ENDINGS)}(?=[\\s,.?!])", as_written, "."),
    Rule(".", "@[A-Za-z_][A-Za-z_0-9]*", as_written, "@"),
    Rule(".", f"#[{A}]+", as_written, "#"),
    # Markup
    Rule(".", f"</{NAME}\\s*>|<[!?][A-Za-z-][^>]*>", as_written, "<"),
    Rule(".", f"<{NAME}(?:\\s+{NAME}(?:\\s*=\\s*{QUOTED})?)*\\s*/?\\s*>", as_written, "<"),
    Rule(".", "&(?i:amp|gt|lt|mdash|ndash|nbsp|quot|apos);", entity, "&"),
    Rule(".", "&#[0-9]+;", as_written, "&"),
    # Faces
    Rule(".", r"[<>]?[:;=][-o*']?[()DdPp\[\]@{|\\O](?![A-Za-z0-9])", rounded, ":;="),
    Rule("a.", r"[-'<=>^~xX]_[-'<=>^~]|[-'<=>^~]_[xX]|[xX]_[xX](?![A-Za-z0-9])", as_written, "_"),
    Rule(".", r"\([-'<=>^~xX]{2}\)|\('[-._]'\)|\(\^[-._]\^\)", rounded, "("),
    # Signs
    Rule(".", r"[!?]+|\*+|#+|@+|_+|<<?|>>?|(?:\\\*)+|-{5,}", as_written, r"!?*#@_<>\-"),
    Rule(".", "-{2,4}", lambda _: "--", "-"),
    Rule(".", r"\.{3,}|\. \. \.", lambda _: "...", "."),
    Rule(".", f"[{''.join(SPELLED.values())}]", spelled),
    Rule(".", r"[()\[\]{}]", BRACKETS.__getitem__),
    Rule(".", f"[$%&+/=\\\\^|~{character_class(SYMBOLS)}]", as_written),
]
