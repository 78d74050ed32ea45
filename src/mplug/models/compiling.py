"""Decoding by `torch.compile` or CUDA graphs: for whoever writes many texts on one machine."""

from collections.abc import Iterable
from functools import partial
from typing import cast

import torch

from mplug.errors import ConfigError
from mplug.models.decoder import DecoderLayer, TextDecoder
from mplug.models.graphs import GraphedDecoder, cuda_graph
from mplug.models.mplug import MPlug
from mplug.models.precision import PackedLanguageModelHead
from mplug.nn.precision import Int8Linear, PackedHalfLinear
from mplug.nn.routing import PackedLinear

LAID_OUT = (Int8Linear, PackedHalfLinear, PackedLinear, PackedLanguageModelHead)


def compile_decoding(decoder: TextDecoder, *, backend: str = "inductor") -> None:
    """Compile, in place, what each layer does with new words; shapes stay free.

    The first texts wait for it; on a CPU it takes a C++ compiler.

    Raises:
        ConfigError: its matrices are laid out for oneDNN, which the compiler cannot look into.
    """
    if any(isinstance(each, LAID_OUT) for each in decoder.modules()):
        raise ConfigError(
            "a decoder lowered or routed on a CPU cannot be compiled: its matrices are laid out "
            "for another kernel; load it in float32, without models.precision.route"
        )
    for layer in cast(Iterable[DecoderLayer], decoder.layers):
        compiled = torch.compile(layer.step, dynamic=True, backend=backend)
        layer.step = compiled  # type: ignore[method-assign]


def graph_decoding(network: MPlug) -> None:
    """Write, from now on, by CUDA graphs: each word's step is one launch instead of hundreds.

    For a network in eval mode whose weights stay where they are: lower its precision before.
    Texts are then written by one thread at a time. Each size of a batch is captured at its first
    text and keeps memory of its own: the pictures' keys and values, and room for the words.

    Raises:
        ConfigError: the network is not on a CUDA device.
    """
    device = network.temperature.device
    if device.type != "cuda":
        raise ConfigError(f"CUDA graphs are for CUDA devices, not for {device}")
    network.graphed = GraphedDecoder(network.decoder, capture=partial(cuda_graph, device=device))
