"""What every model can do that puts pictures and texts into one space: embed, search, classify."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from mplug.errors import CheckpointError
from mplug.inference import index, zero_shot
from mplug.interfaces.compute import chunks, joined
from mplug.interfaces.pictures import (
    ImageSource,
    Picture,
    as_list,
    join_frames,
    named,
    read_picture,
)


class Ranked(NamedTuple):
    """A text, the probability that it belongs to the picture, and their cosine similarity.

    A model that has no vectors for either has no similarity.
    """

    text: str
    match: float
    similarity: float | None


class Hit(NamedTuple):
    """A picture that was found; `match` is the probability of belonging, where it was reranked."""

    position: int  # in the gallery
    path: Path | None  # where the gallery gave paths
    similarity: float
    match: float | None


@runtime_checkable
class Embeds(Protocol):
    """The network on its device; callers keep to a small batch of pictures a call."""

    def embed_pictures(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Unit rows [pictures, dim]; a clip's is the normalised mean of its frames'."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows [texts, dim], for any number of texts."""
        ...

    def fingerprint(self) -> str:
        """A hash of everything that makes a picture's vector."""
        ...


class Embedding:
    """A model whose pictures and texts have vectors in one space."""

    def __init__(
        self, embedder: Embeds, *, image_size: int, embed_dim: int, logit_scale: float
    ) -> None:
        self._embedder = embedder
        self._image_size, self._embed_dim, self._logit_scale = image_size, embed_dim, logit_scale
        self._fingerprint: str | None = None

    def read(
        self, image: ImageSource, *, name: str | None = None, frames: int | None = None
    ) -> Picture:
        """Read and scale a picture or a clip now, to use it many times.

        A path that ends as videos do gives `frames` (8) frames of the clip, at equal distances.
        `name` is for error messages.

        Raises:
            DataError: it is no usable picture or clip; says which and why.
            MissingExtraError: it is a clip, and the library that reads clips is not installed.
        """
        return read_picture(image, size=self._image_size, name=name, frames=frames)

    def clip(self, frames: Sequence[ImageSource]) -> Picture:
        """One clip of pictures in their order, to be given to a method as one picture.

        Raises:
            DataError: there are none, or one cannot be used; says which and why.
        """
        return join_frames([self.read(frame, name=name) for frame, name in named(frames)])

    def embed_image(self, images: ImageSource | Sequence[ImageSource]) -> np.ndarray:
        """Unit vectors, float32 [dim] for one picture, [pictures, dim] for a list.

        Raises:
            DataError: a picture cannot be used.
        """
        sources, single = as_list(images)
        parts = [self._embedder.embed_pictures(pictures) for pictures in self._batches(sources)]
        rows = joined(parts, width=self._embed_dim)
        return rows[0] if single else rows

    def embed_text(self, texts: str | Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 [dim] for one text, [texts, dim] for a list.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        if isinstance(texts, str):
            row: np.ndarray = self._embedder.embed_texts([texts])[0]
            return row
        return self._embedder.embed_texts(list(texts))

    def classify(
        self,
        images: ImageSource | Sequence[ImageSource],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = zero_shot.TEMPLATES,
    ) -> Any:
        """The probability of each label, by its text alone: {label: probability}, likeliest first.

        Each label is put into every template, at `{}`, and stands for the mean of what they say.

        Raises:
            DataError: a picture cannot be used, or a text is too long. ConfigError: there are no
            labels, or a template has no place for one.
        """
        sources, single = as_list(images)
        classes = zero_shot.class_vectors(labels, templates=templates, embed=self.embed_text)
        table = zero_shot.probabilities(
            self.embed_image(sources), classes, logit_scale=self._logit_scale
        )
        found = [zero_shot.ranked(labels, row) for row in table]
        return found[0] if single else found

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
            DataError: there is no such folder, or a listed picture cannot be used. CheckpointError:
            the model cannot rerank.
        """
        if isinstance(gallery, (str, Path)):
            gallery = self.index(gallery)
        if isinstance(gallery, index.Index):
            sources: Sequence[ImageSource] = gallery.paths
            rows = gallery.embeddings
        else:
            sources, rows = list(gallery), self.embed_image(list(gallery))

        def match(found: list[int]) -> np.ndarray:
            return self._matched([sources[row] for row in found], text)

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
            dim=self._embed_dim,
            read=self.read,
            embed=self._embedder.embed_pictures,
        )
        return index.build_index(folder, embedder=embedder, report=report)

    @property
    def fingerprint(self) -> str:
        """It changes whenever a picture's vector would: a hash of everything that makes it."""
        if self._fingerprint is None:
            self._fingerprint = self._embedder.fingerprint()
        return self._fingerprint

    def _matched(self, images: Sequence[ImageSource], text: str) -> np.ndarray:
        """The probability that each picture belongs with the text, looked at together."""
        raise CheckpointError("this model compares vectors and cannot rerank: leave rerank at 0")

    def _batches(self, sources: Sequence[ImageSource]) -> Iterator[list[Picture]]:
        """Pictures in small batches, each read when its turn comes."""
        for part in chunks(list(named(sources))):
            yield [self.read(source, name=name) for source, name in part]


def _path_of(source: ImageSource) -> Path | None:
    return Path(source) if isinstance(source, (str, Path)) else None
