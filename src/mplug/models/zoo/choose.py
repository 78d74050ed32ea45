"""From a configuration's words to the parts that they name."""

from torch import nn

from mplug.config.schema_zoo import GridPart, ImagePart, PairConfig, PatchesPart, RegionsPart
from mplug.models.zoo.bodies import image_dim
from mplug.models.zoo.inputs import (
    GridInput,
    ImageInput,
    PatchInput,
    PlainWords,
    RegionInput,
    TaggedWords,
    TypedWords,
    VisualWords,
    WholeRegionInput,
)
from mplug.models.zoo.regions import (
    AveragedRegions,
    GeometryRegions,
    JoinedRegions,
    PlacedRegions,
    ShownRegions,
)
from mplug.nn.embeddings import WordEmbeddings
from mplug.nn.modified_resnet import ModifiedResNet


def make_inputs(
    config: PairConfig, words: WordEmbeddings
) -> PlainWords | TypedWords | TaggedWords | VisualWords:
    """How words and pictures enter the model."""
    if config.words == "visual":
        assert isinstance(config.image, RegionsPart)
        look = GeometryRegions(config.text.hidden_size, feature_size=config.image.feature_size)
        return VisualWords(words, look)
    dim = image_dim(config.body, config.text)
    image = _image(config.image, dim, words=words, eps=config.text.layer_norm_eps)
    if config.words == "tagged":
        return TaggedWords(words, image)
    return TypedWords(words, image) if config.words == "typed" else PlainWords(words, image)


def _image(part: ImagePart, dim: int, *, words: WordEmbeddings, eps: float) -> ImageInput:
    if isinstance(part, RegionsPart):
        embed = _regions(part, dim, words=words, eps=eps)
        return WholeRegionInput(embed) if part.whole else RegionInput(embed)
    if isinstance(part, PatchesPart):
        patches = (part.image_size // part.patch_size) ** 2
        return PatchInput(dim, patch_size=part.patch_size, patches=patches)
    return GridInput(dim, trunk=make_trunk(part), eps=eps)


def make_trunk(part: GridPart) -> ModifiedResNet:
    """The ResNet whose last feature map is read."""
    return ModifiedResNet(width=part.width, stages=part.stages)


def _regions(part: RegionsPart, dim: int, *, words: WordEmbeddings, eps: float) -> nn.Module:
    size, dropout = part.feature_size, words.dropout.p
    if part.embedding == "shown":
        return ShownRegions(dim, feature_size=size, norm=words.norm, dropout=dropout)
    if part.embedding == "placed":
        return PlacedRegions(dim, feature_size=size, eps=eps, dropout=dropout)
    if part.embedding == "averaged":
        return AveragedRegions(dim, feature_size=size, eps=eps, dropout=dropout)
    if part.embedding == "joined":
        return JoinedRegions(dim, feature_size=size, dropout=dropout)
    return GeometryRegions(dim, feature_size=size)
