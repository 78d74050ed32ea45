"""CLIP: a picture and a text become two vectors of one space; their angle is the answer.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (arXiv
2103.00020), section 2.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema import VisionConfig
from mplug.config.schema_clip import BagOfWordsConfig, ClipConfig, ResNetConfig
from mplug.models.clip_text import BagOfWordsEncoder, CausalTextEncoder
from mplug.models.heads import ClassPooling, MaxPooling
from mplug.models.vision import VisionTransformer
from mplug.nn.attention import Attention
from mplug.nn.block import PreNormBlock
from mplug.nn.modified_resnet import AttentionPool, Bottleneck, ModifiedResNet

Features = Float[Tensor, "batch embed"]

MAX_LOGIT_SCALE = math.log(100)  # what training clamps the learned log scale to
WORD_STD = 0.02
POSITION_STD = 0.01


class TokenHead(nn.Module):
    """A transformer's tokens to one vector: pooled, then projected without a bias."""

    def __init__(self, config: VisionConfig, *, embed_dim: int, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.projection = nn.Linear(config.hidden_size, embed_dim, bias=False)

    def forward(self, tokens: Float[Tensor, "batch patches dim"]) -> Features:
        """Features of each picture."""
        projected: Tensor = self.projection(self.pool(tokens))
        return projected


class Clip(nn.Module):
    """Two encoders and a learned temperature, kept as the logarithm of its inverse."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision: nn.Module
        self.image_head: nn.Module
        self.text_encoder: CausalTextEncoder | BagOfWordsEncoder
        vision, text = config.vision, config.text
        if isinstance(vision, ResNetConfig):
            self.vision = ModifiedResNet(width=vision.width, stages=vision.stages)
            self.image_head = AttentionPool(
                vision.channels,
                num_heads=vision.num_heads,
                side=vision.image_size // ModifiedResNet.stride,
                output_dim=config.embed_dim,
            )
        else:
            pool = MaxPooling() if config.image_pooling == "max" else ClassPooling()
            self.vision = VisionTransformer(vision)
            self.image_head = TokenHead(vision, embed_dim=config.embed_dim, pool=pool)
        if isinstance(text, BagOfWordsConfig):
            self.text_encoder = BagOfWordsEncoder(text)
        else:
            self.text_encoder = CausalTextEncoder(text)
        self.text_projection = nn.Linear(text.hidden_size, config.embed_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))
        self._draw_weights()

    def encode_image(self, pixels: Float[Tensor, "batch 3 height width"]) -> Features:
        """Features of pictures, of any length; `image_embedding` makes them comparable."""
        features: Tensor = self.image_head(self.vision(pixels))
        return features

    def encode_text(
        self, ids: Int[Tensor, "batch words"], mask: Bool[Tensor, "batch words"]
    ) -> Features:
        """Features of `[start] words [end]`; the mask is True at these, False at padding."""
        features: Tensor = self.text_projection(self.text_encoder(ids, mask))
        return features

    def image_embedding(self, features: Features) -> Features:
        """Unit vectors in the space shared with texts."""
        return F.normalize(features, dim=-1)

    def text_embedding(self, features: Features) -> Features:
        """Unit vectors in the space shared with pictures."""
        return F.normalize(features, dim=-1)

    def logits(
        self, images: Float[Tensor, "images embed"], texts: Float[Tensor, "texts embed"]
    ) -> Float[Tensor, "images texts"]:
        """How well each picture fits each text: cosines of their features over the temperature."""
        # Exact also under autocast: the scale magnifies what rounding leaves.
        exact = torch.promote_types(images.dtype, torch.float32)
        with torch.autocast(images.device.type, enabled=False):
            own, others = (
                self.image_embedding(images.to(exact)),
                self.text_embedding(texts.to(exact)),
            )
            return self.logit_scale.exp() * (own @ others.T)

    def _draw_weights(self) -> None:
        """New weights from torch's current seed, as the paper's code draws them."""
        for module in self.modules():
            if isinstance(module, VisionTransformer):
                _draw_vision(module)
            elif isinstance(module, AttentionPool):
                _draw_pool(module)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.widen.norm.weight)  # a new block changes nothing
            elif isinstance(module, CausalTextEncoder):
                nn.init.normal_(module.positions, std=POSITION_STD)
                _draw_blocks(module.blocks)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=WORD_STD)
        nn.init.normal_(self.text_projection.weight, std=self.config.text.hidden_size**-0.5)
        if isinstance(self.image_head, TokenHead):
            projection = self.image_head.projection
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)


def _draw_vision(vision: VisionTransformer) -> None:
    std = len(vision.class_embedding) ** -0.5
    nn.init.normal_(vision.class_embedding, std=std)
    nn.init.normal_(vision.positions, std=std)
    _draw_blocks(vision.blocks)


def _draw_pool(pool: AttentionPool) -> None:
    std = pool.positions.shape[1] ** -0.5
    nn.init.normal_(pool.positions, std=std)
    for linear in (pool.query, pool.key, pool.value, pool.output):
        _draw_linear(linear, std=std)


def _draw_blocks(blocks: nn.ModuleList) -> None:
    """Smaller the deeper the stack, where a block adds onto the stream."""
    for block in blocks:
        assert isinstance(block, PreNormBlock)
        attention: Attention = block.attention
        width = attention.query.in_features
        for linear in (attention.query, attention.key, attention.value):
            _draw_linear(linear, std=width**-0.5)
        for linear in (attention.output, block.feed_forward.narrow):
            _draw_linear(linear, std=(2 * len(blocks) * width) ** -0.5)
        _draw_linear(block.feed_forward.widen, std=(2 * width) ** -0.5)


def _draw_linear(linear: nn.Linear, *, std: float) -> None:
    nn.init.normal_(linear.weight, std=std)
    nn.init.zeros_(linear.bias)
