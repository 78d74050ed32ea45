"""From what a demo measured to the report that shows it."""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mplug import __version__
from mplug.config.load import dump_json
from mplug.config.schema import RunConfig
from mplug.data.scenes.world import TEST_ARTISTS
from mplug.interfaces.demo.gallery_files import credits_of
from mplug.interfaces.demo.settings import CAPTION, PRETRAIN, SCENES, DemoSettings
from mplug.interfaces.demo.state import DemoState
from mplug.interfaces.measure import score_of
from mplug.interfaces.report.content import (
    CaptionExample,
    Credit,
    Fact,
    Picture,
    Report,
    Score,
    SearchExample,
    SearchResult,
    Stage,
    Timing,
)
from mplug.interfaces.report.curves import curves_from, read_metrics
from mplug.interfaces.report.wording import duration
from mplug.metrics.retrieval import ground_truth, order, ranks
from mplug.tasks.evaluation import Evaluation, Figure, Gallery
from mplug.training.launch import available_cores
from mplug.training.run import METRICS

CAPTIONS_SHOWN, SEARCHES_SHOWN, FOUND_SHOWN = 12, 4, 6
TITLES = {
    SCENES: "Drawing held-out scenes",
    PRETRAIN: "Pretraining",
    CAPTION: "Caption fine-tuning",
    "evaluation": "Evaluation",
}


@dataclass(frozen=True)
class Results:
    """What was measured on each gallery."""

    galleries: tuple[Gallery, ...]
    evaluations: tuple[Evaluation, ...]

    @property
    def scores(self) -> tuple[Score, ...]:
        """What the model is judged by, for the table and summary.json."""
        return tuple(self._scores([each.figures for each in self.evaluations]))

    @property
    def extras(self) -> tuple[Score, ...]:
        """What it understands beyond names, whether or not it is above chance."""
        return tuple(self._scores([each.extras for each in self.evaluations]))

    def _scores(self, figures: Sequence[Sequence[Figure]]) -> Iterator[Score]:
        for gallery, some in zip(self.galleries, figures, strict=True):
            yield from (score_of(figure, split=gallery.split) for figure in some)

    def of(self, metric: str) -> list[float]:
        """One metric's value on each gallery."""
        return [score.value for score in self.scores if score.metric == metric]


def demo_report(
    results: Results,
    *,
    settings: DemoSettings,
    state: DemoState,
    parameters: int,
    processes: int,
) -> Report:
    """The whole page."""
    pairs = list(zip(results.galleries, results.evaluations, strict=True))
    return Report(
        title="mPLUG demo: learning to see from scratch",
        lead=_lead(settings, state=state, parameters=parameters, processes=processes),
        facts=_facts(results, state=state, processes=processes),
        scores=(*results.scores, *results.extras),
        names=frozenset(results.galleries[0].names),
        captions=tuple(example for pair in pairs for example in _captions(*pair)),
        searches=tuple(example for pair in pairs for example in _searches(*pair)),
        stages=(
            _stage(state.folder / PRETRAIN, settings.pretrain, title=TITLES[PRETRAIN]),
            _stage(state.folder / CAPTION, settings.caption, title=TITLES[CAPTION]),
        ),
        timings=tuple(Timing(TITLES[name], seconds) for name, seconds in state.seconds.items()),
        configurations={
            TITLES[PRETRAIN]: json.loads(dump_json(settings.pretrain)),
            TITLES[CAPTION]: json.loads(dump_json(settings.caption)),
        },
        environment=_environment(processes),
        credits=tuple(
            Credit(one.title, one.author, one.licence, one.url)
            for one in credits_of((*settings.world.artists, *TEST_ARTISTS))
        ),
    )


def _lead(
    settings: DemoSettings, *, state: DemoState, parameters: int, processes: int
) -> tuple[str, ...]:
    world = settings.world
    trained = duration(state.seconds[PRETRAIN] + state.seconds[CAPTION])
    seen = sum(
        config.optim.steps * config.optim.batch_size
        for config in (settings.pretrain, settings.caption)
    )
    return (
        f"A model with {parameters / 1e6:.1f} million parameters learned for {trained} in "
        f"{_counted(processes, 'process', 'processes')} from {seen:,} scenes. Nothing was "
        "pretrained and nothing was downloaded. The scenes are composed: drawings by people, put "
        f"together and described by a program; {world.concepts} things, "
        f"{world.min_objects} to {world.max_objects} in a scene.",
        f"It is tested on {settings.gallery} scenes of pairs that no training scene held "
        "together, once by the artists it learned from and once by an artist whose drawings were "
        "kept away from it altogether. Captions are written with "
        f"{_counted(settings.caption.generation.beams, 'beam', 'beams')}; the neighbour by pixels "
        f"knows {settings.remembered:,} training scenes.",
    )


def _facts(results: Results, *, state: DemoState, processes: int) -> tuple[Fact, ...]:
    trained, unseen = results.of("recall_at_1_image_to_text")
    named, named_unseen = results.of("object_f1")
    gallery = len(results.galleries[0].scenes)
    return (
        Fact(f"{trained:.0%}", f"of pictures find their own caption among {gallery}"),
        Fact(f"{unseen:.0%}", f"when the artist is new to it; chance is {1 / gallery:.1%}"),
        Fact(f"{named:.0%}", "objects named (F1)"),
        Fact(f"{named_unseen:.0%}", "objects named when the artist is new to it"),
        Fact(
            duration(state.total_seconds),
            f"on {_counted(available_cores(), 'core', 'cores')}, at most "
            f"{state.peak_memory_gb:.1f} GB",
        ),
    )


def _captions(gallery: Gallery, evaluation: Evaluation) -> Iterator[CaptionExample]:
    for each, said in zip(gallery.scenes[:CAPTIONS_SHOWN], evaluation.captions, strict=False):
        yield CaptionExample(
            _picture(each.scene.image, description=each.caption),
            gallery.split,
            said,
            (each.caption,),
            frozenset(each.scene.names),
        )


def _searches(gallery: Gallery, evaluation: Evaluation) -> Iterator[SearchExample]:
    """The last scenes of the gallery, since the first ones are shown with their captions."""
    table = evaluation.similarity.T
    count = len(table)
    found = order(table)
    places = ranks(table, ground_truth(np.arange(count), images=count))
    for row in range(max(0, count - SEARCHES_SHOWN), count):
        yield SearchExample(
            gallery.scenes[row].caption,
            gallery.split,
            tuple(
                SearchResult(
                    _picture(
                        gallery.scenes[place].scene.image,
                        description=gallery.scenes[place].caption,
                    ),
                    right=bool(place == row),
                )
                for place in found[row, :FOUND_SHOWN]
            ),
            place=round(float(places[row])),
            gallery=count,
        )


def _picture(pixels: np.ndarray, *, description: str) -> Picture:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return Picture(buffer.getvalue(), description)


def _stage(run: Path, config: RunConfig, *, title: str) -> Stage:
    records = [line for line in read_metrics(run / METRICS) if line.get("kind") == "train"]
    optim = config.optim
    note = f"{optim.steps:,} steps of {optim.batch_size} scenes, none of them seen twice."
    return Stage(title, note, curves_from(records, also=("tags",)))


def _environment(processes: int) -> dict[str, str]:
    return {
        "mplug": __version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "Machine": f"{platform.system()} {platform.machine()}",
        "Processor": _counted(available_cores(), "core", "cores"),
        "Training processes": str(processes),
    }


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
