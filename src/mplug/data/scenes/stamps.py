"""`mplug data stamps`: Tux Paint's stamps as records, built from the user's own copy.

They are real photographs and drawings, cut out, with captions by people in many languages. Their
licence is GPL-2 or later, so they are never part of this package: only the list of files is.
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

import numpy as np

from mplug.data.scenes.deb import read_members
from mplug.data.scenes.iconify import crop, rasterise
from mplug.data.scenes.output import Summary, new_folder, write_lines
from mplug.errors import DataError

PACKAGE = "tuxpaint-stamps-default"
ROOT = "usr/share/tuxpaint/stamps"
COPYRIGHT = f"usr/share/doc/{PACKAGE}/copyright"
DOWNLOAD_SECONDS = 900
SVG_WIDTH = 384  # pixels; most photographs among the stamps are smaller
TRANSLATION = re.compile(r"([A-Za-z_@]+)\.utf8=(.*)")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
README = """\
# Tux Paint stamps

{count} photographs and drawings of single things, cut out, from the Debian package
`{package}`, with its captions in {language!r}, first sentence only. `images/photo` and
`images/drawing` were told apart by eye. `train.jsonl`, `validation.jsonl` and `test.jsonl` share no
caption; those of the last two are the only picture of their caption.

Copyright 2002-2022 Bill Kendrick and contributors, GNU General Public License, version 2 or later;
`copyright` is the package's own statement. What contains these pictures may be passed on under that
licence only.

Made by `mplug data stamps` with seed {seed}. Left out: {left_out}.
"""


@dataclass(frozen=True)
class Stamp:
    """A picture of the list: its place in the package, and whether it is a photograph."""

    path: PurePosixPath
    kind: str  # "photo" or "drawing"

    @property
    def picture(self) -> str:
        """Where the data set keeps it."""
        return f"images/{self.kind}/{'-'.join(self.path.with_suffix('').parts)}.png"


def build_stamps(
    folder: str | Path,
    *,
    deb: str | Path | None = None,
    language: str = "en",
    validation: int = 50,
    test: int = 150,
    seed: int = 0,
) -> Summary:
    """Write the stamps of a Debian package, fetched with apt-get where `deb` names none.

    Raises:
        DataError: the package cannot be had or read, has no captions in that language, or is too
            small for the splits; the folder is not empty, or cannot be written.
        MissingExtraError: the SVG renderer is not installed.
    """
    folder = Path(folder)
    with new_folder(folder) as unfinished:
        members = _read_package(None if deb is None else Path(deb))
        stamps, left_out = _captioned(members, language)
        splits = _split(stamps, validation=validation, test=test, seed=seed)
        for stamp in stamps:
            _write_picture(unfinished, stamp, members[f"{ROOT}/{stamp.path}"])
        written = {
            f"{name}.jsonl": write_lines(
                unfinished / f"{name}.jsonl", [_record(each, stamps[each]) for each in chosen]
            )
            for name, chosen in splits.items()
        }
        (unfinished / "copyright").write_bytes(members[COPYRIGHT])
        readme = README.format(
            count=len(stamps),
            package=PACKAGE,
            language=language,
            seed=seed,
            left_out=", ".join(f"{count} {why}" for why, count in left_out.items()) or "none",
        )
        (unfinished / "README.md").write_text(readme, encoding="utf-8")
    return Summary(folder, written, left_out)


def listed_stamps() -> tuple[Stamp, ...]:
    """The stamps that show what their caption says, in the order of their paths."""
    text = (files("mplug.data.scenes") / "assets" / "stamps.txt").read_text(encoding="utf-8")
    lines = (line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return tuple(Stamp(PurePosixPath(path), kind) for kind, path in lines)


def _read_package(deb: Path | None) -> dict[str, bytes]:
    wanted = {COPYRIGHT}
    for stamp in listed_stamps():
        wanted |= {f"{ROOT}/{stamp.path}", f"{ROOT}/{stamp.path.with_suffix('.txt')}"}
    if deb is not None:
        members = read_members(deb, wanted)
    else:
        with tempfile.TemporaryDirectory() as folder:
            members = read_members(fetch_package(Path(folder)), wanted)
    if COPYRIGHT not in members:
        raise DataError(f"{deb}: holds no {COPYRIGHT}; is it {PACKAGE}?")
    return members


def fetch_package(folder: Path) -> Path:
    """The stamps' .deb, fetched with apt-get into `folder`.

    Raises:
        DataError: there is no apt-get here, or it could not fetch the package.
    """
    by_hand = f"download the .deb from https://packages.debian.org/{PACKAGE} and name the file"
    if shutil.which("apt-get") is None:
        raise DataError(f"apt-get is needed to fetch {PACKAGE} and is not installed: {by_hand}")
    command = ["apt-get", "download", PACKAGE]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=DOWNLOAD_SECONDS
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise DataError(
            f"apt-get could not fetch {PACKAGE} ({error}): run `apt-get update` first, or {by_hand}"
        ) from error
    return next(folder.glob("*.deb"))


def _captioned(
    members: Mapping[str, bytes], language: str
) -> tuple[dict[Stamp, str], dict[str, int]]:
    """The stamps that have a picture and a caption, and how many lack one or the other."""
    captions: dict[Stamp, str] = {}
    left_out: Counter[str] = Counter()
    known: set[str] = set()
    for stamp in listed_stamps():
        text = members.get(f"{ROOT}/{stamp.path.with_suffix('.txt')}")
        if text is None or f"{ROOT}/{stamp.path}" not in members:
            left_out["not in this package"] += 1
            continue
        by_language = _captions(text.decode("utf-8", "replace"))
        known.update(by_language)
        if language in by_language:
            captions[stamp] = by_language[language]
        else:
            left_out[f"without a caption in {language!r}"] += 1
    if not captions:
        languages = ", ".join(sorted(known)) or "none"
        raise DataError(
            f"{PACKAGE}: no stamp has a caption in {language!r}; the languages are {languages}"
        )
    return captions, dict(left_out)


def _captions(text: str) -> dict[str, str]:
    """Language -> first sentence; the first line is English, then one translation a line."""
    first, *rest = text.splitlines() or [""]
    translated = [found.groups() for line in rest if (found := TRANSLATION.fullmatch(line.strip()))]
    return {
        language: SENTENCE_END.split(caption.strip())[0]
        for language, caption in [("en", first), *translated]
        if caption.strip()
    }


def _split(
    stamps: Mapping[Stamp, str], *, validation: int, test: int, seed: int
) -> dict[str, list[Stamp]]:
    """Whole captions to one side; validation and test from captions that one picture has."""
    shown = Counter(caption.lower() for caption in stamps.values())
    single = [stamp for stamp, caption in stamps.items() if shown[caption.lower()] == 1]
    if validation + test >= len(single):
        raise DataError(
            f"{validation} validation and {test} test stamps were asked for, but only "
            f"{len(single)} have a caption of their own, and some must stay for training"
        )
    order = [single[place] for place in np.random.default_rng(seed).permutation(len(single))]
    chosen = {"validation": set(order[:validation]), "test": set(order[validation:][:test])}
    kept = chosen["validation"] | chosen["test"]
    return {
        "train": _in_order(stamps, stamps.keys() - kept),
        **{name: _in_order(stamps, members) for name, members in chosen.items()},
    }


def _in_order(stamps: Iterable[Stamp], chosen: set[Stamp]) -> list[Stamp]:
    return [stamp for stamp in stamps if stamp in chosen]


def _record(stamp: Stamp, caption: str) -> dict[str, str | Sequence[str]]:
    return {
        "image": stamp.picture,
        "image_id": str(stamp.path.with_suffix("")),
        "caption": [caption],
    }


def _write_picture(folder: Path, stamp: Stamp, data: bytes) -> None:
    path = folder / stamp.picture
    path.parent.mkdir(parents=True, exist_ok=True)
    if stamp.path.suffix == ".svg":
        svg = data.decode("utf-8", "replace")
        crop(rasterise(svg, width=SVG_WIDTH, height=None)).save(path)
    else:
        path.write_bytes(data)
