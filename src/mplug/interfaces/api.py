"""A model as people use it: pictures and texts in, captions, vectors, probabilities and hits out.

    model = mplug.load("runs/demo")
    model.caption("photo.jpg")

A picture is a path, the bytes of a file, a Pillow image, an array, or what `Model.read` returns.
One picture (or text) gives one result, a list gives a list. The same call gives the same result,
and what else is in the list changes nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from PIL import Image

from mplug.config.load import load_config
from mplug.data.media import load_image
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import to_array
from mplug.errors import CheckpointError, ConfigError
from mplug.inference import index
from mplug.interfaces.compute import Compute, Picture, chunks, joined
from mplug.interfaces.locate import CHECKPOINTS, require_model
from mplug.interfaces.writing import writing
from mplug.training.checkpoints import Checkpoints
from mplug.training.distributed import choose_device
from mplug.training.state import TASK
from mplug.weights import hub, store
from mplug.weights.card import ModelCard
from mplug.weights.layout import CONFIG, FILES

__all__ = ["Hit", "ImageSource", "Model", "Picture", "Ranked", "load"]

TASK_PREFIX = "model."  # of the model's tensors among a task's

ImageSource = str | Path | bytes | Image.Image | np.ndarray | Picture


class Ranked(NamedTuple):
    """A text, the probability that it belongs to the picture, and their cosine similarity."""

    text: str
    match: float
    similarity: float


class Hit(NamedTuple):
    """A picture that was found; `match` is the probability of belonging, where it was reranked."""

    position: int  # in the gallery
    path: Path | None  # where the gallery gave paths
    similarity: float
    match: float | None


def load(
    source: str | Path,
    *,
    device: str = "auto",
    image_size: int | None = None,
    revision: str | None = None,
) -> "Model":
    """The model of a run (`runs/demo`), of a saved folder, or of a hub repository (OWNER/NAME).

    A run gives its exported model or, before it has one, its newest whole checkpoint. `device` is
    cpu, cuda, mps, or auto, the best there is. `image_size` asks for another resolution.

    Raises:
        CheckpointError: no model is there, or it cannot be used; the message says why.
        ConfigError: the device does not exist here.
    """
    place = choose_device(device)
    found = require_model(source)
    if found is not None and found.unfinished:
        loaded = _load_checkpoint(found.folder, image_size=image_size)
    else:
        saved = source if found is None else found.folder
        loaded = store.load_pretrained(saved, image_size=image_size, revision=revision)
    return Model(loaded, device=place)


class Model:
    """A loaded model with its words and its way of decoding."""

    def __init__(self, loaded: store.Loaded, *, device: torch.device | None = None) -> None:
        self.network, self.tokenizer = loaded.model, loaded.tokenizer
        self.generation, self.config, self.card = loaded.generation, loaded.config, loaded.card
        self._compute = Compute(
            self.network, tokenizer=self.tokenizer, device=device or torch.device("cpu")
        )
        self._fingerprint: str | None = None

    @staticmethod
    def from_pretrained(
        source: str | Path,
        *,
        device: str = "auto",
        image_size: int | None = None,
        revision: str | None = None,
    ) -> "Model":
        """What `load` does, under the name that the hub's users know."""
        return load(source, device=device, image_size=image_size, revision=revision)

    def save_pretrained(self, folder: str | Path, *, card: ModelCard | str | None = None) -> Path:
        """Write the model into `folder`; without `card` it keeps the one it came with.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        return store.save_pretrained(
            folder,
            model=self.network,
            tokenizer=self.tokenizer,
            generation=self.generation,
            card=self.card if card is None else card,
        )

    def push_to_hub(
        self, repo_id: str, *, private: bool = False, card: ModelCard | str | None = None
    ) -> str:
        """Publish the model as `repo_id` (OWNER/NAME) on the Hugging Face hub; returns its URL.

        Raises:
            CheckpointError: the hub refuses it or cannot be reached.
        """
        return hub.push(
            lambda folder: self.save_pretrained(folder, card=card),
            repo_id,
            files=FILES,
            private=private,
        )

    def read(self, image: ImageSource, *, name: str | None = None) -> Picture:
        """Read and scale a picture now, to use it many times; `name` is for error messages.

        Raises:
            DataError: it is no usable picture; says which and why.
        """
        if isinstance(image, Picture):
            return image
        opened = load_image(image, name=name)
        return Picture(to_array(opened, size=self.config.vision.image_size))

    @overload
    def caption(  # type: ignore[overload-overlap]
        self, images: ImageSource, *, prompt: str = "", seed: int | None = None, **options: float
    ) -> str: ...

    @overload
    def caption(
        self,
        images: Sequence[ImageSource],
        *,
        prompt: str = "",
        seed: int | None = None,
        **options: float,
    ) -> list[str]: ...

    def caption(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        prompt: str = "",
        seed: int | None = None,
        **options: float,
    ) -> str | list[str]:
        """What is to be seen; the caption begins with `prompt`, if any.

        `options` replace the model's own for this call: beams (1 is greedy), min_tokens,
        max_tokens, length_exponent. With a `seed`, the words are drawn instead of searched for;
        then temperature, top_k and top_p are options, too.

        Raises:
            DataError: a picture cannot be used. ConfigError: an option does not exist.
        """
        sources, single = _as_list(images)
        ids = self._prompt(prompt)
        chosen = writing(self.generation, options, seed=seed)
        self._require_room(len(ids), max_tokens=chosen.config.max_tokens)
        captions: list[str] = []
        for pictures in self._batches(sources):
            places = range(len(captions), len(captions) + len(pictures))
            captions += self._compute.write(pictures, prompt=ids, search=chosen.search(places))
        return captions[0] if single else captions

    def embed_image(self, images: ImageSource | Sequence[ImageSource]) -> np.ndarray:
        """Unit vectors, float32 [dim] for one picture, [pictures, dim] for a list.

        Raises:
            DataError: a picture cannot be used.
        """
        sources, single = _as_list(images)
        parts = [self._compute.embed_pictures(pictures) for pictures in self._batches(sources)]
        rows = joined(parts, width=self.config.embed_dim)
        return rows[0] if single else rows

    def embed_text(self, texts: str | Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 [dim] for one text, [texts, dim] for a list.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        if isinstance(texts, str):
            row: np.ndarray = self._compute.embed_texts([texts])[0]
            return row
        return self._compute.embed_texts(list(texts))

    def match(self, images: ImageSource | Sequence[ImageSource], texts: str | Sequence[str]) -> Any:
        """The probability that picture and text belong together.

        A float for one picture and one text; else an array: [texts], [pictures], or for two lists
        [pictures, texts].

        Raises:
            DataError: a picture cannot be used, or a text is too long.
        """
        sources, one_image = _as_list(images)
        one_text = isinstance(texts, str)
        words = [texts] if isinstance(texts, str) else list(texts)
        parts = [self._compute.match(pictures, words) for pictures in self._batches(sources)]
        table = joined(parts, width=len(words))
        if one_image:
            table = table[0]
        result = table[..., 0] if one_text else table
        return float(result) if one_image and one_text else result

    def rank(self, image: ImageSource, texts: Sequence[str]) -> list[Ranked]:
        """The texts by how likely they belong to the picture, best first.

        Raises:
            DataError: the picture cannot be used, or a text is too long.
        """
        picture, texts = self.read(image), list(texts)
        matches = self.match(picture, texts)
        similarities = self.embed_text(texts) @ self.embed_image(picture)
        ranked = [
            Ranked(text, float(match), float(similarity))
            for text, match, similarity in zip(texts, matches, similarities, strict=True)
        ]
        return sorted(ranked, key=lambda one: -one.match)

    def search(
        self,
        gallery: str | Path | index.Index | Sequence[ImageSource],
        text: str,
        *,
        top: int = 10,
        rerank: int = 0,
    ) -> list[Hit]:
        """The `top` pictures nearest to `text`, the nearest `rerank` put in order by matching.

        `gallery` is a folder, whose vectors are kept beside it (see `index`), or a list of
        pictures. Files of a folder that are no usable pictures are left out.

        Raises:
            DataError: there is no such folder, or a listed picture cannot be used.
        """
        if isinstance(gallery, (str, Path)):
            gallery = self.index(gallery)
        if isinstance(gallery, index.Index):
            sources: Sequence[ImageSource] = gallery.paths
            rows = gallery.embeddings
        else:
            sources, rows = list(gallery), self.embed_image(list(gallery))

        def match(found: list[int]) -> np.ndarray:
            matched: np.ndarray = self.match([sources[row] for row in found], text)
            return matched

        places = index.search(rows, self.embed_text(text), top=top, rerank=rerank, match=match)
        return [
            Hit(place.row, _path_of(sources[place.row]), place.similarity, place.match)
            for place in places
        ]

    def index(self, folder: str | Path, *, report: index.Report = print) -> index.Index:
        """The folder's pictures with their vectors; only new and changed ones are computed.

        Raises:
            DataError: there is no such folder.
        """
        embedder = index.Embedder(
            fingerprint=self.fingerprint,
            dim=self.config.embed_dim,
            read=self.read,
            embed=self._compute.embed_pictures,
        )
        return index.build_index(folder, embedder=embedder, report=report)

    @property
    def fingerprint(self) -> str:
        """It changes whenever a picture's vector would: a hash of everything that makes it."""
        if self._fingerprint is None:
            self._fingerprint = self._compute.fingerprint()
        return self._fingerprint

    def _prompt(self, text: str) -> list[int]:
        return [self.tokenizer.cls_id, *self.tokenizer.encode(text)]

    def _require_room(self, prompt: int, *, max_tokens: int) -> None:
        limit = self.config.text.max_positions
        if prompt + max_tokens - 1 > limit:
            raise ConfigError(
                f"a prompt of {prompt - 1} word pieces and max_tokens = {max_tokens} exceed the "
                f"{limit} positions of this model"
            )

    def _batches(self, sources: Sequence[ImageSource]) -> Iterator[list[Picture]]:
        """Pictures in small batches, each read when its turn comes."""
        names = [
            None if isinstance(source, (str, Path)) else f"picture {place} of {len(sources)}"
            for place, source in enumerate(sources, start=1)
        ]
        for part in chunks(list(zip(sources, names, strict=True))):
            yield [self.read(source, name=name) for source, name in part]


def _load_checkpoint(run: Path, *, image_size: int | None) -> store.Loaded:
    """The model inside the newest whole checkpoint of a run that has not exported one yet."""
    checkpoint = Checkpoints(run / CHECKPOINTS, keep=1).latest().checkpoint
    if checkpoint is None:
        raise CheckpointError(f"{run}: holds no checkpoint yet")
    config = load_config(run / CONFIG)
    tensors = store.read_weights(checkpoint.folder / TASK)
    model = store.build(
        config.model,
        {
            name.removeprefix(TASK_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(TASK_PREFIX)
        },
        where=str(checkpoint.folder / TASK),
        image_size=image_size,
    )
    return store.Loaded(model, Tokenizer.load(run), config.generation, model.config, card="")


def _as_list(images: ImageSource | Sequence[ImageSource]) -> tuple[list[ImageSource], bool]:
    """The pictures, and whether it was a single one; an array of four axes is a batch."""
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images), False
    if isinstance(images, ImageSource):
        return [images], True
    return list(images), False


def _path_of(source: ImageSource) -> Path | None:
    return Path(source) if isinstance(source, (str, Path)) else None
