"""The demo's stages: scenes, pretraining, tasks, evaluation and report; each is done once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mplug import __version__
from mplug.config.load import dump_json
from mplug.config.schema import RunConfig
from mplug.interfaces.api import Model, load
from mplug.interfaces.demo.examples import WORST_ASKS
from mplug.interfaces.demo.gallery_files import write_galleries
from mplug.interfaces.demo.page import demo_report
from mplug.interfaces.demo.results import Results
from mplug.interfaces.demo.settings import (
    MODEL,
    PRETRAIN,
    REPORT,
    SCENES,
    SUMMARY,
    TASKS,
    UNSEEN,
    DemoSettings,
)
from mplug.interfaces.demo.state import DemoState
from mplug.interfaces.measure import measure, measure_tasks, worst_asks
from mplug.interfaces.prepared import describe_data
from mplug.interfaces.report.content import Score
from mplug.interfaces.report.files import write_text
from mplug.interfaces.report.page import write_report
from mplug.interfaces.report.summary import write_summary
from mplug.interfaces.report.wording import duration
from mplug.interfaces.training import run_training
from mplug.tasks.evaluation import Gallery, SplitName
from mplug.training.run import CONFIG
from mplug.weights import card

SHOWN: tuple[SplitName, ...] = ("training_artists", UNSEEN)
EVALUATION = "evaluation"
STAGES = (SCENES, PRETRAIN, TASKS, EVALUATION)


@dataclass
class Demo:
    """One demo in its folder."""

    settings: DemoSettings
    state: DemoState
    processes: int
    device: str
    told: int = field(default=0)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.state.folder

    def run(self) -> None:
        """Do what is not done yet.

        Raises:
            SystemExit: a training process failed or was stopped; it has said why.
            MPlugError: whatever prevents a stage, in words for its user.
        """
        world = self.settings.world
        self._draw_scenes(
            f"drawing {self.settings.gallery} held-out scenes by the artists it trains on, and as "
            "many by one it never sees"
        )
        self._train(
            PRETRAIN,
            self.settings.pretrain,
            f"learning from scratch what {world.concepts} things look like and are called",
        )
        self._train(
            TASKS,
            self.settings.tasks,
            "learning to describe, answer, point, compare and judge, and to search better",
        )
        self._evaluate("asking it about the held-out scenes, beside what needs no sight")

    @cached_property
    def galleries(self) -> list[Gallery]:
        """Drawn from their seed, so always the same."""
        return [
            Gallery.held_out(
                self.settings.world,
                split=split,
                image_size=self.settings.pretrain.model.vision.image_size,
                count=self.settings.gallery,
            )
            for split in SHOWN
        ]

    def _begins(self, stage: str, words: str) -> bool:
        """Say what is next; False where it is done already."""
        self.told += 1
        done = stage in self.state.done
        print(f"[{self.told}/{len(STAGES)}] {words}{': done' if done else ''}", flush=True)
        return not done

    def _ended(self, stage: str) -> None:
        print(f"  took {duration(self.state.seconds[stage])}", flush=True)

    def _draw_scenes(self, words: str) -> None:
        if not self._begins(SCENES, words):
            return
        with self.state.stage(SCENES):
            # There already where a demo was stopped just after they were written.
            if not (self.folder / SCENES).exists():
                write_galleries(self.folder / SCENES, self.galleries)
        self._ended(SCENES)

    def _train(self, stage: str, config: RunConfig, words: str) -> None:
        steps, batch = config.optim.steps, config.optim.batch_size
        if not self._begins(stage, f"{words}: {steps:,} steps of {batch} scenes"):
            return
        with self.state.stage(stage, children=self.processes if self.processes > 1 else 0):
            run_training(
                config,
                run_dir=self.folder / stage,
                device=self.device,
                processes=self.processes,
            )
        self._ended(stage)

    def _evaluate(self, words: str) -> None:
        self._begins(EVALUATION, words)
        with self.state.stage(EVALUATION):
            model = load(self.folder / TASKS, device=self.device)
            results = self._measured(model)
            self._export(model, results.scores)
        self._ended(EVALUATION)
        self.state.save()
        write_report(
            self.folder / REPORT,
            demo_report(
                results,
                settings=self.settings,
                state=self.state,
                parameters=sum(each.numel() for each in model.network.parameters()),
                processes=self.processes,
            ),
        )
        self.state.save()
        write_summary(
            self.folder / SUMMARY,
            results.scores,
            seconds=self.state.total_seconds,
            peak_memory_gb=self.state.peak_memory_gb,
        )

    def _measured(self, model: Model) -> Results:
        settings = self.settings
        evaluations = measure(
            model,
            self.galleries,
            world=settings.world,
            remembered=settings.remembered,
            seed=settings.pretrain.train.seed,
            device=self.device,
        )
        asked = measure_tasks(
            model,
            world=settings.world,
            splits=SHOWN,
            count=settings.asked,
            clips=settings.clips,
            remembered=settings.remembered,
            image_size=settings.pretrain.model.vision.image_size,
            device=self.device,
        )
        failures = worst_asks(model, asked, count=max(WORST_ASKS.values()), device=self.device)
        return Results(
            tuple(self.galleries), tuple(evaluations), tuple(asked), tuple(map(tuple, failures))
        )

    def _export(self, model: Model, scores: tuple[Score, ...]) -> None:
        """The finished model, with its scores on its card, where `mplug.load` looks first."""
        model.save_pretrained(
            self.folder / MODEL,
            card=card.ModelCard(
                name="mplug-demo",
                summary=f"What `mplug demo` of mplug {__version__} learned from scratch.",
                data=describe_data(self.settings.pretrain.data),
                licence="Apache-2.0",
                scores=tuple(
                    card.Score(
                        score.task,
                        score.split,
                        score.metric,
                        score.value,
                        low=score.low,
                        high=score.high,
                        n=score.n,
                        baselines=score.baselines,
                    )
                    for score in scores
                ),
            ),
        )
        write_text(self.folder / CONFIG, dump_json(self.settings.tasks))
