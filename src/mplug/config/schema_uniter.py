"""The fields of a UNITER model; unknown ones are refused."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from mplug.config.schema import Frozen, TextConfig

UniterSkill = Literal["answer", "retrieve", "compare", "ground", "entail"]


class RegionsConfig(Frozen):
    """What a picture's regions come as."""

    feature_size: PositiveInt  # numbers that describe a region
    classes: int = Field(ge=2)  # of what they are taught to name; class 0 is background


class UniterConfig(Frozen):
    """One UNITER model: words and regions through one stack of layers."""

    text: TextConfig  # the words, and the stack that reads words and regions as one sequence
    regions: RegionsConfig
    skills: tuple[UniterSkill, ...] = ()  # what the model was fine-tuned for; each brings a head
    answers: int = Field(default=0, ge=0)  # among how many answers "answer" chooses
    comparison: Literal["triplet", "pair", "pair_attention"] = "pair_attention"

    @model_validator(mode="after")
    def _answers_are_counted(self) -> Self:
        if "answer" in self.skills and not self.answers:
            raise ValueError('the skill "answer" needs answers, the number of answers to choose of')
        return self
