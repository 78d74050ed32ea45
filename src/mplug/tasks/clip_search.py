"""Search among records' pictures and captions by a CLIP model's vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mplug.config.schema_clip import CausalTextConfig
from mplug.data.byte_pair import BytePairTokenizer, prepared
from mplug.data.records import Record
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError
from mplug.models.clip import Clip
from mplug.tasks.evaluation import BLANK
from mplug.tasks.figures import Figure, Floats
from mplug.tasks.observer import Progress, silent
from mplug.tasks.record_evaluation import asking, one_a_picture
from mplug.tasks.record_reading import Reading
from mplug.tasks.record_search import SearchEvaluation, both_ways, recall_figures

TEXTS = 256  # that go through the network at once

Rows = Float[Tensor, "items embed"]


@dataclass(frozen=True)
class ClipSearcher:
    """A model in eval mode with its words, on its device."""

    model: Clip
    tokenizer: Tokenizer | BytePairTokenizer
    device: torch.device = torch.device("cpu")

    @torch.inference_mode()
    def images(self, pixels: np.ndarray) -> Rows:
        """Unit vectors of normalised pictures [images, 3, height, width]."""
        features = self.model.encode_image(torch.from_numpy(pixels).to(self.device))
        return self.model.image_embedding(features)

    @torch.inference_mode()
    def texts(self, captions: Sequence[str]) -> Rows:
        """Unit vectors of captions as training reads them, cut to the model's positions."""
        rows = [self._ids(text) for text in captions]
        return torch.cat([self._texts(some) for some in _parts(rows)])

    def _ids(self, text: str) -> list[int]:
        words = self.tokenizer.encode(prepared(text, self.tokenizer))
        sizes = self.model.config.text
        longest = sizes.max_positions - 2 if isinstance(sizes, CausalTextConfig) else len(words)
        return [self.tokenizer.cls_id, *words[:longest], self.tokenizer.sep_id]

    def _texts(self, rows: Sequence[list[int]]) -> Rows:
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.full((len(rows), int(lengths.max())), self.tokenizer.pad_id)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        features = self.model.encode_text(ids.to(self.device), mask.to(self.device))
        return self.model.text_embedding(features)


def evaluate_clip(
    searcher: ClipSearcher,
    records: Sequence[Record],
    *,
    split: str,
    progress: Progress = silent,
) -> SearchEvaluation:
    """Recall at 1, 5 and 10 both ways.

    All captions of a picture are right, and each is a query of its own.

    Raises:
        DataError: no picture with a caption can be read, or a record shows a clip.
    """
    clip = next((record for record in records if record.video is not None), None)
    if clip is not None:
        raise DataError(f"{clip.source}: a clip; search among still pictures alone")
    asked, idle = asking(one_a_picture(records), "retrieval")
    size = searcher.model.config.vision.image_size
    reading = Reading(asked, size)
    found: dict[int, Tensor] = {}
    for seen in reading.batches():
        vectors = searcher.images(seen.pixels)
        found |= {place: vectors[row] for place, (row,) in zip(seen.places, seen.rows, strict=True)}
        progress(max(found) + 1, len(asked))
    if not found:
        first = reading.left_out[0]
        raise DataError(f"the picture of none of the {len(asked)} records can be read: {first}")
    shown = [asked[place] for place in sorted(found)]
    images = torch.stack([found[place] for place in sorted(found)])
    texts = searcher.texts([text for record in shown for text in record.caption])
    table = _cosines(images, texts)
    grey = searcher.images(np.zeros((1, 3, size, size), dtype=np.float32))
    blank = np.broadcast_to(_cosines(grey, texts), table.shape)
    figures: list[Figure] = []
    for way in both_ways(table, blank, captions=[len(record.caption) for record in shown]):
        figures += recall_figures(way, way.table, {BLANK: way.blank}, split=split)
    return SearchEvaluation(tuple(figures), (*idle, *reading.left_out), tuple(shown), table)


def _cosines(images: Float[Tensor, "images embed"], texts: Float[Tensor, "texts embed"]) -> Floats:
    table: Floats = (images.double() @ texts.double().T).cpu().numpy()
    return table


def _parts(rows: Sequence[list[int]]) -> Iterator[Sequence[list[int]]]:
    return (rows[start : start + TEXTS] for start in range(0, len(rows), TEXTS))
