"""A UNITER model as people use it: regions of pictures and texts in; answers, boxes, ranks out.

model = mplug.load("runs/uniter-scenes-tasks")
model.answer("photo.jpg", "what is left of the boat?")
"""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from mplug.config.schema_uniter import UniterSkill
from mplug.data.asking import phrase_ids, question_ids, statement_ids
from mplug.data.fields import Box as PixelBox
from mplug.data.items import ENTAILMENT, Item
from mplug.data.regions.batch import pad_regions
from mplug.data.text import clean_caption
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.asking import DEEDS, pixel_boxes
from mplug.interfaces.compute import chunks, joined
from mplug.interfaces.embedding import Ranked
from mplug.interfaces.filling import by_text, holed_ids, likeliest
from mplug.interfaces.lacking import Lacking
from mplug.interfaces.pictures import as_texts, paired
from mplug.interfaces.publishing import Published
from mplug.interfaces.region_reading import (
    CELLS,
    Named,
    PictureRegions,
    RegionImage,
    RegionImages,
    RegionReader,
    as_sources,
)
from mplug.tasks.uniter_asker import Known, UniterAsker
from mplug.tasks.uniter_objectives import seen
from mplug.weights.card import ModelCard
from mplug.weights.uniter_folder import LoadedUniter, UniterPretrained, save_uniter

VECTORS = "make vectors of pictures or texts alone"
LACKS = {
    "caption": "write",
    **dict.fromkeys(("embed_image", "embed_text", "search", "index", "classify"), VECTORS),
}
"""What other models do and this one does not, and the ability that it takes."""

TEACHERS: dict[UniterPretrained, str] = {
    "match": "tell pairs: pretrain it with objectives.mix.itm, or fine-tune it with the task "
    "'retrieve'",
    "words": "fill in words: pretrain it with objectives.mix.mlm",
}
Row = TypeVar("Row")
Texts = str | Sequence[str]


class UniterModel(Published, Lacking):
    """A loaded UNITER model with its words, its answers, and a way to look at pictures."""

    LACKS = LACKS
    ABOUT = "a UNITER model"
    INSTEAD = "it can match, rank, fill, answer, ground, compare and entail"

    def __init__(self, loaded: LoadedUniter, *, device: torch.device | None = None) -> None:
        place = device or torch.device("cpu")
        self.network, self.tokenizer, self.card = loaded.model, loaded.tokenizer, loaded.card
        self.config, self.answers = loaded.model.config, loaded.answers
        self._loaded = loaded
        self._asker = UniterAsker(Known(self.network, self.tokenizer, self.answers, place))
        self._reader = RegionReader(
            loaded.encoder, feature_size=self.config.regions.feature_size, device=place
        )

    def read(
        self,
        image: RegionImage,
        *,
        name: str | None = None,
        frames: int | None = None,
        boxes: Sequence[PixelBox] | None = None,
        cells: tuple[int, int] = CELLS,
        size: tuple[int, int] | None = None,
    ) -> PictureRegions:
        """A picture as regions, to use it many times.

        An `.npz` file gives the regions in it, and `size` says how wide and high its picture is in
        pixels. A picture is looked at in `boxes` (left, top, right, bottom in pixels), or else in
        the cells of a grid of rows and columns, and as a whole; what describes them is what
        described the regions that the model learned from. `name` is for error messages.

        Raises:
            DataError: it cannot be read, or is a clip. CheckpointError: nothing is known that
                describes pictures; see `describe_with`.
        """
        if frames is not None:
            what = name or (image if isinstance(image, str | Path) else "the picture")
            raise DataError(f"{what}: frames are of clips, and this model reads pictures")
        return self._reader.read(image, name=name, boxes=boxes, cells=cells, size=size)

    def describe_with(self, encoder: str) -> None:
        """Describe raw pictures with the image encoder of this model: a run, a folder, mplug-tiny.

        It must be the one whose regions the model learned from, or its features mean nothing.

        Raises:
            CheckpointError: there is no such model, or its features are of another width.
        """
        self._reader.use(encoder)

    def answer(
        self,
        images: RegionImages,
        questions: Texts,
        *,
        answers: Sequence[str] | None = None,
        text: Texts = "",
    ) -> Any:
        """The likeliest of the model's answers to a question; with `answers`, of these alone.

        Lists belong together item by item; what is single is used for all. `text` is further text
        that goes with a question. `model.answers` are all that it can say.

        Raises:
            CheckpointError: the model was not trained to answer. DataError: a picture or a text
            cannot be used, or one of `answers` is none of the model's.
        """
        self._require("answer")
        places = self._places(answers)
        rows, single = paired(
            {
                "pictures": as_sources(images),
                "questions": as_texts(questions),
                "further texts": as_texts(text),
            }
        )
        found: list[str] = []
        for pictures, part in self._batches(rows):
            asked = [question_ids(self.tokenizer, one, text=[more]) for one, more in part]
            logits = self._logits("answer", pictures, asked)
            best = logits[:, places].argmax(dim=1).tolist()
            found += [self.answers[places[place]] for place in best]
        return found[0] if single else found

    def ground(self, images: RegionImages, phrases: Texts, *, best: int = 1) -> Any:
        """Which of a picture's regions a phrase means: a `Box` in the picture's own pixels.

        Its score is the region's probability among all of the picture. With `best` above 1, a list
        of at most so many boxes that hardly overlap, likeliest first. Lists belong together item
        by item; what is single is used for all.

        Raises:
            CheckpointError: the model was not trained to ground phrases. DataError: a picture or a
            phrase cannot be used, or regions come without the size of their picture.
        """
        self._require("ground")
        if best < 1:
            raise ConfigError(f"ground: best = {best}: at least one box must be asked for")
        rows, single = paired({"pictures": as_sources(images), "phrases": as_texts(phrases)})
        found: list[Any] = []
        for pictures, part in self._batches(rows):
            sizes = [_size(picture) for picture in pictures]
            asked = [phrase_ids(self.tokenizer, phrase) for (phrase,) in part]
            chances = self._logits("ground", pictures, asked).log_softmax(dim=1).numpy()
            for picture, size, row in zip(pictures, sizes, chances, strict=True):
                order = np.argsort(-row[: len(picture.regions)], kind="stable")
                boxes = pixel_boxes(picture.regions.boxes[order], row[order], size=size, best=best)
                found.append(boxes[0] if best == 1 else boxes)
        return found[0] if single else found

    def compare(self, first: RegionImages, second: RegionImages, statements: Texts) -> Any:
        """The probability that a statement is true of two pictures: a float, or an array.

        Lists belong together item by item; what is single is used for all.

        Raises:
            CheckpointError: the model was not trained to compare. DataError: a picture or a
            statement cannot be used.
        """
        self._require("compare")
        rows, single = paired(
            {
                "first pictures": as_sources(first),
                "second pictures": as_sources(second),
                "statements": as_texts(statements),
            }
        )
        found: list[np.ndarray] = []
        for part in chunks(rows):
            ones, others, texts = zip(*part, strict=True)
            pictures = self._reader.read_all([*ones, *others])
            asked = [statement_ids(self.tokenizer, statement) for statement in texts]
            pairs = [(place, len(part) + place) for place in range(len(part))]
            logits = self._logits("compare", pictures, asked, about=pairs)
            found.append(logits.softmax(dim=1)[:, 1].numpy())
        chances = np.concatenate(found) if found else np.zeros(0, dtype=np.float32)
        return float(chances[0]) if single else chances

    def entail(self, images: RegionImages, hypotheses: Texts, *, premise: Texts = "") -> Any:
        """Probabilities of contradiction, neutral and entailment, by these names.

        `premise` says in words what the picture shows, where that is known. Lists belong together
        item by item; what is single is used for all.

        Raises:
            CheckpointError: the model was not trained for it. DataError: a picture or a text
            cannot be used.
        """
        self._require("entail")
        rows, single = paired(
            {
                "pictures": as_sources(images),
                "hypotheses": as_texts(hypotheses),
                "premises": as_texts(premise),
            }
        )
        found: list[dict[str, float]] = []
        for pictures, part in self._batches(rows):
            asked = [statement_ids(self.tokenizer, one, text=[more]) for one, more in part]
            for row in self._logits("entail", pictures, asked).softmax(dim=1).tolist():
                found.append(dict(zip(ENTAILMENT, row, strict=True)))
        return found[0] if single else found

    def match(self, images: RegionImages, texts: Texts) -> Any:
        """How well picture and text go together, from 0 to 1.

        Of a model that was fine-tuned with the task "retrieve" it is the score that it ranks by, to
        be compared among pictures or among texts; of others the probability of belonging together,
        as pretraining taught it. A float for one picture and one text; else an array: [texts],
        [pictures], or for two lists [pictures, texts].

        Raises:
            CheckpointError: no run taught the model to tell pairs. DataError: a picture cannot be
            used, or a text is too long.
        """
        scores = self._pair_scores()
        sources, one_image = as_sources(images)
        words, one_text = as_texts(texts)
        said = [clean_caption(each) for each in words]
        for each in said:
            self._require_short([0, *self.tokenizer.encode(each), 0])
        parts = [
            scores([each.regions for each in self._reader.read_all(part)], said)
            for part in chunks(sources if said else ())
        ]
        table: np.ndarray = joined(parts, width=len(said)).reshape(len(sources), len(said))
        row_or_table = table[0] if one_image else table
        result = row_or_table[..., 0] if one_text else row_or_table
        return float(result) if one_image and one_text else result

    def rank(self, image: RegionImage, texts: Sequence[str]) -> list[Ranked]:
        """The texts by how well they go with the picture, best first; see `match`.

        Raises:
            CheckpointError: no run taught the model to tell pairs. DataError: the picture cannot be
            used, or a text is too long.
        """
        matches = self.match(image, list(texts))
        order = np.argsort(-matches, kind="stable").tolist()
        return [Ranked(texts[place], float(matches[place]), None) for place in order]

    def fill(self, images: RegionImages, texts: Texts, *, best: int = 5) -> Any:
        """What stands at each `[MASK]` of a text about a picture: the `best` pieces of words.

        A list with a {piece: probability} for each mask, likeliest first; of lists, a list of
        these. Lists belong together item by item; what is single is used for all.

        Raises:
            CheckpointError: no run taught the model words. DataError: a picture or a text cannot be
            used, or a text has no mask.
        """
        self._require_taught("words")
        rows, single = paired({"pictures": as_sources(images), "texts": as_texts(texts)})
        found: list[list[dict[str, float]]] = []
        for pictures, part in self._batches(rows):
            asked = [holed_ids(self.tokenizer, text) for (text,) in part]
            found += self._fill(pictures, asked, best=best)
        return found[0] if single else found

    def save_pretrained(self, folder: str | Path, *, card: ModelCard | str | None = None) -> Path:
        """Write the model into `folder`; without `card` it keeps the one it came with.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        return save_uniter(folder, self._loaded, card=self.card if card is None else card)

    def _pair_scores(self) -> Callable[..., np.ndarray]:
        if "retrieve" in self.config.skills:
            return lambda pictures, texts: _sigmoid(self._asker.ranks(pictures, texts))
        self._require_taught("match")
        return self._asker.matches

    @torch.inference_mode()
    def _fill(
        self, pictures: Sequence[PictureRegions], texts: Sequence[list[int]], *, best: int
    ) -> list[list[dict[str, float]]]:
        regions = pad_regions([each.regions for each in pictures]).to(self._asker.device)
        ids, mask = self._asker.padded(texts)
        joint = self.network.encode(ids, mask, seen(regions))
        asked = ids == self.tokenizer.mask_id
        logits = self.network.masked_word_logits(joint.text[asked]).cpu()
        return by_text(asked.sum(dim=1).tolist(), likeliest(self.tokenizer, logits, best=best))

    def _logits(
        self,
        task: UniterSkill,
        pictures: Sequence[PictureRegions],
        texts: Sequence[list[int]],
        *,
        about: Sequence[tuple[int, ...]] | None = None,
    ) -> torch.Tensor:
        """What a head says [items, choices]; each text is about the picture of its place."""
        for ids in texts:
            self._require_short(ids)
        places = about or [(place,) for place in range(len(texts))]
        items = [Item(images, text) for images, text in zip(places, texts, strict=True)]
        shown = [picture.regions for picture in pictures]
        return self._asker.logits(task, shown, items).float().cpu()

    def _places(self, answers: Sequence[str] | None) -> list[int]:
        """Where these answers, or all, stand in the model's list."""
        if answers is None:
            return list(range(len(self.answers)))
        if not answers:
            raise DataError("answers: the list is empty")
        for answer in answers:
            if answer not in self.answers:
                near = get_close_matches(answer, self.answers, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "model.answers lists them"
                raise DataError(
                    f"answers: {answer!r} is none of the {len(self.answers)} that this model "
                    f"chooses among: {hint}"
                )
        return [self.answers.index(answer) for answer in answers]

    def _require(self, skill: UniterSkill) -> None:
        if skill not in self.config.skills:
            able = ", ".join(self.config.skills)
            raise CheckpointError(
                f"this model was not trained to {DEEDS[skill]}"  # type: ignore[index]
                f"{f' (its tasks were: {able})' if able else ' (it was pretrained only)'}: "
                f"fine-tune it with tasks.{skill}.weight=1, or name another model"
            )

    def _require_taught(self, head: UniterPretrained) -> None:
        if head in self._loaded.untrained:
            raise CheckpointError(f"no run taught this model to {TEACHERS[head]}")

    def _require_short(self, ids: Sequence[int]) -> None:
        limit = self.config.text.max_positions
        if len(ids) > limit:
            raise DataError(
                f"the text {self.tokenizer.decode(ids)[:60]!r}... has {len(ids)} tokens, and this "
                f"model reads at most {limit}: shorten it"
            )

    def _batches(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[list[PictureRegions], list[tuple[str, ...]]]]:
        """Pictures, each read when its turn comes, and the texts beside them."""
        for part in chunks(rows):
            named: list[Named] = [row[0] for row in part]
            yield self._reader.read_all(named), [row[1:] for row in part]


def _size(picture: PictureRegions) -> tuple[int, int]:
    if picture.size is None:
        raise DataError(
            f"{picture.name}: its regions do not say how large the picture is: "
            "model.read(FILE, size=(WIDTH, HEIGHT)) does"
        )
    return picture.size


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))
