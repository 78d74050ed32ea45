"""Which emoji an icon shows: icon sets name them by code point, by label or by older names."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplug.data.scenes.iconify import read_json

PACKAGE = "emojibase-data@17.0.0"
COMPONENTS = 2  # the group of skin tones and hair styles, which are no pictures by themselves
SHORTCODES = ("cldr", "emojibase", "github", "iamcal", "joypixels")  # the surest names first
LEAST_LETTERS = 3  # of a shortcode: "1" is a thumb up
# Invisible parts of a sequence, which sets write or leave out: a selector and a joiner.
INVISIBLE = re.compile(r"-(fe0f|200d)(?=-|$)")
TONED = re.compile(r"\b(dark|light|medium|tone\d?)$|skin-tone|\b(dark|light|medium)-")
NUMBER = re.compile(r"-(\d)$")
FLAG = "flag-for-"

BY_CODE, BY_LABEL, BY_OTHER_NAME = range(3)  # how sure a match is


@dataclass(frozen=True)
class Emoji:
    """One emoji without a skin tone."""

    label: str
    keywords: tuple[str, ...]

    @property
    def text(self) -> str:
        """The label and what else people call it."""
        return ", ".join((self.label, *self.keywords))


@dataclass(frozen=True)
class Icons:
    """An icon set: names with drawings, other names for these, and code points where it has any."""

    drawings: Mapping[str, Any]  # as `iconify.draw` takes it
    codes: Mapping[str, str]  # name -> code points

    @classmethod
    def read(cls, archive: Path, *, with_codes: bool) -> "Icons":
        """From an `@iconify-json` package.

        Raises:
            DataError: it is none.
        """
        by_code = read_json(archive, "chars.json") if with_codes else {}
        codes = {name: visible(code) for code, name in by_code.items()}
        return cls(read_json(archive, "icons.json"), codes)

    @property
    def names(self) -> Iterable[str]:
        """Of the drawings, in the set's order."""
        return self.drawings["icons"]


class EmojiNames:
    """Finds the emoji that an icon's name means."""

    def __init__(self, words: Path, named: Iterable[Icons] = ()) -> None:
        """From emojibase's archive; `named` are sets with code points, whose names count too."""
        self._by_code = _read_emoji(words)
        self._labels: dict[str, str] = {}
        for code, emoji in self._by_code.items():
            for name in (emoji.label, re.sub(r"\(.*\)", "", emoji.label)):
                self._labels.setdefault(squash(name), code)
        self._others: dict[str, str] = {}
        for name, code in [*_shortcodes(words), *_names_of(named)]:
            if code in self._by_code:
                self._others.setdefault(name, code)

    def shown(self, icons: Icons) -> dict[str, Emoji]:
        """Icon name -> emoji, for every icon that shows one; several drawings only by number."""
        best: dict[tuple[str, str], tuple[int, str]] = {}
        for name in icons.names:
            match = self._match(name, icons.codes)
            if match is not None:
                sureness, code = match
                number = found[1] if (found := NUMBER.search(name)) else ""
                best[code, number] = min(
                    best.get((code, number), (sureness, name)), (sureness, name)
                )
        chosen = {name: self._by_code[code] for (code, _), (_, name) in best.items()}
        return {name: chosen[name] for name in icons.names if name in chosen}

    def _match(self, name: str, codes: Mapping[str, str]) -> tuple[int, str] | None:
        if codes.get(name) in self._by_code:
            return BY_CODE, codes[name]
        for known in (name, NUMBER.sub("", name)):
            if code := self._labels.get(squash(known)):
                return BY_LABEL, code
        for known in (name, NUMBER.sub("", name), name.removeprefix(FLAG)):
            if code := self._others.get(squash(known)):
                return BY_OTHER_NAME, code
        return None


def visible(code: str) -> str:
    """Code points such as 1f600 or 1f468-1f33e, without those that show nothing."""
    return INVISIBLE.sub("", code.lower())


def squash(name: str) -> str:
    """Letters and digits alone: sets disagree about all else."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def is_toned(name: str) -> bool:
    """Whether an icon that shows no known emoji seems to be one in a skin tone."""
    return TONED.search(name) is not None


def _read_emoji(words: Path) -> dict[str, Emoji]:
    """Code points -> emoji; skin tones lie below these and are left out."""
    return {
        visible(entry["hexcode"]): Emoji(
            entry["label"], tuple(tag for tag in entry.get("tags", ()) if tag != entry["label"])
        )
        for entry in read_json(words, "en/data.json")
        if entry.get("group", COMPONENTS) != COMPONENTS
    }


def _shortcodes(words: Path) -> Iterator[tuple[str, str]]:
    for source in SHORTCODES:
        for code, names in read_json(words, f"en/shortcodes/{source}.json").items():
            for name in [names] if isinstance(names, str) else names:
                if len(squash(name)) >= LEAST_LETTERS:
                    yield squash(name), visible(code)


def _names_of(named: Iterable[Icons]) -> Iterator[tuple[str, str]]:
    for icons in named:
        yield from ((squash(name), code) for name, code in icons.codes.items())
        for alias, entry in icons.drawings.get("aliases", {}).items():
            if entry["parent"] in icons.codes:
                yield squash(alias), icons.codes[entry["parent"]]
