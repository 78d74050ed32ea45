"""The 23 models of the field's overview table: what each is made of, and what is missing.

Facts are the papers'; `published` counts are theirs too, or those of a widely used implementation.
"""

from typing import NamedTuple


class Count(NamedTuple):
    """A published number of parameters, in millions, and which of ours are not counted in it."""

    millions: float
    source: str
    without: tuple[str, ...] = ()  # how the names of parameters begin that are left out


class Row(NamedTuple):
    """A model that is a recipe."""

    title: str
    recipe: str  # at its published size, where the system has one, or small on scenes
    image: str
    text: str
    meet: str
    objectives: str
    exact: str
    approximated: str
    published: Count | None = None


class Missing(NamedTuple):
    """A model that is none, and the part that it would need."""

    title: str
    needs: str


BERT_BASE = "the BERT-base inside"
CASED_BERT_BASE = "the cased BERT-base inside"
IMAGE_AND_HEADS = (
    "inputs.image",
    "inputs.tag_segment",
    "inputs.look",
    "inputs.region",
    "heads",
)

ROWS = (
    Row(
        "UNITER",
        "uniter-base-pretrain",
        "regions with boxes",
        "BERT, cased",
        "one stream",
        "MLM, ITM, MRFR, MRC-kl, word-region alignment",
        "architecture, objectives, one of them a step",
        "batches count pairs, not tokens",
        Count(
            86,
            "paper: layers and pooler",
            (
                "word_embeddings",
                "region_embeddings",
                "itm_head",
                "mlm_head",
                "feature_head",
                "class_head",
            ),
        ),
    ),
    Row(
        "CLIP",
        "clip-vit-b32",
        "ViT or modified ResNet",
        "causal transformer",
        "dot product",
        "ITC in the batch",
        "architecture, loss, temperature, original weights",
        "-",
        Count(151.3, "released weights, ViT-B/32"),
    ),
    Row(
        "ALBEF",
        "albef-pretrain",
        "ViT-B/16, 256 px",
        "BERT, lower half",
        "asymmetric cross-attention, BERT's upper half",
        "ITC with queue and momentum teacher, ITM with hard negatives, MLM",
        "architecture, objectives, distillation",
        "one idle decoder layer stays in the model",
        Count(209.5, "paper", ("decoder", "temperature")),
    ),
    Row(
        "VisualBERT",
        "visualbert-scenes",
        "regions without boxes",
        "BERT",
        "one stream",
        "MLM, ITM between two captions",
        "equal outputs to `transformers`",
        "both captions are of one segment",
        Count(110, BERT_BASE, IMAGE_AND_HEADS),
    ),
    Row(
        "OSCAR",
        "oscar-scenes",
        "regions with boxes, joined",
        "BERT, and tags as a third segment",
        "one stream",
        "MLM over words and tags, ITM between tags",
        "architecture, both objectives",
        "tags stand right behind the caption, not at fixed positions",
        Count(110, BERT_BASE, IMAGE_AND_HEADS),
    ),
    Row(
        "Pixel-BERT",
        "pixelbert-scenes",
        "places of a ResNet-50's last map, 100 drawn at random",
        "BERT",
        "one stream",
        "MLM, ITM",
        "random drawing of places, end-to-end training",
        "CLIP's modified ResNet; a norm after the projection",
        Count(110, BERT_BASE, IMAGE_AND_HEADS),
    ),
    Row(
        "ViLT",
        "vilt-scenes",
        "projected patches, 32 px",
        "BERT's embeddings",
        "one stream, pre-norm",
        "MLM of whole words, ITM, word-patch alignment",
        "equal outputs to `transformers`",
        "pictures of one batch have one shape; all patches are read",
        Count(87.4, "paper: without words", ("inputs.words", "heads", "pool")),
    ),
    Row(
        "VL-BERT",
        "vlbert-scenes",
        "regions with geometry as waves; the picture's look on every word",
        "BERT",
        "one stream",
        "MLM, masked region classification, MLM on texts alone",
        "architecture",
        "features come ready: its variant with a detector inside is missing",
        Count(110, BERT_BASE, IMAGE_AND_HEADS),
    ),
    Row(
        "SimVLM",
        "simvlm-scenes",
        "first three stages of a ResNet",
        "word embeddings",
        "pre-norm encoder over picture and prefix, causal decoder",
        "PrefixLM on pairs and on texts alone",
        "objective, prefix from picture and words",
        "CLIP's modified ResNet; the decoder is post-norm; WordPiece",
    ),
    Row(
        "ViLBERT",
        "vilbert-scenes",
        "regions, six layers of width 1024",
        "BERT, twelve layers of width 768",
        "co-attention of unequal widths at the upper six text layers",
        "MLM, MRC-kl, ITM on the product of both pooled sides",
        "architecture, objectives, masking on both sides at once",
        "hidden regions are always zeros",
    ),
    Row(
        "LXMERT",
        "lxmert-scenes",
        "regions, five layers",
        "BERT's layers, nine",
        "five layers, one cross-attention for both directions",
        "MLM, ITM, MRFR, MRC, questions",
        "equal outputs to `transformers`",
        "no attributes among the classes; each region head has a layer of its own",
        Count(228.1, "`transformers`, with its heads"),
    ),
    Row(
        "InterBERT",
        "interbert-scenes",
        "regions, with the whole picture",
        "BERT",
        "one stream, then a stack for each side",
        "MLM of spans, MRC of overlapping regions, ITM",
        "group masking on both sides",
        "six layers together and six apart; matching without hard negatives",
    ),
    Row(
        "Unified VLP",
        "unified-vlp-scenes",
        "regions with boxes",
        "BERT, cased",
        "one stream that reads both ways or writes, by its mask",
        "MLM read and MLM written, a quarter and three quarters",
        "prefix mask, objectives",
        "class probabilities are not part of a region",
        Count(108, CASED_BERT_BASE, IMAGE_AND_HEADS),
    ),
    Row(
        "XGPT",
        "xgpt-scenes",
        "regions with boxes",
        "BERT, cased",
        "one stream that reads and writes",
        "captioning, MLM of spans, denoising, MRFR",
        "shared encoder and decoder, four objectives",
        "reading and writing share one attention; spans keep their length",
        Count(108, CASED_BERT_BASE, IMAGE_AND_HEADS),
    ),
    Row(
        "UNIMO",
        "unimo-scenes",
        "regions, with the whole picture",
        "RoBERTa-base",
        "one stream for pairs, texts alone and pictures alone",
        "MLM of spans, PrefixLM, MRFR, MRC, ITC; on texts and pictures alone too",
        "one stack for all, unpaired batches",
        "texts are not rewritten for contrast; WordPiece for byte pairs",
        Count(125, "the RoBERTa-base inside", (*IMAGE_AND_HEADS, "pool")),
    ),
)

MISSING = (
    Missing("SOHO", "a visual dictionary learned by moving averages, and words masked in it"),
    Missing("VL-T5", "T5's stack (relative positions, RMS norm) and tokens that name regions"),
    Missing("Visual Parsing", "a Swin grid, and masks drawn by attention"),
    Missing("WenLan", "EfficientNet with pooled regions, RoBERTa"),
    Missing("ALIGN", "EfficientNet; with our ViT or ResNet it is CLIP's recipe with BERT"),
    Missing("DeCLIP", "two views of a picture, a SimSiam head, a bank of nearest neighbours"),
    Missing("VLMo", "feed-forwards for each modality, a stage of masked pictures"),
    Missing("FLAVA", "a discrete code of pictures, masked patches"),
)
