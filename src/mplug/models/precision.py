"""A network for use: its large matrices in less than float32, or in float32 the faster way."""

import warnings
from collections.abc import Iterator
from functools import cache, partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mplug.errors import ConfigError
from mplug.models.decoder import DecoderLayer, TextDecoder
from mplug.models.heads import LanguageModelHead
from mplug.models.text import TextLayer
from mplug.nn.attention import Attention
from mplug.nn.block import STEEPNESS, FeedForward, PreNormBlock, quick_gelu
from mplug.nn.low_attention import LowAttention, LowSelfAttention
from mplug.nn.precision import (
    PRECISIONS,
    Precision,
    has_bfloat16,
    has_int8,
    has_int8_kernel,
    lowered,
)
from mplug.nn.routing import Packed, PackedLinear, pays


class LowLanguageModelHead(nn.Module):
    """`LanguageModelHead` with its own lowered copy of the words; logits in float32."""

    def __init__(self, head: LanguageModelHead, words: Tensor, *, precision: Precision) -> None:
        super().__init__()
        transform = head.transform
        self.transform = lowered(transform.weight, transform.bias, precision=precision)
        self.norm = head.norm
        self.words = lowered(words, head.bias, precision=precision)

    def forward(
        self, states: Float[Tensor, "*places dim"], words: Float[Tensor, "vocab dim"]
    ) -> Float[Tensor, "*places vocab"]:
        """Scores of every vocabulary entry; `words` are those given at the start."""
        logits: Tensor = self.words(self.norm(F.gelu(self.transform(states).float())))
        return logits.float()


class PackedLanguageModelHead(LanguageModelHead):
    """`LanguageModelHead` of the same parameters, with a packed copy of the words for few rows."""

    def __init__(self, head: LanguageModelHead, words: Tensor) -> None:
        nn.Module.__init__(self)  # nothing is drawn: the parameters are the other's
        self.transform, self.norm, self.bias = head.transform, head.norm, head.bias
        self._packed = Packed(words)

    def forward(
        self, states: Float[Tensor, "*places dim"], words: Float[Tensor, "vocab dim"]
    ) -> Float[Tensor, "*places vocab"]:
        """Scores of every vocabulary entry, the shorter way where it may be gone."""
        if not self._packed.fits(states, words):
            return super().forward(states, words)
        transformed = self.norm(F.gelu(self.transform(states)))
        return self._packed.linear(transformed, self.bias)


def require_precision(word: str, *, device: torch.device) -> Precision:
    """The precision of this name, if it can be had here.

    Raises:
        ConfigError: there is none of this name, or not on this device, or not with this torch.
    """
    for precision in PRECISIONS:
        if precision == word:
            break
    else:
        raise ConfigError(f"precision {word!r}: it is one of {', '.join(PRECISIONS)}")
    if precision == "int8" and device.type != "cpu":
        raise ConfigError(f"precision int8 is for the CPU, not for {device}: use bfloat16 there")
    if precision == "bfloat16" and device.type not in ("cpu", "cuda"):
        raise ConfigError(f"precision bfloat16 is for cpu and cuda, not for {device}")
    if precision == "int8" and not has_int8_kernel():
        raise ConfigError(
            f"precision int8: torch {torch.__version__} has no int8 kernels (oneDNN) for this "
            "machine: use float32"
        )
    return precision


def lower(network: nn.Module, *, precision: Precision) -> None:
    """Lower, in place, the matrices of attentions, feed-forwards and the decoder's vocabulary.

    The network must be on its device. What is left of it cannot be trained, nor saved.
    """
    if precision == "float32":
        return
    _say_once(precision, str(next(network.parameters()).device.type))
    reads_itself = set(_self_readers(network))
    for module in list(network.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, Attention):
                low = LowSelfAttention if part in reads_itself else LowAttention
                setattr(module, name, low(part, precision=precision))
        if isinstance(module, FeedForward):
            _lower_feed_forward(module, precision=precision)
        elif isinstance(module, TextDecoder):
            words = module.embeddings.words.weight
            low_head: nn.Module = LowLanguageModelHead(module.head, words, precision=precision)
            module.register_module("head", low_head)


def _self_readers(network: nn.Module) -> Iterator[nn.Module]:
    """Attentions that never read anything but the sequence that asks."""
    for module in network.modules():
        if isinstance(module, PreNormBlock):
            yield module.attention
        elif isinstance(module, (TextLayer, DecoderLayer)):
            yield module.self_attention.attention


def _lower_feed_forward(module: FeedForward, *, precision: Precision) -> None:
    """In place; CLIP's activation leaves its factors to the matrices and is a plain SiLU then."""
    steepness = 1.0
    if module.activation is quick_gelu:
        steepness, module.activation = STEEPNESS, partial(F.silu, inplace=True)
    widen, narrow = module.widen, module.narrow
    low = lowered(widen.weight * steepness, widen.bias * steepness, precision=precision)
    module.register_module("widen", low)
    low = lowered(narrow.weight / steepness, narrow.bias, precision=precision)
    module.register_module("narrow", low)


def route(network: nn.Module) -> int:
    """Pack, in place, those matrices of decoders that float32 reads faster so on this CPU.

    Each shape is measured once in a process, and taken only where it is faster and equal to 1e-5.
    The network can still be saved and trained; a packed matrix takes its memory once more. Returns
    how many matrices were packed: none of a small model, nor of one on another device.
    """
    packed = 0
    for decoder in [each for each in network.modules() if isinstance(each, TextDecoder)]:
        for module in list(decoder.modules()):
            for name, layer in list(module.named_children()):
                if type(layer) is nn.Linear and pays(layer.weight):
                    setattr(module, name, PackedLinear(layer))
                    packed += 1
        words = decoder.embeddings.words.weight
        if type(decoder.head) is LanguageModelHead and pays(words):
            decoder.head = PackedLanguageModelHead(decoder.head, words)
            packed += 1
    return packed


@cache
def _say_once(precision: Precision, device_type: str) -> None:
    """Tell whoever waits for speed that this processor has no instructions for it."""
    if precision == "bfloat16" and not has_bfloat16(device_type):
        lacking = "bfloat16 arithmetic: its rounding is imitated in float32, which saves no time"
    elif precision == "int8" and not has_int8():
        lacking = "VNNI instructions: int8 works, with weights of 7 bits, and may save no time"
    else:
        return
    warnings.warn(f"this processor has no {lacking}", stacklevel=4)
