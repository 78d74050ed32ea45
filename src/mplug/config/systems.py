"""The kinds of runs: each system has a word, which its runs and its saved models carry.

To add one: its run's schema here, what it must have in `config/ready.py`, how it trains in
`interfaces/training.py`, how it is saved on `weights/folder.py`.
"""

from collections.abc import Mapping
from typing import Any

from mplug.config.schema import RunConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.config.schema_uniter_run import UniterRun
from mplug.config.schema_zoo_run import ZooRun
from mplug.errors import ConfigError

AnyRun = RunConfig | ClipRun | UniterRun | ZooRun

SYSTEM = "system"  # the field with the word; runs of mPLUG, the first system, do without
SYSTEMS: dict[str, type[AnyRun]] = {
    "mplug": RunConfig,
    "clip": ClipRun,
    "uniter": UniterRun,
    "zoo": ZooRun,
}


def schema_of(fields: Mapping[str, Any], *, where: str = "") -> type[AnyRun]:
    """The schema of a run from plain data.

    Raises:
        ConfigError: no system is called so; the message begins with `where`.
    """
    word = fields.get(SYSTEM, "mplug")
    if word not in SYSTEMS:
        raise ConfigError(f"{where}{SYSTEM} = {word!r}: must be one of {', '.join(SYSTEMS)}")
    return SYSTEMS[word]


def without_word(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the schema of a run has: one of mPLUG has none for its word."""
    return {name: value for name, value in fields.items() if (name, value) != (SYSTEM, "mplug")}
