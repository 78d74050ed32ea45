"""What an experiment has found so far, in a JSON file: a cell is one training and its scores.

A cell is written when it is done, so an experiment that was stopped goes on where it was, and two
processes may each measure some of its cells.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mplug.errors import ConfigError
from mplug.training.run import flatten

Cell = dict[str, Any]


class Cells:
    """The cells of one experiment with one set of settings, by name."""

    def __init__(self, file: Path, *, experiment: str, settings: Mapping[str, Any]) -> None:
        """Read what the file has; there may be none yet.

        Raises:
            ConfigError: the file is no such file, or its cells were made with other settings.
        """
        self.file = file
        self.experiment = experiment
        self.settings: dict[str, Any] = json.loads(json.dumps(dict(settings)))
        self._cells: dict[str, Cell] = {}
        if file.exists():
            self._read()

    def __contains__(self, name: str) -> bool:
        return name in self._cells

    def __getitem__(self, name: str) -> Cell:
        return self._cells[name]

    @property
    def names(self) -> list[str]:
        """Those that are done, in the order in which they were."""
        return list(self._cells)

    def add(self, name: str, cell: Cell) -> None:
        """Keep a cell, on disk too; a crash meanwhile leaves the file as it was or as it will be.

        Cells that another process has added to the file since are kept and known from now on.

        Raises:
            OSError: the file cannot be written.
            ConfigError: the file has become one that is not ours.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.file.parent):
            if self.file.exists():
                self._read()
            self._cells[name] = json.loads(json.dumps(cell))
            content = {
                "experiment": self.experiment,
                "settings": self.settings,
                "cells": self._cells,
            }
            _write_whole(self.file, json.dumps(content, indent=1) + "\n")

    def _read(self) -> None:
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            found, settings, cells = (content[key] for key in ("experiment", "settings", "cells"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.file} holds no cells of an experiment ({error}): name another file"
            ) from error
        if found != self.experiment:
            raise ConfigError(f"{self.file} holds the experiment {found!r}: name another file")
        self._compare(settings)
        self._cells = cells

    def _compare(self, stored: Mapping[str, Any]) -> None:
        there, now = flatten(stored), flatten(self.settings)
        changed = [
            f"{name}: {there.get(name, 'absent')!r} there, {now.get(name, 'absent')!r} now"
            for name in sorted(there.keys() | now.keys())
            if there.get(name, ...) != now.get(name, ...)
        ]
        if changed:
            raise ConfigError(
                f"{self.file} holds cells with other settings ({'; '.join(changed)}): ask for the "
                "same again, or name another file"
            )


def fill(
    cells: Cells,
    names: Iterable[str],
    measure: Callable[[str], Cell],
    *,
    most: int | None = None,
    after: Callable[[], None] = lambda: None,
) -> list[str]:
    """Measure those of `names` that are not there yet, at most `most` of them; returns which.

    `after` is called when a cell is kept, and once at the end.
    """
    done: list[str] = []
    for name in names:
        if name in cells:
            continue
        if most is not None and len(done) >= most:
            break
        print(f"cell {name}", flush=True)
        cells.add(name, measure(name))
        done.append(name)
        after()
    after()
    return done


@dataclass(frozen=True)
class Filled:
    """What became of a table: its page, the cells measured now, those there are, those to come."""

    page: str
    done: list[str]
    cells: int
    missing: list[str]


class Page(Protocol):
    """What shows a table: a module that writes its lines and draws its picture."""

    def lines(self, cells: Cells) -> list[str]:
        """The page."""
        ...

    def chart(self, cells: Cells) -> str:
        """The picture, as SVG."""
        ...


def fill_table(
    cells: Cells,
    names: Sequence[str],
    measure: Callable[[str, Cells], Cell],
    *,
    page: Page,
    only: Sequence[str] | None,
    most: int | None,
) -> Filled:
    """Measure the cells of `only`, or all of `names`, and write the page anew after each.

    `measure` is given the name, and the cells there are.
    """
    base = cells.file.with_suffix("")

    def write() -> None:
        write_page(base, "\n".join(page.lines(cells)), chart=page.chart(cells))

    done = fill(cells, only or names, lambda name: measure(name, cells), most=most, after=write)
    missing = [name for name in names if name not in cells]
    return Filled(f"{base}.md", done, len(cells.names), missing)


def write_page(base: Path, page: str, *, chart: str) -> None:
    """The page and its picture beside the cells: `base` with .md and .svg behind it.

    Raises:
        OSError: they cannot be written.
    """
    base.parent.mkdir(parents=True, exist_ok=True)
    shown = f"{page}\n![the figures above as bars]({base.name}.svg)\n"
    _write_whole(base.with_suffix(".md"), shown)
    _write_whole(base.with_suffix(".svg"), chart)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes cells in the folder; the kernel forgets who died."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _write_whole(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    with new.open("w", encoding="utf-8") as written:
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    os.replace(new, file)
