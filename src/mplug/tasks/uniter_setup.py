"""From a UNITER run's configuration to its model, its task and its batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch

from mplug.config.schema_uniter import UniterConfig, UniterSkill
from mplug.config.schema_uniter_run import UniterRun
from mplug.data.batch import Examples
from mplug.data.loader import Collate, Loader
from mplug.data.regions.batch import collate_region_tasks, collate_regions
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError
from mplug.models.uniter import Uniter, with_skills
from mplug.tasks.setup import SPECIALS
from mplug.tasks.uniter_finetune import UniterFinetuning
from mplug.tasks.uniter_pretrain import UniterPretraining
from mplug.tasks.uniter_sources import RegionSource
from mplug.tasks.words import Words
from mplug.training.distributed import Processes
from mplug.weights.uniter_folder import LoadedUniter

LEAST_BATCHES = 8  # of validation: fewer say little of how much batches differ


@dataclass(frozen=True)
class UniterSetup:
    """All that a run learns with."""

    config: UniterRun
    source: RegionSource
    tokenizer: Tokenizer
    answers: tuple[str, ...]
    start: LoadedUniter | None

    def model(self) -> Uniter:
        """A new model from the run's seed, or the one it starts from, with the tasks' heads.

        Raises:
            ConfigError: the regions are not as wide as the model reads, or of other classes; or
                the model that the run starts from has other sizes.
        """
        torch.manual_seed(self.config.train.seed)
        self._require_fit()
        skills = cast(list[UniterSkill], list(self.config.tasks.chosen))
        if self.start is not None:
            answers = len(self.answers) if "answer" in skills else None
            return with_skills(self.start.model, skills, answers=answers)
        text = self.config.model.text.model_copy(update={"vocab_size": self.tokenizer.vocab_size})
        fields = self.config.model.model_dump() | {
            "text": text,
            "skills": skills,
            "answers": len(self.answers),
        }
        return Uniter(UniterConfig.model_validate(fields))

    def _require_fit(self) -> None:
        wanted, config = self.config.model.regions, self.config
        if self.start is not None and self.start.model.config.regions != wanted:
            raise ConfigError(
                f"start_from={config.start_from}: its model reads {self.start.model.config.regions}"
                f", the run's {wanted}: use the recipe of the same sizes"
            )
        for name, has in (("feature_size", self.source.feature_size()), ("classes", self._classes)):
            if has != getattr(wanted, name):
                raise ConfigError(
                    f"model.regions.{name} = {getattr(wanted, name)}, but the regions have {has}: "
                    f"add model.regions.{name}={has}"
                )

    @property
    def _classes(self) -> int:
        """Of the soft labels; where there are none, whatever the model has."""
        return self.source.classes() or self.config.model.regions.classes

    def task(
        self, model: Uniter, *, processes: Processes, validation: Callable[[], Sequence[Any]]
    ) -> UniterPretraining | UniterFinetuning:
        """What the run trains."""
        config = self.config
        if config.task == "finetune":
            return UniterFinetuning(
                model,
                tasks=config.tasks,
                optim=config.optim,
                seed=config.train.seed,
                processes=processes,
                validation=validation,
            )
        return UniterPretraining(
            model,
            objectives=config.objectives,
            optim=config.optim,
            words=Words.of(self.tokenizer, device=processes.device),
            most=(config.data.max_words + SPECIALS, config.data.at_most),
            seed=config.train.seed,
            processes=processes,
            validation=validation,
        )

    def examples(self) -> tuple[Examples[Any], Examples[Any]]:
        """To learn from, and to validate on."""
        if self.config.task == "pretrain":
            return (
                self.source.pairs("train", self.tokenizer),
                self.source.pairs("validation", self.tokenizer),
            )
        places = {answer: place for place, answer in enumerate(self.answers)}
        chosen = self.config.tasks.chosen
        return (
            self.source.tasks("train", self.tokenizer, tasks=chosen, answers=places),
            self.source.tasks("validation", self.tokenizer, tasks=chosen, answers=places),
        )

    @property
    def _collate(self) -> Collate[Any, Any]:
        return collate_regions if self.config.task == "pretrain" else collate_region_tasks

    def training_batches(self, examples: Examples[Any], *, processes: Processes) -> Loader[Any]:
        """What the engine is fed with: the parts of each step's batch that are this process's."""
        optim = self.config.optim
        return Loader(
            examples,
            collate=self._collate,
            batch_size=optim.batch_size // optim.accumulate,
            seed=self.config.train.seed,
            rank=processes.rank,
            world=processes.world,
            workers=self.config.data.workers,
            pad_id=self.tokenizer.pad_id,
            max_bad_share=self.config.data.max_bad_share,
        )

    def validation_batches(
        self, examples: Examples[Any], *, processes: Processes
    ) -> Callable[[], Sequence[Any]]:
        """The same validation batches each time, read once."""
        optim, wanted = self.config.optim, self.config.data.validation_examples
        size = min(optim.batch_size // optim.accumulate, max(4, wanted // LEAST_BATCHES))
        size = max(1, size // processes.world) * processes.world

        @cache
        def batches() -> Sequence[Any]:
            loader = Loader(
                examples,
                collate=self._collate,
                batch_size=size,
                seed=self.config.train.seed,
                rank=processes.rank,
                world=processes.world,
                pad_id=self.tokenizer.pad_id,
                max_bad_share=self.config.data.max_bad_share,
            )
            return tuple(loader.batches(steps=max(LEAST_BATCHES, wanted // size)))

        return batches
