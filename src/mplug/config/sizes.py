"""The four sizes of mPLUG with fixed names, and where a fusion network connects.

`tiny` learns in minutes on two cores; `small` is for one machine and your own data; `base` and
`large` are the paper's (section 4.1 and its released configurations).
"""

import warnings
from typing import Any, Literal

from mplug.config.schema import (
    DecoderConfig,
    FusionConfig,
    MPlugConfig,
    TextConfig,
    VisionConfig,
)

BERT_VOCABULARY = 30522
PAPER_STRIDE = 3


def connected_places(
    num_layers: int, *, stride: int, rule: Literal["paper", "released"] = "paper"
) -> tuple[int, ...]:
    """The layers, counted from 0, at which text and image attend to each other as one sequence.

    The paper counts layers i = 1..T and connects where i mod (S + 1) = 0; the released code counts
    j = 0..T-1 and connects where j > 0 and j mod S = 0. With six layers and S = 3 both give 3.
    Warns when no layer is connected: the network is then plain asymmetric co-attention.
    """
    if rule == "paper":
        places = tuple(i - 1 for i in range(1, num_layers + 1) if i % (stride + 1) == 0)
    else:
        places = tuple(j for j in range(1, num_layers) if j % stride == 0)
    if not places:
        warnings.warn(
            f"stride {stride} connects none of {num_layers} fusion layers (rule {rule!r}): "
            "the image will pass through unchanged; use a smaller stride to connect some",
            stacklevel=2,
        )
    return places


def tiny() -> MPlugConfig:
    """What the demo trains: 64 px, a stride-8 convolution stem, one or two layers of each kind."""
    width: dict[str, Any] = {"hidden_size": 128, "num_heads": 4, "intermediate_size": 256}
    return MPlugConfig(
        vision=VisionConfig(
            image_size=64,
            patch_size=8,
            stem="convolution",
            stem_channels=(32, 64, 128),
            num_layers=1,
            **width,
        ),
        text=TextConfig(vocab_size=1000, num_layers=1, max_positions=64, **width),
        fusion=FusionConfig(num_layers=2, connected_at=connected_places(2, stride=1)),
        decoder=DecoderConfig(num_layers=2),
        embed_dim=128,
        image_pooling="max",
    )


def small() -> MPlugConfig:
    """About 30 M parameters, for one machine and tens of thousands of pictures of your own."""
    width: dict[str, Any] = {"hidden_size": 320, "num_heads": 5, "intermediate_size": 1280}
    return MPlugConfig(
        vision=VisionConfig(
            image_size=128,
            patch_size=16,
            stem="convolution",
            stem_channels=(40, 80, 160, 320),
            num_layers=6,
            **width,
        ),
        text=TextConfig(vocab_size=8000, num_layers=3, max_positions=128, dropout=0.1, **width),
        fusion=FusionConfig(num_layers=6, connected_at=connected_places(6, stride=PAPER_STRIDE)),
        decoder=DecoderConfig(num_layers=3),
        image_pooling="max",
    )


def base() -> MPlugConfig:
    """The paper's base: CLIP ViT-B/16 and BERT-base, six layers of text and six of fusion."""
    return MPlugConfig(
        vision=VisionConfig(
            image_size=256,
            patch_size=16,
            hidden_size=768,
            num_layers=12,
            num_heads=12,
            intermediate_size=3072,
            dropout=0.1,
        ),
        text=TextConfig(
            vocab_size=BERT_VOCABULARY,
            hidden_size=768,
            num_layers=6,
            num_heads=12,
            intermediate_size=3072,
            max_positions=512,
            dropout=0.1,
        ),
        fusion=FusionConfig(num_layers=6, connected_at=connected_places(6, stride=PAPER_STRIDE)),
        decoder=DecoderConfig(num_layers=12),
        embed_dim=256,
    )


def large() -> MPlugConfig:
    """The paper's large: base with CLIP ViT-L/14, projected to the text's width.

    Its released stride of 6 connects no layer; this one keeps the paper's rule.
    """
    vision = VisionConfig(
        image_size=224,
        patch_size=14,
        hidden_size=1024,
        num_layers=24,
        num_heads=16,
        intermediate_size=4096,
        dropout=0.1,
    )
    return base().model_copy(update={"vision": vision})


SIZES = {"tiny": tiny, "small": small, "base": base, "large": large}
