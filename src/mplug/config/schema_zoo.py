"""The fields of a model put together from parts: inputs, a body that lets them meet, heads."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from mplug.config.schema import Frozen, TextConfig

Head = Literal["itm", "mlm", "mrfr", "mrc", "itc", "answer"]
"""Heads by what they learn; words are written by the head of "mlm"."""


STEM_STRIDE = 4  # pixels for each place of a ResNet's first stage


class RegionsPart(Frozen):
    """A picture as regions.

    How a region is embedded: what it "shows" alone (VisualBERT); that and where it is "placed",
    added (ViLBERT), "averaged" (LXMERT) or "joined" into one vector (OSCAR); or with its
    "geometry" as waves (VL-BERT). With `whole`, the mean of them all stands in front.
    """

    kind: Literal["regions"] = "regions"
    embedding: Literal["shown", "placed", "averaged", "joined", "geometry"]
    feature_size: PositiveInt
    classes: int = Field(ge=2)  # class 0 is background
    whole: bool = False


class GridPart(Frozen):
    """A picture as the places of a ResNet's last feature map, some of which are drawn (0: all)."""

    kind: Literal["grid"] = "grid"
    image_size: PositiveInt
    stages: tuple[PositiveInt, ...]
    width: PositiveInt
    cells: int = Field(default=0, ge=0)

    @property
    def places(self) -> int:
        """How many places the feature map of a picture has: each stage but the first halves it."""
        stride = STEM_STRIDE * 2 ** (len(self.stages) - 1)
        return (self.image_size // stride) ** 2


class PatchesPart(Frozen):
    """A picture as patches, each projected, with a class token in front."""

    kind: Literal["patches"] = "patches"
    image_size: PositiveInt
    patch_size: PositiveInt

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
        return self


ImagePart = Annotated[RegionsPart | GridPart | PatchesPart, Field(discriminator="kind")]


class StreamBody(Frozen):
    """One stack that reads everything: BERT's layers, or a vision transformer's (pre-norm)."""

    kind: Literal["stream", "pre_norm_stream"] = "stream"


class CoAttentionBody(Frozen):
    """ViLBERT's: text alone first; then for each image layer, both read each other before it."""

    kind: Literal["co_attention"] = "co_attention"
    image_layers: PositiveInt
    image_hidden_size: PositiveInt
    image_heads: PositiveInt
    image_intermediate_size: PositiveInt
    heads_dim: PositiveInt  # of the attention between the two
    num_heads: PositiveInt


class CrossBody(Frozen):
    """LXMERT's: layers of text, layers of image, then layers that share their cross-attention."""

    kind: Literal["cross"] = "cross"
    image_layers: PositiveInt
    cross_layers: PositiveInt


class SplitBody(Frozen):
    """InterBERT's: one stack over both, then a stack of its own for each."""

    kind: Literal["split"] = "split"
    own_layers: PositiveInt


Body = Annotated[StreamBody | CoAttentionBody | CrossBody | SplitBody, Field(discriminator="kind")]


class PairConfig(Frozen):
    """Words and a picture's parts meet in a body; heads ask something of what comes of it."""

    kind: Literal["pair"] = "pair"
    text: TextConfig
    image: ImagePart
    body: Body
    heads: tuple[Head, ...]
    words: Literal["plain", "typed", "tagged", "visual"] = "plain"
    pool: Literal["first_word", "product"] = "first_word"
    pooled_dim: PositiveInt | None = None  # of a product; None: the text's
    embed_dim: PositiveInt = 256  # of the space that "itc" shares
    answers: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        regional = {"mrfr", "mrc"} & set(self.heads)
        if regional and not isinstance(self.image, RegionsPart):
            raise ValueError(
                f"heads {sorted(regional)} ask for regions, image is {self.image.kind}"
            )
        if self.words == "visual" and not isinstance(self.image, RegionsPart):
            raise ValueError(f'words "visual" need regions, image is {self.image.kind}')
        if "itc" in self.heads and not self.one_stream:
            raise ValueError(
                f'heads "itc" need one stream that reads each side alone, body is {self.body.kind}'
            )
        if "answer" in self.heads and not self.answers:
            raise ValueError('heads "answer" need answers, the number of answers to choose of')
        return self

    @property
    def one_stream(self) -> bool:
        """Whether one stack reads all, so that it can write, or read one side alone."""
        return isinstance(self.body, StreamBody)


class WriterConfig(Frozen):
    """SimVLM: a pre-norm encoder reads a picture and a text's first words, a decoder continues."""

    kind: Literal["writer"] = "writer"
    text: TextConfig
    image: GridPart
    decoder_layers: PositiveInt


ZooConfig = Annotated[PairConfig | WriterConfig, Field(discriminator="kind")]
