"""Models of equal size with random weights: ours, and BLIP of `transformers`."""

import warnings
from importlib import import_module
from typing import Any

import torch

from mplug.config.schema import MPlugConfig
from mplug.config.sizes import base
from mplug.models.mplug import MPlug
from mplug.models.precision import lower, route
from mplug.nn.precision import Precision
from mplug.nn.routing import PackedLinear

CLS, END, MASK = 101, 102, 103  # as BERT numbers them
FIRST_WORD = 110  # of those that texts here are drawn from
PRECISIONS: dict[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
Tensor = torch.Tensor


def config(size: str, *, side: int | None = None) -> MPlugConfig:
    """`base`, or `quick`: the same shape of model in miniature; with `side`, for other pictures."""
    found = base() if size == "base" else _miniature(base())
    if side is None:
        return found
    vision = found.vision.model_copy(update={"image_size": side})
    return found.model_copy(update={"vision": vision})


def _miniature(full: MPlugConfig) -> MPlugConfig:
    width = {"hidden_size": 64, "num_heads": 4, "intermediate_size": 128, "num_layers": 2}
    return full.model_copy(
        update={
            "vision": full.vision.model_copy(update={"image_size": 64} | width),
            "text": full.text.model_copy(update={"vocab_size": 500, "max_positions": 64} | width),
            "fusion": full.fusion.model_copy(update={"num_layers": 2, "connected_at": (1,)}),
            "decoder": full.decoder.model_copy(update={"num_layers": 2}),
            "embed_dim": 32,
        }
    )


def ours(size: str, *, precision: str = "fp32") -> MPlug:
    """Our model ready to be asked; float32 goes through oneDNN where that was measured to pay."""
    torch.manual_seed(0)
    model = MPlug(config(size)).eval()
    if precision == "fp32":
        route(model)
        return model
    with warnings.catch_warnings():  # what this processor lacks is said on the page
        warnings.simplefilter("ignore")
        lower(model, precision=PRECISIONS[precision])
    return model


def routed(model: MPlug) -> float:
    """How many matrices of float32 go through oneDNN."""
    return float(sum(isinstance(module, PackedLinear) for module in model.modules()))


def blip(size: str, *, kind: str) -> Any:
    """BLIP's model class `kind` at our sizes.

    Its captioner, answerer and matcher read the image in each of 12 text layers, as published.
    """
    # Its types alone would take a type checker minutes.
    transformers: Any = import_module("transformers")
    sizes = config(size)
    text, seen = sizes.text, sizes.vision
    shared = transformers.BlipConfig(
        text_config={
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden_size,
            "encoder_hidden_size": seen.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": sizes.decoder.num_layers,
            "num_attention_heads": text.num_heads,
            "max_position_embeddings": text.max_positions,
            "projection_dim": sizes.embed_dim,
            "bos_token_id": CLS,
            "sep_token_id": END,
            "eos_token_id": END,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": seen.hidden_size,
            "intermediate_size": seen.intermediate_size,
            "num_hidden_layers": seen.num_layers,
            "num_attention_heads": seen.num_heads,
            "image_size": seen.image_size,
            "patch_size": seen.patch_size,
        },
        projection_dim=sizes.embed_dim,
        image_text_hidden_size=sizes.embed_dim,
    )
    torch.manual_seed(0)
    return getattr(transformers, kind)(shared).eval()


def pixels(size: str, *, images: int, side: int | None = None) -> Tensor:
    """Random pictures."""
    side = config(size, side=side).vision.image_size
    return torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(1))


def texts(size: str, *, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Random words behind [CLS], padded to the longest; and their mask."""
    generator = torch.Generator().manual_seed(2)
    vocabulary = config(size).text.vocab_size
    ids = torch.randint(FIRST_WORD, vocabulary, (len(lengths), max(lengths)), generator=generator)
    ids[:, 0] = CLS
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return ids.masked_fill(~mask, 0), mask
