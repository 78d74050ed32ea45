"""One folder of golden data: its inputs, what is expected, and the product's models of it."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mplug.models.mplug import MPlug
from mplug.weights.convert import Imported, import_original, to_original
from mplug.weights.original_config import first_fusion_layer

Entries = dict[str, Callable[[], Any]]  # each expected name, and how the product makes it

END = 102  # [SEP]
START = 101  # [CLS]


@dataclass(frozen=True)
class Precision:
    """What a set of expected values was computed in, and the files it lies in."""

    dtype: torch.dtype
    suffix: str

    @property
    def name(self) -> str:
        """As it is printed."""
        return str(self.dtype).removeprefix("torch.")


PRECISIONS = (Precision(torch.float64, ""), Precision(torch.float32, "_f32"))


@dataclass(frozen=True)
class Reference:
    """A folder of golden data at one precision."""

    folder: Path
    precision: Precision

    @cached_property
    def config(self) -> dict[str, Any]:
        """The original configuration."""
        loaded: dict[str, Any] = json.loads((self.folder / "config.json").read_text())
        return loaded

    @cached_property
    def inputs(self) -> Mapping[str, Tensor]:
        """Inputs: floats at this precision, masks as booleans."""
        return {
            name: value.bool() if name.endswith("_mask") else self.cast(value)
            for name, value in load_file(self.folder / "inputs.safetensors").items()
        }

    @cached_property
    def expected(self) -> Mapping[str, Any]:
        """Every expected value: tensors, and what JSON holds."""
        stem = self.folder / f"expected{self.precision.suffix}"
        tensors: dict[str, Any] = dict(load_file(stem.with_suffix(".safetensors")))
        return tensors | json.loads(stem.with_suffix(".json").read_text())

    @cached_property
    def state(self) -> Mapping[str, Tensor]:
        """The weights in the original layout."""
        return load_file(self.folder / "state_dict.safetensors")

    @cached_property
    def original(self) -> Imported:
        """Everything the product's importer makes of the weights; for what changes nothing."""
        return self.imported()

    @property
    def model(self) -> MPlug:
        """The imported model in evaluation mode; for what changes nothing."""
        return self.original.model

    def imported(self, *, text_layers: int | None = None, stride: int | None = None) -> Imported:
        """A fresh import at this precision, in evaluation mode as all golden values are."""
        bert = self.config["bert"] | ({} if stride is None else {"stride_layer": stride})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="stride .* connects none")
            made = import_original(
                self.state, self.config | {"bert": bert}, momentum=True, text_layers=text_layers
            )
        made.model.to(self.precision.dtype).eval()
        if made.teacher is not None:
            made.teacher.to(self.precision.dtype)
        return made

    def cast(self, value: Tensor) -> Tensor:
        """Floats at this precision, anything else as it is."""
        return value.to(self.precision.dtype) if value.is_floating_point() else value

    def gradient_norms(
        self, model: MPlug, loss: Tensor, *, expected: str
    ) -> dict[str, float | None]:
        """Norms under the original names; None for what the product never builds."""
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {
            name: parameter.grad
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        }
        original = to_original(
            gradients, model.config, first_fusion_layer=first_fusion_layer(self.config["bert"])
        )
        never_built = dict.fromkeys(self.expected[expected])
        return never_built | {name: value.norm().item() for name, value in original.items()}


def with_video(frames: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
    """Tokens of all frames of each video, one behind the other [videos, frames * patches, dim]."""
    videos = frames.shape[0]
    tokens = encode(frames.flatten(0, 1))
    return tokens.reshape(videos, -1, tokens.shape[-1])


def seen(memory: Tensor) -> Tensor:
    """A mask that hides nothing of image tokens."""
    return torch.ones(memory.shape[:2], dtype=torch.bool)
