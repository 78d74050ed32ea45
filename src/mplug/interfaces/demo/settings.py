"""What a demo does, as plain data; imports no torch, so that a finished demo answers at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mplug.config.load import dump_json, load_config
from mplug.config.schema import RunConfig, ScenesConfig
from mplug.errors import ConfigError

PRETRAIN, TASKS, SCENES, MODEL = "pretrain", "tasks", "scenes", "model"
REPORT, SUMMARY, RECORDS = "report.html", "summary.json", "records.jsonl"
UNSEEN: Final = "unseen_artist"


@dataclass(frozen=True)
class DemoSettings:
    """Everything that decides a demo's numbers."""

    pretrain: RunConfig
    tasks: RunConfig
    gallery: int  # scenes of each held-out gallery to search and describe
    asked: int  # scenes of each held-out gallery that the other tasks ask about
    clips: int  # of each split, on which nothing was trained
    remembered: int  # training scenes that the neighbour by pixels knows

    @property
    def world(self) -> ScenesConfig:
        """What the scenes are made of.

        Raises:
            ConfigError: the recipe learns from records.
        """
        if self.pretrain.data.scenes is None:
            raise ConfigError("the demo learns from scenes, so data.scenes cannot be null")
        return self.pretrain.data.scenes

    def plain(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {
            PRETRAIN: json.loads(dump_json(self.pretrain)),
            TASKS: json.loads(dump_json(self.tasks)),
            "gallery": self.gallery,
            "asked": self.asked,
            "clips": self.clips,
            "remembered": self.remembered,
        }


def demo_settings(
    run: Path,
    *,
    seed: int = 0,
    words: Sequence[str] = (),
    pretrain_words: Sequence[str] = (),
    tasks_words: Sequence[str] = (),
    gallery: int = 500,
    asked: int = 300,
    clips: int = 100,
    remembered: int = 10_000,
) -> DemoSettings:
    """The demo's two recipes for the folder `run`, with `path=value` words for both or for one.

    `seed` changes the first weights and the order of the training scenes, not the world or the
    galleries, so that two seeds can be compared.

    Raises:
        ConfigError: a word names no field, or a value it cannot have.
    """
    both = [f"train.seed={seed}", *words]
    return DemoSettings(
        pretrain=load_config("demo-pretrain", [*both, *pretrain_words]),
        tasks=load_config("demo-tasks", [*both, f"start_from={run / PRETRAIN}", *tasks_words]),
        gallery=gallery,
        asked=asked,
        clips=clips,
        remembered=remembered,
    )
