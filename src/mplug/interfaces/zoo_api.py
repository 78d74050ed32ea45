"""A model of docs/zoo.md as people use it: what it can do is what its run taught it.

model = mplug.load("runs/vilt-scenes")
model.verbs                                  # ('match', 'fill')
model.match("photo.jpg", "a red trophy")
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mplug.config.schema import GenerationConfig
from mplug.config.schema_zoo_run import JointObjective
from mplug.data.asking import question_ids
from mplug.data.fields import Box
from mplug.data.text import clean_caption
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.compute import BATCH, chunks, joined
from mplug.interfaces.embedding import Ranked
from mplug.interfaces.filling import by_text, holed_ids, likeliest
from mplug.interfaces.lacking import Lacking
from mplug.interfaces.pictures import as_texts, paired
from mplug.interfaces.publishing import Published
from mplug.interfaces.region_reading import CELLS, Named, RegionImage, RegionImages, as_sources
from mplug.interfaces.writing import writing
from mplug.interfaces.zoo_reading import Seen, TextReader, ZooReader
from mplug.interfaces.zoo_writing import writer_of
from mplug.models.zoo.decoding import view_rows
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.view import Text, View
from mplug.weights.card import ModelCard
from mplug.weights.zoo_folder import LoadedZoo, save_zoo

YES = 1
TEACHERS: Mapping[str, tuple[JointObjective, ...]] = {
    "match": ("itm", "itm_captions", "itm_tags"),
    "fill": ("mlm",),
    "caption": ("caption", "prefix_lm", "mlm_written"),
    "answer": ("answer",),
    "embed": ("itc",),
}
"""The objectives of which one at least teaches a verb."""

LACKS = {
    "ground": "point at what a phrase means",
    "compare": "look at two pictures together",
    "entail": "judge hypotheses",
    **dict.fromkeys(("search", "index", "classify"), "search a folder or tell classes by name"),
}
"""What other models do and these do not, and the ability that it takes."""

Texts = str | Sequence[str]


class ZooModel(Published, Lacking):
    """A loaded model of parts with its words, which says what it has learned."""

    LACKS = LACKS
    ABOUT = "a model of docs/zoo.md"
    INSTEAD = "its `verbs` are what it can do"

    def __init__(self, loaded: LoadedZoo, *, device: torch.device | None = None) -> None:
        place = device or torch.device("cpu")
        self.network = loaded.model.to(place).eval()
        self.tokenizer, self.knows, self.card = loaded.tokenizer, loaded.knows, loaded.card
        self.config, self.answers = loaded.model.config, loaded.knows.answer_list
        self._reader = ZooReader(self.config, encoder=self.knows.encoder, device=place)
        longest = self.config.text.max_positions
        self._texts = TextReader(self.tokenizer, longest=longest, device=place)

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the model was taught: match, fill, caption, answer, embed."""
        return verbs_of(self.knows.learned)

    def read(
        self,
        image: RegionImage,
        *,
        name: str | None = None,
        frames: int | None = None,
        boxes: Sequence[Box] | None = None,
        cells: tuple[int, int] = CELLS,
    ) -> Seen:
        """A picture as the model sees it, to use it many times.

        A model of regions takes `.npz` files too, and looks at pictures in `boxes` (left, top,
        right, bottom in pixels) or in a grid of `cells`, rows and columns, and as a whole.

        Raises:
            DataError: it cannot be read, or is a clip. CheckpointError: nothing is known that
                describes regions.
        """
        if frames is not None:
            raise DataError(f"{name or 'frames'}: this model looks at still pictures")
        return self._reader.read(image, name=name, boxes=boxes, cells=cells)

    def match(
        self, images: RegionImages, texts: Texts, *, caption: str = "", tags: str = ""
    ) -> Any:
        """The probability that picture and text belong together, as the model has learned to tell.

        A float for one picture and one text; else an array: [texts], [pictures], or for two lists
        [pictures, texts]. A model that learned to tell whether two captions are of one picture
        (VisualBERT) needs a `caption` that is right; one that learned whether the names of things
        belong to a picture with its caption (OSCAR) needs these names, `tags`, and judges them.

        Raises:
            CheckpointError: it has not learned that. DataError: a picture or a text cannot be used,
            or what the model needs beside it is not given.
        """
        self._require("match")
        before, behind = self._beside(caption, tags)
        sources, one_image = as_sources(images)
        words, one_text = as_texts(texts)
        asked = [before + self._ids(clean_caption(each)) for each in words]
        parts = [
            self._match(self._reader.view(part), asked, behind, pictures=len(part))
            for part in chunks(sources if asked else ())
        ]
        table: np.ndarray = joined(parts, width=len(asked)).reshape(len(sources), len(asked))
        row_or_table = table[0] if one_image else table
        result = row_or_table[..., 0] if one_text else row_or_table
        return float(result) if one_image and one_text else result

    def rank(
        self, image: RegionImage, texts: Sequence[str], *, caption: str = "", tags: str = ""
    ) -> list[Ranked]:
        """The texts by how likely they belong to the picture, best first; see `match`.

        Raises:
            CheckpointError, DataError: as `match` does.
        """
        matches = self.match(image, list(texts), caption=caption, tags=tags)
        order = np.argsort(-matches, kind="stable").tolist()
        return [Ranked(texts[place], float(matches[place]), None) for place in order]

    def fill(self, images: RegionImages, texts: Texts, *, tags: str = "", best: int = 5) -> Any:
        """What stands at each `[MASK]` of a text about a picture: the `best` pieces of words.

        A list with a {piece: probability} for each mask, likeliest first; of lists, a list of
        these. Lists belong together item by item; what is single is used for all. `tags` are names
        of what the picture shows, for a model that reads such.

        Raises:
            CheckpointError: it has not learned words. DataError: a picture or a text cannot be
            used, or a text has no mask.
        """
        self._require("fill")
        behind = self._tag_ids(tags)
        rows, single = paired({"pictures": as_sources(images), "texts": as_texts(texts)})
        found: list[list[dict[str, float]]] = []
        for view, part in self._batches(rows):
            asked = [holed_ids(self.tokenizer, text) for (text,) in part]
            found += self._fill(view, asked, behind, best=best)
        return found[0] if single else found

    def caption(
        self, images: RegionImages, *, prompt: str = "", seed: int | None = None, **options: float
    ) -> Any:
        """What is to be seen, a text for each picture; it begins with `prompt`, if any.

        `options` are beams (1 is greedy), min_tokens, max_tokens and length_exponent; with a
        `seed`, words are drawn, and temperature, top_k and top_p are options too.

        Raises:
            CheckpointError: it has not learned to write. DataError: a picture cannot be used.
            ConfigError: an option does not exist, or the text would be too long.
        """
        self._require("caption")
        sources, single = as_sources(images)
        chosen = writing(GenerationConfig(), options, seed=seed)
        words = self.tokenizer.encode(clean_caption(prompt))
        needed = len(words) + chosen.config.max_tokens + 2  # [CLS] twice, where there is a prefix
        if needed > self.config.text.max_positions:
            raise ConfigError(
                f"a prompt of {len(words)} word pieces and max_tokens = {chosen.config.max_tokens} "
                f"exceed the {self.config.text.max_positions} positions of this model"
            )
        write = writer_of(self.network, self.knows.learned, tokenizer=self.tokenizer)
        found: list[str] = []
        for part in chunks(sources):
            places = range(len(found), len(found) + len(part))
            with torch.inference_mode():
                written = write(self._reader.view(part), words, chosen.search(places))
            found += [self.tokenizer.decode(ids) for ids in written]
        return found[0] if single else found

    def answer(
        self, images: RegionImages, questions: Texts, *, answers: Sequence[str] | None = None
    ) -> Any:
        """The likeliest of the model's answers (`model.answers`) to a question; or of `answers`.

        Lists belong together item by item; what is single is used for all.

        Raises:
            CheckpointError: it has not learned to answer. DataError: a picture or a question cannot
            be used, or one of `answers` is none of the model's.
        """
        self._require("answer")
        unknown = set(answers or ()) - set(self.answers)
        if unknown:
            raise DataError(f"answers: {min(unknown)!r} is none of the model's: see model.answers")
        known = self.answers if answers is None else tuple(answers)
        places = [self.answers.index(each) for each in known]
        rows, single = paired({"pictures": as_sources(images), "questions": as_texts(questions)})
        found: list[str] = []
        for view, part in self._batches(rows):
            text = self._texts.padded([question_ids(self.tokenizer, one) for (one,) in part])
            with torch.inference_mode():
                logits = self._pair.answer(self._pair.encode(text, view))[:, places]
            found += [known[place] for place in logits.argmax(dim=1).tolist()]
        return found[0] if single else found

    @torch.inference_mode()
    def embed_image(self, images: RegionImages) -> np.ndarray:
        """Unit vectors, float32 [dim] for one picture, [pictures, dim] for a list.

        Raises:
            CheckpointError: it has no vectors. DataError: a picture cannot be used.
        """
        self._require("embed")
        sources, single = as_sources(images)
        pair = self._pair
        parts = [
            _numbers(pair.space.image_embedding(pair.read_image(self._reader.view(part)).image))
            for part in chunks(sources)
        ]
        rows = joined(parts, width=pair.config.embed_dim)
        return rows[0] if single else rows

    @torch.inference_mode()
    def embed_text(self, texts: Texts) -> np.ndarray:
        """Unit vectors, float32 [dim] for one text, [texts, dim] for a list.

        Raises:
            CheckpointError: it has no vectors. DataError: a text is too long.
        """
        self._require("embed")
        words, single = as_texts(texts)
        pair = self._pair
        parts = []
        for some in chunks(words):
            text = self._texts.padded([self._ids(clean_caption(each)) for each in some])
            parts.append(_numbers(pair.space.text_embedding(pair.read_text(text))))
        rows = joined(parts, width=pair.config.embed_dim)
        return rows[0] if single else rows

    def describe_with(self, encoder: str) -> None:
        """Describe the regions of raw pictures with the image encoder of this model.

        Raises:
            CheckpointError: there is no such model, its features are of another width, or this
            model looks at pixels.
        """
        if self._reader.regions is None:
            raise CheckpointError("this model looks at pixels: nothing describes regions for it")
        self._reader.regions.use(encoder)

    def save_pretrained(self, folder: str | Path, *, card: ModelCard | str | None = None) -> Path:
        """Write the model into `folder`; without `card` it keeps the one it came with.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        written = self.card if card is None else card
        model, words = self.network, self.tokenizer
        return save_zoo(folder, model, tokenizer=words, card=written, knows=self.knows)

    @property
    def _pair(self) -> PairModel:
        assert isinstance(self.network, PairModel)
        return self.network

    @torch.inference_mode()
    def _match(
        self, view: View, texts: Sequence[list[int]], tags: list[int] | None, *, pictures: int
    ) -> np.ndarray:
        """Probabilities [pictures, texts], `BATCH` pairs at once."""
        table = np.zeros((pictures, len(texts)), dtype=np.float32)
        for group in self._alike(texts):
            pairs = torch.cartesian_prod(torch.arange(pictures), torch.tensor(group))
            for pair in torch.split(pairs, BATCH):
                some = [texts[place] for place in pair[:, 1].tolist()]
                shown = view_rows(view, pair[:, 0].to(self._texts.device))
                text = self._texts.padded(some, more=len(tags or ()))
                joint = self._pair.encode(text, shown, tags=self._behind(some, tags))
                chances = self._pair.match(joint).softmax(dim=1)[:, YES]
                table[tuple(pair.T.numpy())] = _numbers(chances)
        return table

    @torch.inference_mode()
    def _fill(
        self, view: View, texts: Sequence[list[int]], tags: list[int] | None, *, best: int
    ) -> list[list[dict[str, float]]]:
        found: dict[int, list[dict[str, float]]] = {}
        for group in self._alike(texts):
            some = [texts[place] for place in group]
            shown = view_rows(view, torch.tensor(group, device=self._texts.device))
            text = self._texts.padded(some, more=len(tags or ()))
            joint = self._pair.encode(text, shown, tags=self._behind(some, tags))
            asked = text.ids == self.tokenizer.mask_id
            states = joint.text[:, : asked.shape[1]][asked]
            words = likeliest(self.tokenizer, self._pair.word_logits(states).cpu(), best=best)
            found |= zip(group, by_text(asked.sum(dim=1).tolist(), words), strict=True)
        return [found[place] for place in range(len(texts))]

    def _alike(self, texts: Sequence[list[int]]) -> list[list[int]]:
        """Places of texts that may be read together: tags stand right behind, so of one length."""
        if self._pair.config.words != "tagged":
            return [list(range(len(texts)))]
        places: dict[int, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(len(text), []).append(place)
        return list(places.values())

    def _behind(self, texts: Sequence[list[int]], tags: list[int] | None) -> Text | None:
        return None if tags is None else self._texts.padded([tags] * len(texts))

    def _beside(self, caption: str, tags: str) -> tuple[list[int], list[int] | None]:
        """What stands before each text, and what stands behind it."""
        learned = self.knows.learned
        needs_caption = "itm" not in learned and "itm_captions" in learned
        needs_tags = "itm" not in learned and "itm_tags" in learned
        if needs_caption and not caption:
            raise DataError(
                "match: this model tells whether two captions are of one picture: give one that "
                "is right as caption="
            )
        if needs_tags and not tags:
            raise DataError(
                "match: this model tells whether names of things belong to a picture and its "
                "caption: give them as tags="
            )
        if caption and not needs_caption:
            raise DataError("match: this model judges a text alone: leave out caption=")
        before = self._ids(clean_caption(caption)) if caption else []
        return before, self._tag_ids(tags)

    def _tag_ids(self, tags: str) -> list[int] | None:
        """What stands behind every text of a model that reads tags."""
        if not (isinstance(self.network, PairModel) and self._pair.config.words == "tagged"):
            if tags:
                raise DataError("tags: this model reads none")
            return None
        return [*self.tokenizer.encode(clean_caption(tags)), self.tokenizer.sep_id]

    def _ids(self, text: str) -> list[int]:
        return [self.tokenizer.cls_id, *self.tokenizer.encode(text), self.tokenizer.sep_id]

    def _require(self, verb: str) -> None:
        if verb not in self.verbs:
            able = ", ".join(self.verbs) or "nothing that can be asked"
            raise CheckpointError(
                f"this model has not learned to {verb}; it has learned {able}. One of the "
                f"objectives {', '.join(TEACHERS[verb])} teaches it (docs/zoo.md)"
            )

    def _batches(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[View, list[tuple[str, ...]]]]:
        """Pictures, each read when its turn comes, and the texts beside them."""
        for part in chunks(rows):
            named: list[Named] = [row[0] for row in part]
            yield self._reader.view(named), [row[1:] for row in part]


def verbs_of(learned: Iterable[JointObjective]) -> tuple[str, ...]:
    """What these objectives teach."""
    known = set(learned)
    return tuple(verb for verb, teachers in TEACHERS.items() if known & set(teachers))


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
