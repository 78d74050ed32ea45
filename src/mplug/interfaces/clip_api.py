"""A CLIP model as people use it: pictures and texts in; vectors, labels and hits out.

model = mplug.load("runs/clip-emoji")
model.classify("photo.jpg", ["a cat", "a dog"])
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mplug.data.byte_pair import prepared
from mplug.errors import DataError
from mplug.inference import zero_shot
from mplug.interfaces.compute import BATCH, chunks, joined
from mplug.interfaces.embedding import Embedding, Ranked
from mplug.interfaces.lacking import Lacking, LacksVerb
from mplug.interfaces.pictures import ImageSource, Picture
from mplug.interfaces.publishing import Published
from mplug.models.clip import Clip
from mplug.weights.card import ModelCard
from mplug.weights.clip_folder import ClipTokenizer, LoadedClip, save_clip
from mplug.weights.folder import in_float32

__all__ = ["ClipModel", "LacksVerb"]

IMAGE_PARTS = ("vision.", "image_head.")  # make a picture's vector
LACKS = {
    "caption": "write",
    "answer": "write",
    "ground": "write",
    "compare": "look at two pictures together",
    "entail": "look at a picture and a text together",
    "match": "look at a picture and a text together",
}
"""What a model of mPLUG does and this one does not, and the ability that it takes."""


class ClipModel(Published, Lacking, Embedding):
    """A loaded CLIP model with its words."""

    LACKS = LACKS
    ABOUT = "a CLIP model"
    INSTEAD = "it can classify, rank, search and embed"

    def __init__(self, loaded: LoadedClip, *, device: torch.device | None = None) -> None:
        self.network, self.tokenizer = loaded.model, loaded.tokenizer
        self.config, self.card = loaded.config, loaded.card
        super().__init__(
            ClipCompute(
                self.network, tokenizer=self.tokenizer, device=device or torch.device("cpu")
            ),
            image_size=self.config.vision.image_size,
            embed_dim=self.config.embed_dim,
            logit_scale=self.network.logit_scale.exp().item(),
        )

    def rank(self, image: ImageSource, texts: Sequence[str]) -> list[Ranked]:
        """The texts by how well they fit the picture, best first.

        `match` is the probability of a text among these, not that of belonging to the picture.

        Raises:
            DataError: the picture cannot be used, or a text is too long.
        """
        vectors = self.embed_text(list(texts))
        picture = self.embed_image(image)
        shares = zero_shot.probabilities(picture[None], vectors, logit_scale=self._logit_scale)[0]
        similarities = vectors @ picture
        return [
            Ranked(texts[place], float(shares[place]), float(similarities[place]))
            for place in np.argsort(-similarities, kind="stable").tolist()
        ]

    def save_pretrained(self, folder: str | Path, *, card: ModelCard | str | None = None) -> Path:
        """Write the model into `folder`; without `card` it keeps the one it came with.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        return save_clip(
            folder,
            model=self.network,
            tokenizer=self.tokenizer,
            card=self.card if card is None else card,
        )


class ClipCompute:
    """The network on its device; callers keep to `BATCH` pictures a call."""

    def __init__(self, network: Clip, *, tokenizer: ClipTokenizer, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.tokenizer, self.device = tokenizer, device

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Unit rows [pictures, dim]; a clip's is the normalised mean of its frames'."""
        frames = torch.from_numpy(np.concatenate([picture.pixels for picture in pictures]))
        features = [
            self.network.encode_image(part.to(self.device)) for part in torch.split(frames, BATCH)
        ]
        rows = self.network.image_embedding(torch.cat(features))
        counts = [len(picture.pixels) for picture in pictures]
        means = [part.mean(dim=0) for part in torch.split(rows, counts)]
        return _to_numpy(F.normalize(torch.stack(means), dim=1))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows [texts, dim], for any number of texts.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        parts = []
        for some in chunks(texts):
            rows = [self._ids(text) for text in some]
            ids = pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_id)
            lengths = torch.tensor([len(row) for row in rows])
            mask = torch.arange(ids.shape[1]) < lengths[:, None]
            features = self.network.encode_text(ids.to(self.device), mask.to(self.device))
            parts.append(_to_numpy(self.network.text_embedding(features)))
        return joined(parts, width=self.network.config.embed_dim)

    def fingerprint(self) -> str:
        """A hash of everything that makes a picture's vector."""
        config = self.network.config
        sizes = config.vision.model_dump_json() + config.image_pooling
        digest = hashlib.sha256(f"clip {sizes}".encode())
        for name, tensor in in_float32(self.network.state_dict()).items():
            if name.startswith(IMAGE_PARTS):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def _ids(self, text: str) -> Tensor:
        """`[start] words [end]`."""
        words = self.tokenizer
        whole = prepared(text, words, max_words=len(text))
        ids = [words.cls_id, *words.encode(whole), words.sep_id]
        limit: Any = getattr(self.network.config.text, "max_positions", len(ids))
        if len(ids) > limit:
            raise DataError(
                f"the text {text[:60]!r}... has {len(ids) - 2} word pieces, and this model reads "
                f"at most {limit - 2}: shorten it"
            )
        return torch.tensor(ids)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
