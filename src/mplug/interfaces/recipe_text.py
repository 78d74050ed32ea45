"""What `mplug recipes` and `mplug train --diff-from-paper` say beside a run's fields."""

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

from mplug.config.load import load_config
from mplug.config.paper import Aim, aims
from mplug.config.paper_diff import Difference, differences, paper_runs_of
from mplug.config.recipes import ALL, RECIPES, recipe
from mplug.config.schema import RunConfig
from mplug.errors import ConfigError

CONFIG = "config.json"  # of a run; naming it here imports no torch
TITLES = Difference("what", "here", "the paper's")


def heading(name: str) -> list[str]:
    """Lines above a recipe's fields: what it is for, and the published figures it aims at."""
    lines = cleandoc(ALL[name].__doc__ or "").splitlines()
    if name not in RECIPES:
        return lines
    found = aims(name)
    if found:
        return [*lines, "", *(f"Aims at {describe(aim)}" for aim in found)]
    beside = [other for other in paper_runs_of(recipe(name)).values() if other != name]
    known = f"; the paper's run of this task: {', '.join(beside)}" if beside else ""
    return [*lines, "", f"Aims at no published figure{known}"]


def describe(aim: Aim) -> str:
    """A published row in a line."""
    figures = ", ".join(f"{name} {value:g}" for name, value in aim.values.items())
    return f"{aim.where}, {aim.on}, {aim.row}: {figures}"


def load_run_or_recipe(source: str, words: Sequence[str]) -> RunConfig:
    """The run of mPLUG that a recipe, a file or a run's folder describes.

    Raises:
        ConfigError: it is none of them, or a field is unknown.
    """
    folder = Path(source)
    if source in ALL or not folder.is_dir():
        return load_config(source, words)
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} is not a run's folder: it holds no {CONFIG}")
    return load_config(folder / CONFIG, words)


def differences_from_paper(config: RunConfig) -> list[dict[str, Any]]:
    """For each thing that the run learns, the recipe with the paper's settings and what differs."""
    return [
        {
            "learns": what,
            "recipe": name,
            "differences": [
                difference._asdict() for difference in differences(config, what, name=name)
            ],
        }
        for what, name in paper_runs_of(config).items()
    ]


def difference_lines(config: RunConfig) -> Iterator[str]:
    """The same as tables."""
    for what, name in paper_runs_of(config).items():
        found = [TITLES, *differences(config, what, name=name)]
        widths = [max(len(row[column]) for row in found) for column in range(2)]
        yield f"{config.name}, {what}: what differs from the paper's run ({name}), or is unknown"
        for row in found:
            yield f"  {row.field:{widths[0]}}  {row.ours:{widths[1]}}  {row.paper}"
