"""A compiled decoder writes what it wrote before."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mplug.errors import ConfigError
from mplug.models.compiling import compile_decoding
from mplug.nn.precision import PackedHalfLinear
from tests.models.small import small_model

# In a process of its own: elsewhere tests check the types of every call, which compiling would see.
PROGRAM = """
import torch
from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.models.compiling import compile_decoding
from tests.models.small import pixels, small_model

model, search = small_model(), BeamSearch(GenerationConfig(beams=3, min_tokens=2, max_tokens=6))
decoder, steps = model.decoder, []

def written():
    with torch.inference_mode():
        memory = model.encode_image(pixels(2))
        prompt = torch.full((2, 1), 1)
        return generate(decoder, memory, prompt=prompt, end_id=2, search=search, best=3)

def counting(graph, inputs):
    steps.append(len(inputs))
    return graph.forward

plain = written()
compile_decoding(decoder, backend=counting)
compiled = written()
assert steps, "nothing was compiled"
made = len(steps)
assert written() == compiled and len(steps) == made, "compiled again"
for one, other in zip(sum(plain, []), sum(compiled, []), strict=True):
    assert one.ids == other.ids and abs(one.score - other.score) < 1e-5
"""


def test_a_compiled_decoder_writes_the_same_texts() -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=root)


def test_matrices_laid_out_for_another_kernel_are_refused() -> None:
    decoder = small_model().decoder
    decoder.head.register_module("transform", PackedHalfLinear(torch.ones(18, 18), None))
    with pytest.raises(ConfigError, match="load it in float32"):
        compile_decoding(decoder)
