"""One small batch of pictures or texts through the network, from and to plain numpy and text."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError
from mplug.inference.generate import Search, generate
from mplug.models.mplug import MPlug

BATCH = 32  # pictures, texts or pairs that go through the network at once
IMAGE_PARTS = ("vision.", "visual_projection.", "image_projection.")  # make a picture's vector

Item = TypeVar("Item")


@dataclass(frozen=True)
class Picture:
    """A picture that was read once, to be used any number of times."""

    pixels: np.ndarray  # float32 [3, size, size], normalised


class Compute:
    """The network on its device; callers keep to `BATCH` pictures a call."""

    def __init__(self, network: MPlug, *, tokenizer: Tokenizer, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Unit rows [pictures, dim]."""
        return _to_numpy(self.network.image_embedding(self._encode_images(pictures)))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows [texts, dim], for any number of texts.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        parts = [self._encode_texts(part)[0] for part in chunks(texts)]
        embedded = [_to_numpy(self.network.text_embedding(part)) for part in parts]
        return joined(embedded, width=self.network.config.embed_dim)

    @torch.inference_mode()
    def match(self, pictures: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """The probability of belonging together [pictures, texts], for any number of texts.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        image = self._encode_images(pictures)
        parts = [self._match(image, part) for part in chunks(texts)]
        columns = [_to_numpy(part.T) for part in parts]
        return joined(columns, width=len(pictures)).T

    @torch.inference_mode()
    def write(
        self, pictures: Sequence[Picture], *, prompt: Sequence[int], search: Search
    ) -> list[str]:
        """A text for each picture, that begins with the words of `prompt` ([CLS] words)."""
        written = generate(
            self.network.decoder,
            self._encode_images(pictures),
            prompt=torch.tensor([list(prompt)] * len(pictures), device=self.device),
            end_id=self.tokenizer.sep_id,
            search=search,
        )
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in written]

    def fingerprint(self) -> str:
        """A hash of everything that makes a picture's vector."""
        config = self.network.config
        digest = hashlib.sha256((config.vision.model_dump_json() + config.image_pooling).encode())
        for name, tensor in self.network.state_dict().items():
            if name.startswith(IMAGE_PARTS):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def _encode_images(self, pictures: Sequence[Picture]) -> Tensor:
        stacked = np.stack([picture.pixels for picture in pictures])
        return self.network.encode_image(torch.from_numpy(stacked).to(self.device))

    def _encode_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States of `[CLS] words`, and the mask of what is no padding."""
        rows = [[self.tokenizer.cls_id, *self.tokenizer.encode(text)] for text in texts]
        limit = self.network.config.text.max_positions
        for text, row in zip(texts, rows, strict=True):
            if len(row) > limit:
                raise DataError(
                    f"the text {text[:60]!r}... has {len(row) - 1} word pieces, and this model "
                    f"reads at most {limit - 1}: shorten it"
                )
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.full((len(rows), int(lengths.max())), self.tokenizer.pad_id)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self.device)
        return self.network.encode_text(ids.to(self.device), mask), mask

    def _match(self, image: Tensor, texts: Sequence[str]) -> Tensor:
        """Probabilities [pictures, texts]: every pair, `BATCH` of them at once."""
        states, mask = self._encode_texts(texts)
        pairs = torch.cartesian_prod(torch.arange(len(image)), torch.arange(len(texts)))
        logits = []
        for pair in torch.split(pairs.to(self.device), BATCH):
            picture, text = pair[:, 0], pair[:, 1]
            fused = self.network.fuse_text(states[text], image[picture], mask[text])
            logits.append(self.network.match(fused))
        return torch.cat(logits).softmax(dim=-1)[:, 1].reshape(len(image), len(texts))


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """`BATCH` items at a time."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def joined(parts: list[np.ndarray], *, width: int) -> np.ndarray:
    """All rows of `parts`; no rows of this width if there are no parts."""
    return np.concatenate(parts) if parts else np.zeros((0, width), dtype=np.float32)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
