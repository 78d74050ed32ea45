"""The fields of a UNITER run: words and regions, one objective a step; unknown ones are refused."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from mplug.config.schema import Frozen, OptimConfig, ScenesConfig, TrainConfig
from mplug.config.schema_uniter import UniterConfig

RegionObjective = Literal["mlm", "itm", "mrfr", "mrc", "mrc_kl"]


class Mix(Frozen):
    """How often each objective is drawn, in proportion to the others; 0 is never.

    The defaults are UNITER's for one in-domain data set.
    """

    itm: float = Field(default=2.0, ge=0)
    mlm: float = Field(default=2.0, ge=0)
    mrfr: float = Field(default=1.0, ge=0)
    mrc: float = Field(default=0.0, ge=0)
    mrc_kl: float = Field(default=1.0, ge=0)

    @property
    def shares(self) -> dict[RegionObjective, float]:
        """The share of steps of each objective that is drawn at all."""
        weights: dict[RegionObjective, float] = {
            "itm": self.itm,
            "mlm": self.mlm,
            "mrfr": self.mrfr,
            "mrc": self.mrc,
            "mrc_kl": self.mrc_kl,
        }
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items() if weight > 0}

    @model_validator(mode="after")
    def _something_is_drawn(self) -> Self:
        if not any(dict(self).values()):
            raise ValueError("objectives.mix: every objective is 0, so there is nothing to learn")
        return self


class UniterObjectives(Frozen):
    """What pretraining asks, and how much of a pair it hides.

    With masking "conditional" either words or regions are hidden, and the other side is whole;
    "joint" hides both, whichever side is asked for.
    """

    mix: Mix = Mix()
    masking: Literal["conditional", "joint"] = "conditional"
    word_share: float = Field(default=0.15, gt=0, le=1)
    region_share: float = Field(default=0.15, gt=0, le=1)
    wrong_share: float = Field(default=0.5, gt=0, lt=1)  # of pairs, those that matching tells apart
    alignment: float = Field(default=0.1, ge=0)  # word-region alignment beside matching


class RegionData(Frozen):
    """Where regions and texts come from: record files with a folder of regions, or scenes.

    Scenes are drawn once, described by `encoder`, and kept in the folder `regions`.
    """

    train: str | None = None
    validation: str | None = None
    regions: str = "regions"
    scenes: ScenesConfig | None = None
    encoder: str = "mplug-tiny"  # what describes the boxes of scenes: a model of ours
    pictures: PositiveInt = 12000  # scenes drawn to learn from; a twelfth more to validate on
    confidence: float = Field(default=0.2, ge=0, le=1)
    at_least: PositiveInt = 10
    at_most: PositiveInt = 100
    tokenizer: str | None = None
    vocab_size: PositiveInt = 8000
    max_words: PositiveInt = 58
    max_bad_share: float = Field(default=0.01, ge=0, le=1)
    workers: int = Field(default=0, ge=0)
    validation_examples: PositiveInt = 512


class UniterOptim(OptimConfig):
    """AdamW, with a rate of its own for what fine-tuning adds."""

    head_lr: float | None = Field(default=None, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = Field(default=0.01, ge=0)


class UniterTask(Frozen):
    """One task among those a run fine-tunes on, and how much it counts."""

    weight: float = Field(default=1.0, gt=0)


class UniterRetrieval(UniterTask):
    """Retrieval: a pair must rank `margin` above the hardest of `candidates` wrong ones."""

    margin: float = Field(default=0.2, gt=0)
    candidates: PositiveInt = 31  # looked at for each picture and each text, without learning
    hardest: PositiveInt = 4  # of them, learned from


class UniterTasks(Frozen):
    """What a run fine-tunes on: any of the tasks."""

    answer: UniterTask | None = None
    retrieve: UniterRetrieval | None = None
    compare: UniterTask | None = None
    ground: UniterTask | None = None
    entail: UniterTask | None = None

    @property
    def chosen(self) -> dict[str, UniterTask]:
        """Those that are on, by name."""
        return {name: task for name in type(self).model_fields if (task := getattr(self, name))}


class UniterRun(Frozen):
    """Everything that decides the numbers of a UNITER run."""

    system: Literal["uniter"] = "uniter"
    name: str
    task: Literal["pretrain", "finetune"]
    tasks: UniterTasks = UniterTasks()  # what "finetune" learns
    model: UniterConfig
    data: RegionData
    optim: UniterOptim
    train: TrainConfig = TrainConfig()
    objectives: UniterObjectives = UniterObjectives()
    start_from: str | None = None

    @model_validator(mode="after")
    def _tasks_fit(self) -> Self:
        if self.task == "finetune" and not self.tasks.chosen:
            raise ValueError("task finetune needs tasks, such as tasks.answer.weight=1")
        if self.task == "pretrain" and self.tasks.chosen:
            raise ValueError(
                f"task pretrain takes no tasks, but has {', '.join(self.tasks.chosen)}"
            )
        return self
