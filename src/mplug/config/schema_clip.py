"""The fields of a CLIP model: one of two image encoders, one of two text encoders."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from mplug.config.schema import Frozen, VisionConfig

RESNET_STRIDE = 32  # pixels of a picture for each place of the last feature map


class ResNetConfig(Frozen):
    """CLIP's modified ResNet: `stages` are the numbers of blocks, each twice as wide as the last.

    The last feature map has 32 times `width` channels; attention with `num_heads` pools it.
    """

    image_size: PositiveInt
    stages: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    width: PositiveInt
    num_heads: PositiveInt

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.image_size % RESNET_STRIDE:
            raise ValueError(f"image_size {self.image_size} is not a multiple of {RESNET_STRIDE}")
        if self.width % 2:
            raise ValueError(f"width {self.width} is odd: the first two convolutions take half")
        if self.channels % self.num_heads:
            raise ValueError(
                f"the last feature map's {self.channels} channels (32 times width {self.width}) "
                f"are not a multiple of num_heads {self.num_heads}"
            )
        return self

    @property
    def channels(self) -> int:
        """Of the last feature map."""
        return 32 * self.width


class CausalTextConfig(Frozen):
    """CLIP's text transformer: every word sees those before it, the last one stands for all."""

    vocab_size: PositiveInt
    hidden_size: PositiveInt
    num_layers: PositiveInt
    num_heads: PositiveInt
    intermediate_size: PositiveInt
    max_positions: PositiveInt
    layer_norm_eps: float = 1e-5
    dropout: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        return self


class BagOfWordsConfig(Frozen):
    """The mean of a text's word embeddings, whatever their order."""

    vocab_size: PositiveInt
    hidden_size: PositiveInt
    layer_norm_eps: float = 1e-5


def _fields(given: Any) -> Any:
    return given if isinstance(given, Mapping) else getattr(given, "__dict__", {})


def _kind_of_vision(given: Any) -> str:
    """By a field that only a ResNet has, so that an error speaks of the encoder that was meant."""
    return "resnet" if "stages" in _fields(given) else "transformer"


def _kind_of_text(given: Any) -> str:
    return "transformer" if "num_layers" in _fields(given) else "bag_of_words"


ClipVision = Annotated[
    Annotated[VisionConfig, Tag("transformer")] | Annotated[ResNetConfig, Tag("resnet")],
    Discriminator(_kind_of_vision),
]
ClipText = Annotated[
    Annotated[CausalTextConfig, Tag("transformer")]
    | Annotated[BagOfWordsConfig, Tag("bag_of_words")],
    Discriminator(_kind_of_text),
]


class ClipConfig(Frozen):
    """One CLIP model: what encodes pictures, what encodes texts, and the space they share."""

    vision: ClipVision
    text: ClipText
    embed_dim: PositiveInt
    image_pooling: Literal["class", "max"] = "class"  # of a transformer; a ResNet has its own
    temperature: float = Field(default=0.07, gt=0)  # at the start; it is learned

    @model_validator(mode="after")
    def _pooling_fits(self) -> Self:
        if isinstance(self.vision, ResNetConfig) and self.image_pooling != "class":
            raise ValueError(
                f"image_pooling {self.image_pooling!r} is for a vision transformer: "
                "a ResNet pools by attention"
            )
        return self
