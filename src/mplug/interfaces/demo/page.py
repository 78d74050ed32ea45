"""From what a demo measured to the report that shows it."""

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from mplug import __version__
from mplug.config.load import dump_json
from mplug.config.schema import RunConfig
from mplug.data.scenes.world import TEST_ARTISTS
from mplug.interfaces.demo import examples
from mplug.interfaces.demo.gallery_files import credits_of
from mplug.interfaces.demo.results import Results
from mplug.interfaces.demo.settings import PRETRAIN, SCENES, TASKS, DemoSettings
from mplug.interfaces.demo.state import DemoState
from mplug.interfaces.report.content import Credit, Fact, Report, Stage, Timing
from mplug.interfaces.report.curves import curves_from, read_metrics
from mplug.interfaces.report.wording import duration
from mplug.training.launch import available_cores
from mplug.training.run import METRICS

TITLES = {
    SCENES: "Drawing held-out scenes",
    PRETRAIN: "Pretraining",
    TASKS: "All tasks",
    "evaluation": "Evaluation",
}
# The figures at the head of the page, by metric.
FACTS = {
    "recall_at_1_image_to_text": "pictures that find their own caption among {gallery}",
    "recall_at_1_text_to_image": "captions that find their own picture among {gallery}",
    "object_f1": "objects named in captions (F1)",
    "answer_accuracy": "questions answered right",
    "grounding_accuracy": "phrases found (Acc@0.5)",
    "compare_accuracy": "statements about pairs judged right",
    "entail_accuracy": "hypotheses judged right",
}


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
        facts=tuple(_facts(results, state=state)),
        scores=(*results.judged, *results.extras),
        names=frozenset(results.galleries[0].names),
        captions=tuple(each for pair in pairs for each in examples.captions(*pair)),
        worst_captions=tuple(each for pair in pairs for each in examples.worst_captions(*pair)),
        searches=tuple(each for pair in pairs for each in examples.searches(*pair)),
        worst_searches=tuple(each for pair in pairs for each in examples.worst_searches(*pair)),
        parts=tuple(examples.parts(results)),
        stages=(
            _stage(state.folder / PRETRAIN, settings.pretrain, title=TITLES[PRETRAIN]),
            _stage(state.folder / TASKS, settings.tasks, title=TITLES[TASKS]),
        ),
        timings=tuple(Timing(TITLES[name], seconds) for name, seconds in state.seconds.items()),
        configurations={
            TITLES[PRETRAIN]: json.loads(dump_json(settings.pretrain)),
            TITLES[TASKS]: json.loads(dump_json(settings.tasks)),
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
    trained = duration(state.seconds[PRETRAIN] + state.seconds[TASKS])
    seen = sum(
        config.optim.steps * config.optim.batch_size
        for config in (settings.pretrain, settings.tasks)
    )
    return (
        f"A model with {parameters / 1e6:.1f} million parameters learned for {trained} in "
        f"{_counted(processes, 'process', 'processes')} from {seen:,} scenes. Nothing was "
        "pretrained and nothing was downloaded. The scenes are composed: drawings by people, put "
        f"together and described by a program; {world.concepts} things, "
        f"{world.min_objects} to {world.max_objects} in a scene.",
        f"It searches and describes {settings.gallery} scenes of pairs that no training scene held "
        f"together, and is asked about {settings.asked} more, once by the artists it learned from "
        "and once by an artist whose drawings were kept away from it altogether. It writes with "
        f"{_counted(settings.tasks.generation.beams, 'beam', 'beams')}; the neighbour by pixels "
        f"knows {settings.remembered:,} training scenes.",
    )


def _facts(results: Results, *, state: DemoState) -> Iterator[Fact]:
    for metric, counted in FACTS.items():
        trained, unseen = results.of(metric)
        label = counted.format(gallery=len(results.galleries[0].scenes))
        yield Fact(f"{trained:.0%}", f"{label}; {unseen:.0%} where the artist is new to it")
    yield Fact(
        duration(state.total_seconds),
        f"on {_counted(available_cores(), 'core', 'cores')}, at most {state.peak_memory_gb:.1f} GB",
    )


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
