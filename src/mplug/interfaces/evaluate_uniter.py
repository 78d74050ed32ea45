"""A run of UNITER that learned from scenes, measured on held-out ones."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mplug.config.schema import ScenesConfig
from mplug.config.schema_uniter_run import UniterRun
from mplug.data.scenes.stream import SceneExamples
from mplug.errors import CheckpointError, ConfigError
from mplug.interfaces.phases import phases
from mplug.models.precision import lower, require_precision
from mplug.models.region_encoder import RegionEncoder
from mplug.tasks.evaluation import Gallery, SplitName
from mplug.tasks.figures import Figure
from mplug.tasks.scene_evaluation import TASKS, held_out_asks
from mplug.tasks.scene_galleries import learned_asks
from mplug.tasks.uniter_asker import Known, UniterAsker
from mplug.tasks.uniter_evaluation import search_figures, task_figures
from mplug.tasks.uniter_sources import region_encoder
from mplug.tasks.untrained import Untrained
from mplug.training.distributed import choose_device
from mplug.weights.uniter_folder import load_uniter

MOST_SEARCHED = 200  # scenes of a gallery: all pairs are ranked, so the work grows with its square


class Extent(NamedTuple):
    """Which held-out scenes, and how many; what the baselines know."""

    splits: Sequence[SplitName]
    scenes: int
    remembered: int
    objects: Sequence[int] = ()


class Measuring(NamedTuple):
    """A model, the scenes it learned from, and what describes the regions of others."""

    asker: UniterAsker
    world: ScenesConfig
    encoder: RegionEncoder
    skills: tuple[str, ...]


def uniter_figures(
    run: Path,
    config: UniterRun,
    *,
    extent: Extent,
    tasks: Sequence[str],
    device: str,
    precision: str = "float32",
) -> list[tuple[SplitName, Figure]]:
    """Every figure of `tasks`, or of all tasks that the model has learned, split by split.

    Raises:
        ConfigError: the run knows no scenes, or the scenes cannot be made.
        CheckpointError: the model cannot do one of `tasks`.
    """
    if config.data.scenes is None:
        raise ConfigError(
            f"{run}: data.scenes is null: only runs on scenes can be measured on them"
        )
    loaded, place = load_uniter(run), choose_device(device)
    lower(loaded.model.to(place), precision=require_precision(precision, device=place))
    known = Known(loaded.model, loaded.tokenizer, loaded.answers, place)
    measuring = Measuring(
        UniterAsker(known),
        config.data.scenes,
        region_encoder(config.data.encoder),
        loaded.model.config.skills,
    )
    chosen = _chosen(measuring.skills, tasks)
    found = list(_figures(measuring, extent, chosen))
    return [each for split in extent.splits for each in found if each[0] == split]


def _chosen(skills: Sequence[str], tasks: Sequence[str]) -> list[str]:
    able = [name for name in TASKS if name in skills]
    able += ["retrieval"] if "retrieve" in skills else []
    lacking = [task for task in tasks if task not in able]
    if lacking or not able:
        raise CheckpointError(
            f"this model was not trained for {(lacking or ['any task'])[0]}; it can be measured on "
            f"{', '.join(able) or 'nothing'}"
        )
    return list(tasks) or able


def _figures(
    measuring: Measuring, extent: Extent, tasks: Sequence[str]
) -> Iterator[tuple[SplitName, Figure]]:
    with phases() as show:
        asked = [task for task in tasks if task != "retrieval"]
        learned = {}
        if asked:
            learned = learned_asks(
                measuring.world,
                count=extent.remembered,
                progress=partial(show, "scenes to compare with, by what is asked"),
            )
        for split in extent.splits:
            for each in held_out_asks(
                measuring.world,
                split=split,
                image_size=measuring.encoder.image_size,
                count=extent.scenes,
                tasks=asked,
                objects=extent.objects,
            ):
                for figure in task_figures(
                    measuring.asker,
                    each,
                    describe=measuring.encoder.describe,
                    learned=learned[each.task],
                ):
                    yield split, figure
        if "retrieval" in tasks:
            ranked = partial(show, "ranking pictures and captions")
            yield from _searched(measuring, extent, progress=ranked)


def _searched(
    measuring: Measuring, extent: Extent, *, progress: "partial[None]"
) -> Iterator[tuple[SplitName, Figure]]:
    size = measuring.encoder.image_size
    untrained = Untrained.remember(
        SceneExamples(measuring.world, image_size=size), count=extent.remembered, seed=0
    )
    for split in extent.splits:
        gallery = Gallery.held_out(
            measuring.world,
            split=split,
            image_size=size,
            count=min(extent.scenes, MOST_SEARCHED),
        )
        for figure in search_figures(
            measuring.asker,
            gallery,
            describe=measuring.encoder.describe,
            untrained=untrained,
            progress=progress,
        ):
            yield split, figure
