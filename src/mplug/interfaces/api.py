"""A model as people use it: pictures and texts in, captions, vectors, probabilities and hits out.

    model = mplug.load("runs/demo")
    model.caption("photo.jpg")

A picture is a path, the bytes of a file, a Pillow image, an array, or what `Model.read` and
`Model.clip` return; the path of a video stands for some of its frames.
One picture (or text) gives one result, a list gives a list. The same call gives the same result,
and what else is in the list changes nothing.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch

from mplug.interfaces.asking import Asking, Box
from mplug.interfaces.compute import Compute, joined
from mplug.interfaces.embedding import Embedding, Hit, Ranked
from mplug.interfaces.loading import load_source
from mplug.interfaces.pictures import ImageSource, Picture, as_list
from mplug.interfaces.publishing import Published
from mplug.interfaces.writing import require_room, writing
from mplug.models.precision import lower, require_precision
from mplug.training.distributed import choose_device
from mplug.weights import store
from mplug.weights.card import ModelCard

if TYPE_CHECKING:
    from mplug.interfaces.clip_api import ClipModel as ClipModel
    from mplug.interfaces.uniter_api import UniterModel as UniterModel
    from mplug.interfaces.zoo_api import ZooModel as ZooModel

__all__ = [
    "Box",
    "ClipModel",
    "Hit",
    "ImageSource",
    "Model",
    "Picture",
    "Ranked",
    "UniterModel",
    "ZooModel",
    "load",
]
# The other systems' models, imported when one is loaded: that takes as long as all of mPLUG's own.
OTHERS = {"ClipModel": "clip_api", "UniterModel": "uniter_api", "ZooModel": "zoo_api"}
USED_BY = {"LoadedClip": "ClipModel", "LoadedUniter": "UniterModel", "LoadedZoo": "ZooModel"}


def __getattr__(name: str) -> Any:
    """Bring another system's model on first use."""
    if name in OTHERS:
        return getattr(import_module(f"mplug.interfaces.{OTHERS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    source: str | Path,
    *,
    device: str = "auto",
    precision: str = "float32",
    image_size: int | None = None,
    revision: str | None = None,
) -> Any:
    """The model of a run (`runs/demo`), of a saved folder, `mplug-tiny`, or of a hub (OWNER/NAME).

    It is a `Model` of mPLUG or, by what was saved, a `ClipModel`, `UniterModel` or `ZooModel`.

    A run gives its exported model or, before it has one, its newest whole checkpoint. `mplug-tiny`
    is the model that mplug brings, unless a folder here is called so. `device` is
    cpu, cuda, mps, or auto, the best there is. `precision` is float32, bfloat16, or int8 (on the
    CPU): a model that is not in float32 cannot be saved. `image_size` asks for another resolution.

    Raises:
        CheckpointError: no model is there, or it cannot be used; the message says why.
        ConfigError: the device or the precision does not exist here.
    """
    place = choose_device(device)
    chosen = require_precision(precision, device=place)
    loaded = load_source(source, image_size=image_size, revision=revision)
    lower(loaded.model.to(place), precision=chosen)
    if isinstance(loaded, store.Loaded):
        return Model(loaded, device=place)
    return __getattr__(USED_BY[type(loaded).__name__])(loaded, device=place)


class Model(Published, Embedding):
    """A loaded model with its words and its way of decoding."""

    def __init__(self, loaded: store.Loaded, *, device: torch.device | None = None) -> None:
        self.network, self.tokenizer = loaded.model, loaded.tokenizer
        self.generation, self.config, self.card = loaded.generation, loaded.config, loaded.card
        self._compute = Compute(
            self.network, tokenizer=self.tokenizer, device=device or torch.device("cpu")
        )
        super().__init__(
            self._compute,
            image_size=self.config.vision.image_size,
            embed_dim=self.config.embed_dim,
            logit_scale=1 / self.network.temperature.item(),
        )
        self._asking = Asking(
            self._compute, config=self.config, generation=self.generation, read=self.read
        )

    @staticmethod
    def from_pretrained(
        source: str | Path,
        *,
        device: str = "auto",
        precision: str = "float32",
        image_size: int | None = None,
        revision: str | None = None,
    ) -> "Model":
        """What `load` does, under the name that the hub's users know."""
        return load(
            source, device=device, precision=precision, image_size=image_size, revision=revision
        )

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
        sources, single = as_list(images)
        ids = self._prompt(prompt)
        chosen = writing(self.generation, options, seed=seed)
        require_room(len(ids), max_tokens=chosen.config.max_tokens, config=self.config)
        captions: list[str] = []
        for pictures in self._batches(sources):
            places = range(len(captions), len(captions) + len(pictures))
            captions += self._compute.write(pictures, prompt=ids, search=chosen.search(places))
        return captions[0] if single else captions

    def answer(
        self,
        images: ImageSource | Sequence[ImageSource],
        questions: str | Sequence[str],
        *,
        answers: Sequence[str] | None = None,
        text: str | Sequence[str] = "",
        seed: int | None = None,
        **options: float,
    ) -> Any:
        """The answer to a question about a picture; of a list `answers`, the likeliest.

        Lists belong together item by item; what is single is used for all. `text` is further text
        that goes with a question, such as words seen in the picture. `options` are those of
        `caption`; an answer has 1 to 10 word pieces unless they say otherwise.

        Raises:
            CheckpointError: the model was not trained to answer. DataError: a picture or a text
            cannot be used. ConfigError: an option does not exist.
        """
        return self._asking.answer(
            images, questions, answers=answers, text=text, seed=seed, options=options
        )

    def ground(
        self,
        images: ImageSource | Sequence[ImageSource],
        phrases: str | Sequence[str],
        *,
        best: int = 1,
    ) -> Any:
        """Where a phrase is in a picture: a `Box` in the picture's own pixels.

        With `best` above 1, a list of at most so many boxes that hardly overlap, likeliest first.
        Lists belong together item by item; what is single is used for all.

        Raises:
            CheckpointError: the model was not trained to ground phrases. DataError: a picture or a
            phrase cannot be used.
        """
        return self._asking.ground(images, phrases, best=best)

    def compare(
        self,
        first: ImageSource | Sequence[ImageSource],
        second: ImageSource | Sequence[ImageSource],
        statements: str | Sequence[str],
    ) -> Any:
        """The probability that a statement is true of two pictures: a float, or an array.

        Lists belong together item by item; what is single is used for all.

        Raises:
            CheckpointError: the model was not trained to compare. DataError: a picture or a
            statement cannot be used.
        """
        return self._asking.compare(first, second, statements)

    def entail(
        self,
        images: ImageSource | Sequence[ImageSource],
        hypotheses: str | Sequence[str],
        *,
        premise: str | Sequence[str] = "",
    ) -> Any:
        """Probabilities of contradiction, neutral and entailment, by these names.

        `premise` says in words what the picture shows, where that is known. Lists belong together
        item by item; what is single is used for all.

        Raises:
            CheckpointError: the model was not trained for it. DataError: a picture or a text
            cannot be used.
        """
        return self._asking.entail(images, hypotheses, premise=premise)

    def match(self, images: ImageSource | Sequence[ImageSource], texts: str | Sequence[str]) -> Any:
        """The probability that picture and text belong together.

        A float for one picture and one text; else an array: [texts], [pictures], or for two lists
        [pictures, texts].

        Raises:
            DataError: a picture cannot be used, or a text is too long.
        """
        sources, one_image = as_list(images)
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

    def _matched(self, images: Sequence[ImageSource], text: str) -> np.ndarray:
        matched: np.ndarray = self.match(images, text)
        return matched

    def _prompt(self, text: str) -> list[int]:
        return [self.tokenizer.cls_id, *self.tokenizer.encode(text)]
