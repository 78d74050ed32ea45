"""The fields of a run of a model put together from parts; unknown ones are refused."""

from typing import Literal, Self, get_args

from pydantic import Field, PositiveInt, model_validator

from mplug.config.schema import Frozen, OptimConfig, ScenesConfig, TrainConfig
from mplug.config.schema_zoo import PairConfig, ZooConfig

JointObjective = Literal[
    "itm",
    "itm_captions",
    "itm_tags",
    "itc",
    "mlm",
    "mlm_written",
    "mlm_text",
    "mrfr",
    "mrfr_image",
    "mrc",
    "mrc_kl",
    "answer",
    "caption",
    "denoise",
    "prefix_lm",
    "prefix_lm_text",
]
OBJECTIVES: tuple[JointObjective, ...] = get_args(JointObjective)
HEADS: dict[JointObjective, str] = {
    "itm": "itm",
    "itm_captions": "itm",
    "itm_tags": "itm",
    "itc": "itc",
    "mrfr": "mrfr",
    "mrfr_image": "mrfr",
    "mrc": "mrc",
    "mrc_kl": "mrc",
    "answer": "answer",
}
"""The head that an objective needs; those of words all need the one of "mlm"."""

WRITING = {"caption", "denoise", "prefix_lm", "prefix_lm_text"}
READS_ONE_SIDE = {"mlm_text", "mrfr_image", "itc"}


class JointObjectives(Frozen):
    """How much each objective counts, 0 not at all; every step learns all that count.

    Matching tells a pair from one with another picture (`itm`), with another second caption
    (`itm_captions`) or with another picture's tags (`itm_tags`). Masked words are read off picture
    and text, or as in writing off what stands before (`mlm_written`), or off a text alone
    (`mlm_text`). Words are written from a picture alone (`caption`), from it and the caption with
    holes (`denoise`), from it and the first words (`prefix_lm`), or from these alone
    (`prefix_lm_text`). Masked regions come with a text, or without (`mrfr_image`).
    """

    itm: float = Field(default=0.0, ge=0)
    itm_captions: float = Field(default=0.0, ge=0)
    itm_tags: float = Field(default=0.0, ge=0)
    itc: float = Field(default=0.0, ge=0)
    mlm: float = Field(default=0.0, ge=0)
    mlm_written: float = Field(default=0.0, ge=0)
    mlm_text: float = Field(default=0.0, ge=0)
    mrfr: float = Field(default=0.0, ge=0)
    mrfr_image: float = Field(default=0.0, ge=0)
    mrc: float = Field(default=0.0, ge=0)
    mrc_kl: float = Field(default=0.0, ge=0)
    answer: float = Field(default=0.0, ge=0)
    caption: float = Field(default=0.0, ge=0)
    denoise: float = Field(default=0.0, ge=0)
    prefix_lm: float = Field(default=0.0, ge=0)
    prefix_lm_text: float = Field(default=0.0, ge=0)
    alignment: float = Field(default=0.0, ge=0)  # word-region alignment beside `itm`
    masking: Literal["conditional", "joint"] = "conditional"
    masked_words: Literal["pieces", "whole_words", "spans"] = "pieces"
    masked_regions: Literal["single", "overlapping"] = "single"
    word_share: float = Field(default=0.15, gt=0, le=1)
    region_share: float = Field(default=0.15, gt=0, le=1)
    wrong_share: float = Field(default=0.5, gt=0, lt=1)

    @property
    def chosen(self) -> dict[JointObjective, float]:
        """The weight of each objective that counts."""
        weights = {name: float(getattr(self, name)) for name in OBJECTIVES}
        return {name: weight for name, weight in weights.items() if weight > 0}


class JointData(Frozen):
    """Scenes to learn from: drawn as pixels, or taken from a bank of regions.

    A bank is drawn once, described by `encoder`, and kept in the folder `regions`.
    """

    scenes: ScenesConfig = ScenesConfig()
    regions: str = "regions"
    encoder: str = "mplug-tiny"
    pictures: PositiveInt = 12000
    tokenizer: str | None = None
    vocab_size: PositiveInt = 1000
    max_words: PositiveInt = 30
    workers: int = Field(default=0, ge=0)
    validation_examples: PositiveInt = 256


class ZooRun(Frozen):
    """Everything that decides the numbers of a run."""

    system: Literal["zoo"] = "zoo"
    name: str
    model: ZooConfig
    data: JointData = JointData()
    objectives: JointObjectives
    optim: OptimConfig
    train: TrainConfig = TrainConfig()
    start_from: str | None = None  # a run or a saved model of the same sizes

    @model_validator(mode="after")
    def _objectives_fit(self) -> Self:
        chosen = self.objectives.chosen
        if not chosen:
            raise ValueError("objectives: every one is 0, so there is nothing to learn")
        for name in chosen:
            reason = self._unfit(name)
            if reason is not None:
                raise ValueError(f"objectives.{name}: {reason}")
        return self

    def _unfit(self, name: JointObjective) -> str | None:
        """Why the model cannot learn an objective; None where it can."""
        model = self.model
        if not isinstance(model, PairConfig):
            writes = name in {"prefix_lm", "prefix_lm_text"}
            return None if writes else "an encoder with a decoder learns prefix_lm alone"
        if name not in WRITING | {"mlm_written"} | READS_ONE_SIDE:
            pass
        elif not model.one_stream:
            return f"only one stream can do so, the body is {model.body.kind}"
        head = HEADS.get(name, "mlm")
        if head not in model.heads:
            return f'the model has no head "{head}"'
        if name == "itm_tags" and model.words != "tagged":
            return 'needs model.words="tagged"'
        return None
