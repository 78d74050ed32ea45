"""The fields of a CLIP run: a model, pairs of pictures and texts, one contrastive loss."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from mplug.config.schema import DataConfig, Frozen, OptimConfig, TrainConfig
from mplug.config.schema_clip import ClipConfig


class ClipOptim(OptimConfig):
    """AdamW as CLIP's paper sets it (table 18), for transformers.

    A process's share of the batch goes through the encoders in `cached_parts` parts, one after the
    other, and once more in the backward pass: the same loss over the whole batch, with the memory
    of one part. `accumulate` above 1 makes the contrast itself smaller.
    """

    lr: float = Field(default=5e-4, gt=0)
    warmup_steps: int = Field(default=2000, ge=0)
    final_lr_share: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.2, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-6, gt=0)
    cached_parts: PositiveInt = 1

    @property
    def epsilon(self) -> float:
        """What AdamW adds to the root of its second average."""
        return self.eps


class ClipInit(Frozen):
    """An image encoder that others trained, for a new model to start from."""

    vision: str | None = None  # a folder, file or hub name of a CLIP or a vision transformer


class ClipRun(Frozen):
    """Everything that decides the numbers of a CLIP run."""

    system: Literal["clip"] = "clip"
    name: str
    model: ClipConfig
    data: DataConfig
    optim: ClipOptim
    train: TrainConfig = TrainConfig()
    start_from: str | None = None
    init: ClipInit = ClipInit()

    @model_validator(mode="after")
    def _starts_once(self) -> Self:
        if self.start_from is not None and self.init != ClipInit():
            raise ValueError("start_from brings the image encoder: with it, init.vision is null")
        return self
