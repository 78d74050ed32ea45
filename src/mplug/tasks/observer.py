"""A model asked about many pictures and texts: in batches, in eval mode, without gradients.

Each picture and each text is encoded once; what is asked about them afterwards reads the states.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.data.tokenizer import Tokenizer
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.inference.pairs import match_pairs
from mplug.inference.texts import encode_texts
from mplug.models.mplug import MPlug

BATCH = 50  # pictures that go through the network at once
PAIRS = 256  # of a picture and a text that are fused at once

Images = Float[Tensor, "images patches dim"]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


class Texts(NamedTuple):
    """Texts after the text encoder, with True at every word."""

    states: Float[Tensor, "texts words dim"]
    mask: Bool[Tensor, "texts words"]


@dataclass(frozen=True)
class Observer:
    """A model in eval mode with its words, on its device."""

    model: MPlug
    tokenizer: Tokenizer
    device: torch.device = torch.device("cpu")

    @torch.inference_mode()
    def images(self, pixels: npt.NDArray[np.float32], *, progress: Progress = silent) -> Images:
        """Encode normalised pictures [images, 3, height, width]."""
        parts = []
        for rows in _slices(len(pixels), BATCH):
            parts.append(self.model.encode_image(torch.from_numpy(pixels[rows]).to(self.device)))
            progress(rows.stop, len(pixels))
        return torch.cat(parts)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Texts:
        """Encode `[CLS] words` of each text."""
        return self.encoded(
            [[self.tokenizer.cls_id, *self.tokenizer.encode(text)] for text in texts]
        )

    @torch.inference_mode()
    def encoded(self, rows: Sequence[list[int]]) -> Texts:
        """Encode texts that are ids already, of any lengths.

        Behind a text's last word its states are zeros, or what its neighbours' padding left there.
        """
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.tokenizer.pad_id)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(longest) < lengths[:, None]).to(self.device)
        read = encode_texts(self.model.encode_text, ids.to(self.device), mask, at_once=PAIRS)
        return Texts(read, mask)

    @torch.inference_mode()
    def similarity(self, images: Images, texts: Texts) -> Floats:
        """Cosines of every picture and every text [images, texts]."""
        pictures = self.model.image_embedding(images).double()
        words = self.model.text_embedding(texts.states).double()
        table: Floats = (pictures @ words.T).cpu().numpy()
        return table

    @torch.inference_mode()
    def match(
        self,
        images: Images,
        texts: Texts,
        *,
        image_rows: Places,
        text_rows: Places,
        progress: Progress = silent,
    ) -> Floats:
        """How surely each pair of rows belongs together: the logit of yes less that of no [pairs].

        The two lists of rows are equally long.
        """
        logits = match_pairs(
            self.model,
            texts.states,
            images,
            texts.mask,
            text_rows=torch.from_numpy(text_rows).to(self.device),
            image_rows=torch.from_numpy(image_rows).to(self.device),
            at_once=PAIRS,
            progress=progress,
        ).double()
        found: Floats = (logits[:, 1] - logits[:, 0]).cpu().numpy()
        return found

    def captions(
        self, images: Images, *, generation: GenerationConfig, progress: Progress = silent
    ) -> list[str]:
        """The model's own words for each picture."""
        search = BeamSearch(generation)
        captions: list[str] = []
        for rows in _slices(len(images), BATCH):
            memory = images[rows]
            written = generate(
                self.model.writer,
                memory,
                prompt=torch.full((len(memory), 1), self.tokenizer.cls_id, device=self.device),
                end_id=self.tokenizer.sep_id,
                search=search,
            )
            captions += [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in written]
            progress(rows.stop, len(images))
        return captions

    @property
    def temperature(self) -> float:
        """What similarities are divided by to become logits."""
        return self.model.temperature.item()


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
