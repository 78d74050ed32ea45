"""Fusion networks by turns on the same inputs: seconds, multiply-adds, parameters, memory.

A shape (image size, words) is a cell: in every round each network has its turn, forwards and then
forwards and backwards, and so do the encoders that would run before it.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mplug.config.schema import TextConfig, VisionConfig
from mplug.errors import ConfigError
from mplug.interfaces.bench.networks import Network, Sizes, networks
from mplug.interfaces.experiments.cells import Cell
from mplug.models.text import TextEncoder
from mplug.models.vision import VisionTransformer
from mplug.nn.cost import count_parameters, multiply_adds, peak_bytes
from mplug.training.distributed import choose_device

NAME = "bench-fusion"
PATCH = 16
VOCABULARY = 30522  # BERT's; it costs memory and no time worth mentioning
ENCODERS = "encoders"


@dataclass(frozen=True)
class Bench:
    """How it is measured."""

    sizes: Sizes
    batch: int
    repeats: int
    device: str

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the figures, but the machine."""
        return asdict(self)


def cell_name(image_size: int, words: int) -> str:
    """A shape's."""
    return f"{image_size}/{words}"


def measure(name: str, bench: Bench) -> Cell:
    """Everything about one shape.

    Raises:
        ConfigError: an image size that patches do not fill, or a device that is not here.
    """
    image_size, words = (int(part) for part in name.split("/"))
    if image_size % PATCH:
        raise ConfigError(f"--image {image_size} is not a multiple of the patches' {PATCH}")
    device = choose_device(bench.device)
    shape = Shape(image_size, words)
    works = _works(bench, shape, device=device)
    times = _rounds(works, repeats=bench.repeats, device=device)
    rows = {
        name: {
            "multiply_adds": multiply_adds(work.of_one().forward),
            "parameters": count_parameters(work.module),
            **asdict(times[name]),
            "forward_bytes": peak_bytes(work.forward, device=device),
            "training_bytes": peak_bytes(work.train, device=device),
        }
        for name, work in works.items()
    }
    return {"rows": rows, "machine": machine(device)}


@dataclass(frozen=True)
class Shape:
    """What is fused: square images, and texts without padding."""

    image_size: int
    words: int


@dataclass(frozen=True)
class Work:
    """A network and what it is given."""

    module: nn.Module
    inputs: tuple[Tensor, Tensor, Tensor]

    def of_one(self) -> "Work":
        """The first pair alone."""
        text, image, mask = self.inputs
        return Work(self.module, (text[:1], image[:1], mask[:1]))

    def forward(self) -> None:
        """As in use."""
        with torch.no_grad():
            self.module.eval()(*self.inputs)

    def train(self) -> None:
        """Forwards and backwards.

        An optimiser's update is left out: it costs the same however long the sequences are.
        """
        text, image = self.module.train()(*self.inputs)
        torch.autograd.backward(text.square().mean() + image.square().mean())
        for tensor in (*self.module.parameters(), *self.inputs):
            tensor.grad = None


class Fusion(nn.Module):
    """A network's layers one after another."""

    def __init__(self, network: Network, sizes: Sizes) -> None:
        super().__init__()
        self.layers = network.build(sizes)

    def forward(self, text: Tensor, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Text and image after all layers."""
        for layer in self.layers:
            text, image = layer(text, image, mask, None)
        return text, image


class Encoders(nn.Module):
    """What runs before any fusion: a vision transformer twice as deep, and as deep a text's."""

    def __init__(self, sizes: Sizes, shape: Shape) -> None:
        super().__init__()
        self.vision = VisionTransformer(
            VisionConfig(
                image_size=shape.image_size,
                patch_size=PATCH,
                hidden_size=sizes.dim,
                num_layers=2 * sizes.num_layers,
                num_heads=sizes.num_heads,
                intermediate_size=sizes.hidden_dim,
            )
        )
        self.text = TextEncoder(
            TextConfig(
                vocab_size=VOCABULARY,
                hidden_size=sizes.dim,
                num_layers=sizes.num_layers,
                num_heads=sizes.num_heads,
                intermediate_size=sizes.hidden_dim,
                max_positions=shape.words,
            )
        )

    def forward(self, ids: Tensor, pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The states that a fusion takes."""
        return self.text(ids, mask), self.vision(pixels)


def _works(bench: Bench, shape: Shape, *, device: torch.device) -> dict[str, Work]:
    """The encoders, then every network, all fusions with the same inputs."""
    torch.manual_seed(0)
    with device:
        encoders = Encoders(bench.sizes, shape)
        fusions = {
            network.name: Fusion(network, bench.sizes)
            for network in networks(bench.sizes.num_layers)
        }
    generator = torch.Generator().manual_seed(1)
    batch, dim = bench.batch, bench.sizes.dim
    side, patches = shape.image_size, (shape.image_size // PATCH) ** 2 + 1
    ids = torch.randint(VOCABULARY, (batch, shape.words), generator=generator).to(device)
    pixels = torch.randn(batch, 3, side, side, generator=generator).to(device)
    text = torch.randn(batch, shape.words, dim, generator=generator).to(device).requires_grad_()
    image = torch.randn(batch, patches, dim, generator=generator).to(device).requires_grad_()
    mask = torch.ones(batch, shape.words, dtype=torch.bool, device=device)
    return {
        ENCODERS: Work(encoders, (ids, pixels, mask)),
        **{name: Work(fusion, (text, image, mask)) for name, fusion in fusions.items()},
    }


def _rounds(works: Mapping[str, Work], *, repeats: int, device: torch.device) -> "dict[str, Timed]":
    """Every round's times; the first round warms up and is dropped."""
    times = {name: Timed() for name in works}
    for number in range(repeats + 1):
        for name in list(works)[:: 1 if number % 2 == 0 else -1]:
            timed = times[name] if number else Timed()
            timed.forward.add(works[name].forward, device=device)
            timed.training.add(works[name].train, device=device)
        print(f"  round {number} of {repeats}" if number else "  warm", flush=True)
    return times


@dataclass
class Clocks:
    """Of each round: seconds on the clock, and of this process's processors."""

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], None], *, device: torch.device) -> None:
        """Do the work once more."""
        _wait(device)
        started, used = time.perf_counter(), time.process_time()
        work()
        _wait(device)
        self.seconds.append(time.perf_counter() - started)
        self.processor_seconds.append(time.process_time() - used)


@dataclass
class Timed:
    """A network's times."""

    forward: Clocks = field(default_factory=Clocks)
    training: Clocks = field(default_factory=Clocks)


def _wait(device: torch.device) -> None:
    """Work on an accelerator goes on behind the caller's back."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def machine(device: torch.device) -> dict[str, Any]:
    """What ran it, and how busy that was."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type}: {named}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "load_average": os.getloadavg()[0],
    }
