"""Where words and pictures meet: a stack over both, or a stack for each with ways between them."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.config.schema import TextConfig
from mplug.config.schema_zoo import (
    Body,
    CoAttentionBody,
    CrossBody,
    SplitBody,
)
from mplug.models.single_stream import PostNormStack, Segment, read_together
from mplug.models.text import TextLayer
from mplug.nn.block import CrossAttentionSublayer, PreNormBlock
from mplug.nn.co_attention import CoAttentionLayer, CrossFirstStream, CrossStream
from mplug.nn.masks import as_keys

States = Float[Tensor, "batch places dim"]
Looks = Bool[Tensor, "batch #places places"] | None


class PreNormStack(nn.Module):
    """A vision transformer's layers, and the norm at their end."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        dim, eps = config.hidden_size, config.layer_norm_eps
        self.blocks = nn.ModuleList(
            PreNormBlock(
                dim,
                num_heads=config.num_heads,
                hidden_dim=config.intermediate_size,
                eps=eps,
                dropout=config.dropout,
                activation=F.gelu,
            )
            for _ in range(config.num_layers)
        )
        self.output_norm = nn.LayerNorm(dim, eps=eps)

    def forward(self, states: States, mask: Looks) -> States:
        """Every place after reading those that the mask lets it see."""
        for block in self.blocks:
            states = block(states, mask)
        normalised: Tensor = self.output_norm(states)
        return normalised


class OneStream(nn.Module):
    """All segments as one sequence through one stack."""

    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, *segments: Segment, may_look: Looks = None) -> tuple[Tensor, ...]:
        """The states of each segment."""
        return read_together(self.stack, *segments, may_look=may_look)


class CoAttentionStreams(nn.Module):
    """ViLBERT's: text alone first; then each layer of both sides follows a look at the other."""

    def __init__(self, text: TextConfig, config: CoAttentionBody) -> None:
        super().__init__()
        image = text.model_copy(
            update={
                "hidden_size": config.image_hidden_size,
                "num_heads": config.image_heads,
                "intermediate_size": config.image_intermediate_size,
            }
        )
        count = config.image_layers
        self.text_first = nn.ModuleList(TextLayer(text) for _ in range(text.num_layers - count))
        self.between = nn.ModuleList(_between(text, image, config) for _ in range(count))
        self.text = nn.ModuleList(TextLayer(text) for _ in range(count))
        self.image = nn.ModuleList(TextLayer(image) for _ in range(count))

    def forward(self, text: Segment, image: Segment) -> tuple[Tensor, ...]:
        """The states of text and image."""
        words, places = text.states, image.states
        for layer in self.text_first:
            words = layer(words, as_keys(text.mask))
        for between, own, other in zip(self.between, self.text, self.image, strict=True):
            words, places = between(words, places, text.mask, image.mask)
            words = own(words, as_keys(text.mask))
            places = other(places, as_keys(image.mask))
        return words, places


def _between(text: TextConfig, image: TextConfig, config: CoAttentionBody) -> CoAttentionLayer:
    def side(own: TextConfig, other: TextConfig) -> CrossStream:
        return CrossStream(
            own.hidden_size,
            num_heads=config.num_heads,
            hidden_dim=own.intermediate_size,
            eps=own.layer_norm_eps,
            dropout=own.dropout,
            memory_dim=other.hidden_size,
            heads_dim=config.heads_dim,
        )

    return CoAttentionLayer(side(text, image), side(image, text))


class CrossStreams(nn.Module):
    """LXMERT's: each side alone, then layers in which one cross-attention serves both ways."""

    def __init__(self, text: TextConfig, config: CrossBody) -> None:
        super().__init__()
        self.text = nn.ModuleList(TextLayer(text) for _ in range(text.num_layers))
        self.image = nn.ModuleList(TextLayer(text) for _ in range(config.image_layers))
        self.between = nn.ModuleList(_shared(text) for _ in range(config.cross_layers))

    def forward(self, text: Segment, image: Segment) -> tuple[Tensor, ...]:
        """The states of text and image."""
        words, places = text.states, image.states
        for layer in self.text:
            words = layer(words, as_keys(text.mask))
        for layer in self.image:
            places = layer(places, as_keys(image.mask))
        for between in self.between:
            words, places = between(words, places, text.mask, image.mask)
        return words, places


def _shared(text: TextConfig) -> CoAttentionLayer:
    dim, eps = text.hidden_size, text.layer_norm_eps
    cross = CrossAttentionSublayer(dim, num_heads=text.num_heads, eps=eps, dropout=text.dropout)

    def side() -> CrossFirstStream:
        return CrossFirstStream(
            dim,
            cross_attention=cross,
            num_heads=text.num_heads,
            hidden_dim=text.intermediate_size,
            eps=eps,
            dropout=text.dropout,
        )

    return CoAttentionLayer(side(), side())


class SplitStreams(nn.Module):
    """InterBERT's: both as one sequence, then each alone."""

    def __init__(self, text: TextConfig, config: SplitBody) -> None:
        super().__init__()
        self.stack = PostNormStack(text)
        self.text = nn.ModuleList(TextLayer(text) for _ in range(config.own_layers))
        self.image = nn.ModuleList(TextLayer(text) for _ in range(config.own_layers))

    def forward(self, text: Segment, image: Segment) -> tuple[Tensor, ...]:
        """The states of text and image."""
        words, places = read_together(self.stack, text, image)
        for layer in self.text:
            words = layer(words, as_keys(text.mask))
        for layer in self.image:
            places = layer(places, as_keys(image.mask))
        return words, places


def make_body(config: Body, text: TextConfig) -> nn.Module:
    """The body that a configuration names."""
    if isinstance(config, CoAttentionBody):
        return CoAttentionStreams(text, config)
    if isinstance(config, CrossBody):
        return CrossStreams(text, config)
    if isinstance(config, SplitBody):
        return SplitStreams(text, config)
    if config.kind == "pre_norm_stream":
        return OneStream(PreNormStack(text))
    return OneStream(PostNormStack(text))


def image_dim(config: Body, text: TextConfig) -> int:
    """How wide the image's states are."""
    return config.image_hidden_size if isinstance(config, CoAttentionBody) else text.hidden_size
