"""One small batch of pictures or texts through the network, from and to plain numpy and text."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mplug.data.text import clean_caption
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError
from mplug.inference.generate import Search, generate
from mplug.inference.grounding import find_boxes
from mplug.inference.pairs import match_pairs
from mplug.inference.rank import Ranking, rank_answers
from mplug.inference.texts import encode_texts
from mplug.interfaces.pictures import Picture
from mplug.models.mplug import MPlug
from mplug.objectives.boxes import from_bins, to_corners
from mplug.weights.folder import in_float32

BATCH = 32  # pictures, texts or pairs that go through the network at once
IMAGE_PARTS = ("vision.", "visual_projection.", "image_projection.")  # make a picture's vector
ANSWERS_KEPT = 128  # of a long list, those whose first words are likeliest are scored to the end
APART = 0.05  # boxes whose coordinates are all nearer than this, in shares of the sides, are one

Item = TypeVar("Item")


class _Pairs(NamedTuple):
    """Texts and the pictures they are about, each encoded once."""

    text: Tensor  # [pairs, words, dim]
    image: Tensor  # [pictures, tokens, dim]
    text_mask: Tensor
    image_mask: Tensor | None
    places: Tensor | None  # each text's picture; None: the one beside it


class Compute:
    """The network on its device; callers keep to `BATCH` pictures a call."""

    def __init__(self, network: MPlug, *, tokenizer: Tokenizer, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Unit rows [pictures, dim]; a clip's is the normalised mean of its frames'."""
        rows = self.network.image_embedding(self._encode_frames(pictures))
        means = [frames.mean(dim=0) for frames in torch.split(rows, _counts(pictures))]
        return _to_numpy(F.normalize(torch.stack(means), dim=1))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows [texts, dim], for any number of texts.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        parts = [self._encode_texts(self._ids(part))[0] for part in chunks(texts)]
        embedded = [_to_numpy(self.network.text_embedding(part)) for part in parts]
        return joined(embedded, width=self.network.config.embed_dim)

    @torch.inference_mode()
    def match(self, pictures: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """The probability of belonging together [pictures, texts], for any number of texts.

        Raises:
            DataError: a text is longer than the model's positions.
        """
        image, image_mask = self._encode_images(pictures)
        parts = [self._match(image, image_mask, part) for part in chunks(texts)]
        columns = [_to_numpy(part.T) for part in parts]
        return joined(columns, width=len(pictures)).T

    @torch.inference_mode()
    def write(
        self, pictures: Sequence[Picture], *, prompt: Sequence[int], search: Search
    ) -> list[str]:
        """A text for each picture, that begins with the words of `prompt` ([CLS] words)."""
        return self._write(*self._encode_images(pictures), prompt=prompt, search=search)

    @torch.inference_mode()
    def answer(
        self, pictures: Sequence[Picture], questions: Sequence[list[int]], *, search: Search
    ) -> list[str]:
        """An answer to each question ([CLS] words) about the picture beside it.

        Raises:
            DataError: a question is longer than the model's positions.
        """
        memory = self._memory(pictures, questions)
        return self._write(*memory, prompt=[self.tokenizer.cls_id], search=search)

    @torch.inference_mode()
    def rank(
        self,
        pictures: Sequence[Picture],
        questions: Sequence[list[int]],
        *,
        answers: Sequence[list[int]],
    ) -> Ranking:
        """The given answers ([CLS] words [SEP]) to each question, best first.

        Raises:
            DataError: a question or an answer is longer than the model's positions.
        """
        memory = self._memory(pictures, questions)
        ids, mask = self._padded(answers)
        return rank_answers(
            self.network.decoder, *memory, answers=ids, answers_mask=mask, keep=ANSWERS_KEPT
        )

    @torch.inference_mode()
    def ground(
        self, pictures: Sequence[Picture], phrases: Sequence[list[int]], *, beams: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of each phrase, best first: left, top, right, bottom in shares of the sides.

        They are [pictures, beams, 4]; the second array holds their log-probabilities [pictures,
        beams], -inf where there is no further box.

        Raises:
            DataError: a phrase is longer than the model's positions.
        """
        memory = self._memory(pictures, phrases)
        places = self.tokenizer.box_ids
        found = find_boxes(
            self.network.writer,
            *memory,
            start_id=self.tokenizer.start_box_id,
            box_ids=places,
            beams=beams,
            best=beams,
            apart=round(APART * len(places)),
        )
        boxes = to_corners(from_bins(found.bins, bins=len(places), dtype=torch.float32))
        return _to_numpy(boxes.clamp(0, 1)), _to_numpy(found.scores)

    @torch.inference_mode()
    def compare(
        self,
        first: Sequence[Picture],
        second: Sequence[Picture],
        statements: Sequence[list[int]],
    ) -> np.ndarray:
        """The probability that each statement is true of the two pictures beside it.

        Raises:
            DataError: a statement is longer than the model's positions.
        """
        pairs = self._pairs([*first, *second], statements)
        image = pairs.image if pairs.places is None else pairs.image[pairs.places]
        left, right = torch.split(image, len(statements))
        logits = self.network.compare(pairs.text, left, right, pairs.text_mask)
        return _to_numpy(logits.softmax(dim=1)[:, 1])

    @torch.inference_mode()
    def entail(self, pictures: Sequence[Picture], hypotheses: Sequence[list[int]]) -> np.ndarray:
        """Probabilities [pictures, 3] that each picture contradicts, leaves open, entails its text.

        Raises:
            DataError: a hypothesis is longer than the model's positions.
        """
        pairs = self._pairs(pictures, hypotheses)
        fused = self.network.fuse_text(
            pairs.text, pairs.image, pairs.text_mask, pairs.image_mask, places=pairs.places, first=1
        )
        return _to_numpy(self.network.entail(fused).softmax(dim=1))

    def fingerprint(self) -> str:
        """A hash of everything that makes a picture's vector."""
        config = self.network.config
        digest = hashlib.sha256((config.vision.model_dump_json() + config.image_pooling).encode())
        for name, tensor in in_float32(self.network.state_dict()).items():
            if name.startswith(IMAGE_PARTS):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def _encode_frames(self, pictures: Sequence[Picture]) -> Tensor:
        """States of every frame of every picture [frames, tokens, dim], `BATCH` at once."""
        frames = torch.from_numpy(np.concatenate([picture.pixels for picture in pictures]))
        parts = [
            self.network.encode_image(part.to(self.device)) for part in torch.split(frames, BATCH)
        ]
        return torch.cat(parts)

    def _encode_images(self, pictures: Sequence[Picture]) -> tuple[Tensor, Tensor | None]:
        """States [pictures, tokens, dim], a clip's frames one behind the other, and their mask.

        The mask is None where no picture has fewer frames than another.
        """
        frames = torch.split(self._encode_frames(pictures), _counts(pictures))
        states = [part.flatten(0, 1) for part in frames]
        lengths = torch.tensor([len(part) for part in states], device=self.device)
        padded = pad_sequence(states, batch_first=True)
        if (lengths == padded.shape[1]).all():
            return padded, None
        return padded, torch.arange(padded.shape[1], device=self.device) < lengths[:, None]

    def _encode_texts(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """States of `[CLS] words`, and the mask of what is no padding."""
        ids, mask = self._padded(rows)
        return encode_texts(self.network.encode_text, ids, mask, at_once=BATCH), mask

    def _pairs(self, pictures: Sequence[Picture], rows: Sequence[list[int]]) -> _Pairs:
        """Each text beside its picture; a picture that comes again is encoded once."""
        unique = {picture: place for place, picture in enumerate(dict.fromkeys(pictures))}
        image, image_mask = self._encode_images(list(unique))
        text, text_mask = self._encode_texts(rows)
        places = None
        if len(unique) < len(pictures):
            places = torch.tensor([unique[picture] for picture in pictures], device=self.device)
        return _Pairs(text, image, text_mask, image_mask, places)

    def _memory(
        self, pictures: Sequence[Picture], rows: Sequence[list[int]]
    ) -> tuple[Tensor, Tensor | None]:
        """What the decoder reads to answer each text about the picture beside it, and its mask."""
        pairs = self._pairs(pictures, rows)
        return self.network.joint_memory(
            pairs.text, pairs.image, pairs.text_mask, pairs.image_mask, places=pairs.places
        )

    def _write(
        self,
        memory: Tensor,
        memory_mask: Tensor | None,
        *,
        prompt: Sequence[int],
        search: Search,
    ) -> list[str]:
        written = generate(
            self.network.writer,
            memory,
            memory_mask,
            prompt=torch.tensor([list(prompt)] * len(memory), device=self.device),
            end_id=self.tokenizer.sep_id,
            search=search,
        )
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in written]

    def _match(self, image: Tensor, image_mask: Tensor | None, texts: Sequence[str]) -> Tensor:
        """Probabilities [pictures, texts]: every pair, `BATCH` of them at once."""
        states, mask = self._encode_texts(self._ids(texts))
        pairs = torch.cartesian_prod(torch.arange(len(image)), torch.arange(len(texts)))
        pictures, rows = pairs.to(self.device).unbind(dim=1)
        logits = match_pairs(
            self.network,
            states,
            image,
            mask,
            image_mask,
            text_rows=rows,
            image_rows=pictures,
            at_once=BATCH,
        )
        return logits.softmax(dim=-1)[:, 1].reshape(len(image), len(texts))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        words = self.tokenizer
        whole = [clean_caption(text, max_words=len(text)) for text in texts]
        return [[words.cls_id, *words.encode(text)] for text in whole]

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids [rows, longest], and the mask of what is no padding."""
        limit = self.network.config.text.max_positions
        for row in rows:
            if len(row) > limit:
                raise DataError(
                    f"the text {self.tokenizer.decode(row)[:60]!r}... has {len(row) - 1} word "
                    f"pieces, and this model reads at most {limit - 1}: shorten it"
                )
        lengths = torch.tensor([len(row) for row in rows])
        parts = [torch.tensor(row) for row in rows]
        ids = pad_sequence(parts, batch_first=True, padding_value=self.tokenizer.pad_id)
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        return ids.to(self.device), mask.to(self.device)


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """`BATCH` items at a time."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def joined(parts: list[np.ndarray], *, width: int) -> np.ndarray:
    """All rows of `parts`; no rows of this width if there are no parts."""
    return np.concatenate(parts) if parts else np.zeros((0, width), dtype=np.float32)


def _counts(pictures: Sequence[Picture]) -> list[int]:
    """How many frames each has."""
    return [len(picture.pixels) for picture in pictures]


def _to_numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
