"""The models of the field's overview table, put together from parts at their published sizes.

Each function is a model; `small` makes one for two cores of it, with the same parts.
"""

from mplug.config.schema import TextConfig
from mplug.config.schema_zoo import (
    CoAttentionBody,
    CrossBody,
    GridPart,
    ImagePart,
    PairConfig,
    PatchesPart,
    RegionsPart,
    SplitBody,
    StreamBody,
    WriterConfig,
    ZooConfig,
)
from mplug.config.sizes import BERT_VOCABULARY

CASED_VOCABULARY = 28996  # BERT's, with capitals
ROBERTA_VOCABULARY = 50265
DETECTED = 2048  # numbers by which Faster R-CNN describes a region
CLASSES = 1601  # Visual Genome's 1600 objects, and background
QUESTIONS = 9500  # answers that LXMERT learns in pretraining
RESNET_50 = (3, 4, 6, 3)

SMALL = {"hidden_size": 64, "num_layers": 2, "num_heads": 2, "intermediate_size": 128}


def bert(*, vocab_size: int = BERT_VOCABULARY, num_layers: int = 12) -> TextConfig:
    """BERT-base."""
    return TextConfig(
        vocab_size=vocab_size,
        hidden_size=768,
        num_layers=num_layers,
        num_heads=12,
        intermediate_size=3072,
        max_positions=512,
        dropout=0.1,
    )


def visualbert() -> PairConfig:
    """VisualBERT (arXiv 1908.03557): BERT reads regions behind the words, wherever they lie."""
    return PairConfig(
        text=bert(),
        image=RegionsPart(embedding="shown", feature_size=DETECTED, classes=CLASSES),
        body=StreamBody(),
        heads=("mlm", "itm"),
    )


def oscar() -> PairConfig:
    """OSCAR-base (arXiv 2004.06165): the names of what is seen stand between words and regions."""
    return PairConfig(
        text=bert(),
        image=RegionsPart(embedding="joined", feature_size=DETECTED, classes=CLASSES),
        body=StreamBody(),
        heads=("mlm", "itm"),
        words="tagged",
    )


def pixelbert() -> PairConfig:
    """Pixel-BERT (arXiv 2004.00849): BERT reads a hundred places of a ResNet's feature map."""
    return PairConfig(
        text=bert(),
        image=GridPart(image_size=800, stages=RESNET_50, width=64, cells=100),
        body=StreamBody(),
        heads=("mlm", "itm"),
    )


def vilt() -> PairConfig:
    """ViLT-B/32 (arXiv 2102.03334): a vision transformer reads words and patches as they are."""
    return PairConfig(
        text=bert().model_copy(update={"max_positions": 40}),
        image=PatchesPart(image_size=384, patch_size=32),
        body=StreamBody(kind="pre_norm_stream"),
        heads=("mlm", "itm"),
        words="typed",
    )


def vlbert() -> PairConfig:
    """VL-BERT-base (arXiv 1908.08530): every word comes with the look of the picture."""
    return PairConfig(
        text=bert(),
        image=RegionsPart(embedding="geometry", feature_size=DETECTED, classes=CLASSES),
        body=StreamBody(),
        heads=("mlm", "mrc"),
        words="visual",
    )


def simvlm() -> WriterConfig:
    """SimVLM-base (arXiv 2108.10904): an encoder of picture and prefix, a decoder of the rest."""
    return WriterConfig(
        text=bert(vocab_size=32000),
        image=GridPart(image_size=224, stages=RESNET_50[:3], width=64),
        decoder_layers=12,
    )


def vilbert() -> PairConfig:
    """ViLBERT (arXiv 1908.02265): two streams of unequal widths that read each other."""
    return PairConfig(
        text=bert(),
        image=RegionsPart(embedding="placed", feature_size=DETECTED, classes=CLASSES, whole=True),
        body=CoAttentionBody(
            image_layers=6,
            image_hidden_size=1024,
            image_heads=8,
            image_intermediate_size=1024,
            heads_dim=1024,
            num_heads=8,
        ),
        heads=("mlm", "mrc", "itm"),
        pool="product",
        pooled_dim=1024,
    )


def lxmert() -> PairConfig:
    """LXMERT (arXiv 1908.07490): two streams, and one cross-attention for both directions."""
    return PairConfig(
        text=bert(num_layers=9),
        image=RegionsPart(embedding="averaged", feature_size=DETECTED, classes=CLASSES),
        body=CrossBody(image_layers=5, cross_layers=5),
        heads=("mlm", "itm", "mrfr", "mrc", "answer"),
        answers=QUESTIONS,
    )


def interbert() -> PairConfig:
    """InterBERT (arXiv 2003.13198): one stack lets both meet, then each goes on alone."""
    return PairConfig(
        text=bert(num_layers=6),
        image=RegionsPart(embedding="placed", feature_size=DETECTED, classes=CLASSES, whole=True),
        body=SplitBody(own_layers=6),
        heads=("mlm", "mrc", "itm"),
        pool="product",
    )


def unified_vlp() -> PairConfig:
    """Unified VLP (arXiv 1909.11059): one stack that reads both ways, or writes, by its mask."""
    return PairConfig(
        text=bert(vocab_size=CASED_VOCABULARY),
        image=RegionsPart(embedding="placed", feature_size=DETECTED, classes=CLASSES),
        body=StreamBody(),
        heads=("mlm",),
    )


def xgpt() -> PairConfig:
    """XGPT (arXiv 2003.01473): one stack learns to write, from pictures and from noisy words."""
    return PairConfig(
        text=bert(vocab_size=CASED_VOCABULARY),
        image=RegionsPart(embedding="placed", feature_size=DETECTED, classes=CLASSES),
        body=StreamBody(),
        heads=("mlm", "mrfr"),
    )


def unimo() -> PairConfig:
    """UNIMO-base (arXiv 2012.15409): one stack for pairs, and for texts and pictures alone."""
    return PairConfig(
        text=bert(vocab_size=ROBERTA_VOCABULARY),
        image=RegionsPart(embedding="placed", feature_size=DETECTED, classes=CLASSES, whole=True),
        body=StreamBody(),
        heads=("mlm", "mrfr", "mrc", "itc"),
    )


def small(
    config: ZooConfig, *, vocab_size: int, feature_size: int, classes: int, answers: int
) -> ZooConfig:
    """The same parts for two cores: regions and words as they are given, all widths narrow."""
    text = config.text.model_copy(
        update={**SMALL, "vocab_size": vocab_size, "max_positions": 128, "dropout": 0.0}
    )
    image = _small_image(config.image, feature_size=feature_size, classes=classes)
    if isinstance(config, WriterConfig):
        return config.model_copy(update={"text": text, "image": image, "decoder_layers": 2})
    changes: dict[str, object] = {"text": text, "image": image, "body": _small_body(config)}
    changes["answers"] = answers if config.answers else 0
    changes["pooled_dim"] = 48 if config.pooled_dim else None
    changes["embed_dim"] = 32
    return config.model_copy(update=changes)


def _small_image(part: ImagePart, *, feature_size: int, classes: int) -> ImagePart:
    if isinstance(part, RegionsPart):
        return part.model_copy(update={"feature_size": feature_size, "classes": classes})
    if isinstance(part, PatchesPart):
        return PatchesPart(image_size=64, patch_size=16)
    stages = (1,) * len(part.stages)
    return GridPart(image_size=64, stages=stages, width=8, cells=3 if part.cells else 0)


def _small_body(config: PairConfig) -> object:
    body = config.body
    if isinstance(body, CoAttentionBody):
        return CoAttentionBody(
            image_layers=1,
            image_hidden_size=48,
            image_heads=3,
            image_intermediate_size=80,
            heads_dim=72,
            num_heads=3,
        )
    if isinstance(body, CrossBody):
        return CrossBody(image_layers=1, cross_layers=1)
    return SplitBody(own_layers=1) if isinstance(body, SplitBody) else body
