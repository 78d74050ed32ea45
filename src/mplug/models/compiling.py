"""Decoding compiled by `torch.compile`: for whoever writes many texts on one machine."""

from collections.abc import Iterable
from typing import cast

import torch

from mplug.models.decoder import DecoderLayer, TextDecoder


def compile_decoding(decoder: TextDecoder, *, backend: str = "inductor") -> None:
    """Compile, in place, what each layer does with new words; shapes stay free.

    The first texts wait for it; on a CPU it takes a C++ compiler.
    """
    for layer in cast(Iterable[DecoderLayer], decoder.layers):
        compiled = torch.compile(layer.step, dynamic=True, backend=backend)
        layer.step = compiled  # type: ignore[method-assign]
