"""`mplug data emoji`: whole icon sets as records, drawn on the user's own machine.

Every emoji of eight artists, with its label and keywords as text: about 1,600 pictures an artist
that all differ. What one artist's drawings teach is asked of another's.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mplug.data.scenes.emoji_names import PACKAGE as WORDS
from mplug.data.scenes.emoji_names import Emoji, EmojiNames, Icons, is_toned
from mplug.data.scenes.iconify import credit, draw
from mplug.data.scenes.npm import fetch
from mplug.data.scenes.output import Summary, new_folder, write_lines
from mplug.errors import DataError


@dataclass(frozen=True)
class Artist:
    """An icon set: its npm package, and the set whose code points it shares, if any."""

    package: str
    codes: str | None = None


ARTISTS = {
    "noto": Artist("@iconify-json/noto@1.2.9", codes="noto"),
    "noto-v1": Artist("@iconify-json/noto-v1@1.2.5"),
    "twemoji": Artist("@iconify-json/twemoji@1.2.5", codes="twemoji"),
    "fxemoji": Artist("@iconify-json/fxemoji@1.2.2"),
    "streamline": Artist("@iconify-json/streamline-emojis@1.2.4"),
    "emojione": Artist("@iconify-json/emojione@1.2.3"),
    "fluent": Artist("@iconify-json/fluent-emoji@1.2.7", codes="fluent-flat"),
    "fluent-flat": Artist("@iconify-json/fluent-emoji-flat@1.2.6", codes="fluent-flat"),
}
# Fluent and Fluent flat are one artist: neither is ever trained on.
SPLITS = {
    "train": ("noto", "noto-v1", "twemoji", "fxemoji", "streamline"),
    "validation": ("emojione",),
    "test": ("fluent",),
    "test-flat": ("fluent-flat",),
}
SIDE = 64  # pixels
README = """\
# Emoji by eight artists

{count} drawings of single emoji, none in a skin tone, {side} pixels a side. The text of each is its
label and its keywords, from the Unicode CLDR by way of {words}; two drawings of one emoji have the
same text. `label` is the label alone.

{files}

{credits}

Made by `mplug data emoji`. Left out: {left_out}.
"""

Progress = Callable[[str], None]


def build_emoji(
    folder: str | Path,
    *,
    archives: str | Path | None = None,
    side: int = SIDE,
    progress: Progress = lambda _: None,
) -> Summary:
    """Write the pictures and records of all artists, a file for each split and training artist.

    `archives` is a folder of the npm packages' .tgz files; those that it lacks are fetched by npm
    and left there. `progress` is told each artist's name when its turn comes.

    Raises:
        DataError: a package cannot be had or read; the folder is not empty, or cannot be written.
        MissingExtraError: the SVG renderer is not installed.
    """
    folder = Path(folder)
    with _archives(archives) as held, new_folder(folder) as unfinished:
        packages = {name: fetch(artist.package, held) for name, artist in ARTISTS.items()}
        sets = _read_sets(packages)
        named = [icons for name, icons in sets.items() if ARTISTS[name].codes == name]
        names = EmojiNames(fetch(WORDS, held), named)
        left_out: Counter[str] = Counter()
        records = {}
        for artist, icons in sets.items():
            progress(artist)
            place = unfinished / "images" / artist
            records[artist] = list(_drawn(place, artist, icons, names.shown(icons), left_out, side))
        written = _write_records(unfinished, records)
        readme = README.format(
            count=sum(map(len, records.values())),
            side=side,
            words=WORDS,
            files="\n".join(
                f"- `{name}.jsonl`: {', '.join(artists)}" for name, artists in _files().items()
            ),
            credits="\n".join(_credit(credit(archive)) for archive in packages.values()),
            left_out=", ".join(f"{count} {why}" for why, count in left_out.items()) or "none",
        )
        (unfinished / "README.md").write_text(readme, encoding="utf-8")
    return Summary(folder, written, dict(left_out))


@contextmanager
def _archives(folder: str | Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot hold the packages: {error}") from error
    yield Path(folder).resolve()


def _read_sets(packages: Mapping[str, Path]) -> dict[str, Icons]:
    """Every artist's icons; one that has no code points takes those of its twin."""
    own = {
        name: Icons.read(packages[name], with_codes=artist.codes == name)
        for name, artist in ARTISTS.items()
    }
    return {
        name: Icons(icons.drawings, own[ARTISTS[name].codes or name].codes)
        for name, icons in own.items()
    }


def _drawn(
    place: Path,
    artist: str,
    icons: Icons,
    shown: Mapping[str, Emoji],
    left_out: Counter[str],
    side: int,
) -> Iterator[dict[str, Any]]:
    """A record for each drawing, which is written; counts those left out."""
    place.mkdir(parents=True)
    for name in icons.names:
        if name not in shown:
            left_out["in a skin tone" if is_toned(name) else "that show no known emoji"] += 1
            continue
        try:
            drawing = draw(icons.drawings["icons"][name], icons.drawings, side=side)
        except DataError:
            left_out["that cannot be drawn"] += 1
            continue
        _centred(drawing, side=side).save(place / f"{name}.png")
        yield {
            "image": f"images/{artist}/{name}.png",
            "image_id": f"{artist}/{name}",
            "caption": [shown[name].text],
            "label": shown[name].label,
        }


def _centred(drawing: Image.Image, *, side: int) -> Image.Image:
    """A drawing in the middle of a transparent square."""
    square = Image.new("RGBA", (side, side))
    square.paste(drawing, ((side - drawing.width) // 2, (side - drawing.height) // 2))
    return square


def _files() -> dict[str, tuple[str, ...]]:
    """Record file -> artists: the splits, and each training artist alone."""
    return SPLITS | {artist: (artist,) for artist in SPLITS["train"]}


def _write_records(folder: Path, records: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    return {
        f"{name}.jsonl": write_lines(
            folder / f"{name}.jsonl", [record for artist in artists for record in records[artist]]
        )
        for name, artists in _files().items()
    }


def _credit(info: Mapping[str, str]) -> str:
    made = "{title} by {author}, {licence}: {url}, {package}".format(**info)
    return f"- {made}"
