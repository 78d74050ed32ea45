"""Held-out scenes as files: pictures to look at and search, records of what they show, credits."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mplug.data.scenes.output import new_folder, write_lines
from mplug.data.scenes.world import Credit, credit
from mplug.interfaces.demo.settings import RECORDS
from mplug.tasks.evaluation import Gallery

README = """\
# Held-out scenes

What `mplug demo` asks its model about: scenes composed by a program from drawings by people, of
pairs of things that no training scene held together. Each folder has pictures by the artists it is
called after, and a `records.jsonl` with every true caption and the exact box of every object.

## Who drew this

Drawings were resized and placed. Keep this list with them.

{credits}
"""


def write_galleries(folder: Path, galleries: Sequence[Gallery]) -> None:
    """A folder of pictures and records for each gallery, all of them or none.

    Raises:
        DataError: `folder` holds files already, or cannot be written.
    """
    artists = {
        placed.artist
        for gallery in galleries
        for each in gallery.scenes
        for placed in each.scene.objects
    }
    with new_folder(folder) as unfinished:
        for gallery in galleries:
            _write(unfinished / gallery.split, gallery)
        lines = "\n".join(
            f"- {one.title} by {one.author}, {one.licence}, {one.url}"
            for one in credits_of(sorted(artists))
        )
        (unfinished / "README.md").write_text(README.format(credits=lines), encoding="utf-8")


def credits_of(artists: Iterable[str]) -> list[Credit]:
    """Whom to name for drawings by these artists, each work once."""
    works = {one.title: one for one in map(credit, artists)}
    return list(works.values())


def _write(folder: Path, gallery: Gallery) -> None:
    folder.mkdir()
    for place, each in enumerate(gallery.scenes):
        Image.fromarray(each.scene.image).save(folder / _name(place))
    write_lines(folder / RECORDS, list(_records(gallery)))


def _records(gallery: Gallery) -> Iterator[dict[str, Any]]:
    for place, each in enumerate(gallery.scenes):
        objects = [{"name": placed.name, "box": list(placed.box)} for placed in each.scene.objects]
        yield {"image": _name(place), "caption": list(each.references), "objects": objects}


def _name(place: int) -> str:
    return f"{place:04}.png"
