"""Words to ids and back: WordPiece, trained on captions or read from any BERT vocabulary.

A vocabulary trained here is lower-cased but keeps accents and vowel signs, because dropping them
merges words in most languages ("año" and "ano"). A BERT vocabulary keeps the rule it was made
with, which its own pieces tell: it is cased if pieces have capital letters, and keeps accents if
pieces have them. Nothing in a text can produce a special token: "[SEP]" is spelled out.
"""

import json
import os
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from mplug.data.wordpieces import learn_pieces
from mplug.errors import DataError

FILE_NAME = "tokenizer.json"
PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
NUM_BOX_TOKENS = 337  # bins of a coordinate; see tasks/grounding
OWN_START, OWN_BOXES = "[BOX]", [f"[BOX{number}]" for number in range(NUM_BOX_TOKENS)]
BERT_START = "[unused339]"
BERT_BOXES = [f"[unused{number}]" for number in range(340, 340 + NUM_BOX_TOKENS)]
RESERVED = [PAD, UNK, CLS, SEP, MASK, OWN_START, *OWN_BOXES]
SPECIAL = re.compile(r"\[(PAD|UNK|CLS|SEP|MASK|BOX\d*|unused\d+)\]")
STRAY_SHARE = 0.001  # of pieces that do not follow a vocabulary's rule, and do not decide it
MAX_WORD_LENGTH = 100  # characters; BERT's limit, longer ones become [UNK]
# Between two characters of scripts that are written without spaces, a joining space is an artefact.
SPACE_IN_CJK = re.compile(r"(?<=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]) (?=[\u3040-\u9fff])")


class Tokenizer:
    """A WordPiece vocabulary, with special tokens and the tokens that grounding needs."""

    def __init__(self, vocab: Mapping[str, int], *, lowercase: bool, strip_accents: bool) -> None:
        missing = [token for token in (PAD, UNK, CLS, SEP, MASK) if token not in vocab]
        if missing:
            raise DataError(f"the vocabulary lacks {', '.join(missing)}: is it a BERT vocabulary?")
        if sorted(vocab.values()) != list(range(len(vocab))):
            raise DataError("the vocabulary's ids are not 0, 1, 2, ...: each id needs one token")
        self._vocab = dict(_with_box_tokens(vocab))
        self.lowercase = lowercase
        self.strip_accents = strip_accents

    @cached_property
    def _words(self) -> tokenizers.Tokenizer:
        model = models.WordPiece(
            self._vocab, unk_token=UNK, max_input_chars_per_word=MAX_WORD_LENGTH
        )
        words = tokenizers.Tokenizer(model)
        words.normalizer = _normalizer(self.lowercase, self.strip_accents)
        words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        words.decoder = decoders.WordPiece()
        return words

    @classmethod
    def train(cls, captions: Iterable[str], *, vocab_size: int) -> Self:
        """Learn pieces from captions in any language: the same captions, the same vocabulary.

        `vocab_size` counts the reserved tokens and is an upper limit: few captions need fewer.

        Raises:
            DataError: `vocab_size` leaves no room for words, or there are no captions.
        """
        alphabet = string.digits + string.ascii_lowercase + string.punctuation
        least = len(RESERVED) + 2 * len(alphabet)
        if vocab_size < least:
            raise DataError(
                f"vocab_size {vocab_size} is too small: {len(RESERVED)} tokens are reserved and "
                f"letters need some too, so use {least} or more"
            )
        words = _count_words(captions)
        if not words:
            raise DataError("a tokenizer needs captions to learn from, and there are none")
        pieces = learn_pieces(
            words,
            alone={letter for letter in {*"".join(words), *alphabet} if _stands_alone(letter)},
            alphabet=alphabet,
            size=vocab_size - len(RESERVED),
        )
        vocab = {token: number for number, token in enumerate([*RESERVED, *pieces])}
        return cls(vocab, lowercase=True, strip_accents=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a tokenizer.json, a BERT vocab.txt, or a folder that holds one of them.

        Raises:
            DataError: there is no such file, or it holds no WordPiece vocabulary.
        """
        file = _find(Path(path))
        try:
            text = file.read_text(encoding="utf-8-sig")
            if file.suffix == ".json":
                vocab, lowercase, strip_accents = _read_json(text)
            else:
                vocab, lowercase, strip_accents = _read_vocab(text)
            return cls(vocab, lowercase=lowercase, strip_accents=strip_accents)
        except (OSError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{file}: cannot be read as a tokenizer: {error}") from error
        except DataError as error:
            raise DataError(f"{file}: {error}") from error

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json into `folder`: afterwards it is the old file or the new one, whole.

        Raises:
            DataError: the folder cannot be written.
        """
        folder = Path(folder)
        unfinished = folder / f".{FILE_NAME}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("w", encoding="utf-8") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(folder / FILE_NAME)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise DataError(f"{folder}: the tokenizer cannot be saved: {error}") from error

    def to_json(self) -> str:
        """The content of tokenizer.json, which the `tokenizers` library reads as well."""
        return self._words.to_str(pretty=True)

    def encode(self, text: str) -> list[int]:
        """The ids of a text's word pieces, without special tokens."""
        return list(self._words.encode(_valid(text)).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids: pieces joined to words, special tokens left out."""
        special = self.special_ids
        words = self._words.decode([number for number in ids if number not in special])
        return SPACE_IN_CJK.sub("", words)

    def unknown_share(self, texts: Iterable[str]) -> float:
        """The share of words that no pieces spell, and that become [UNK]; 0 without words."""
        words = unknown = 0
        for text in texts:
            encoding = self._words.encode(_valid(text))
            words += len({word for word in encoding.word_ids if word is not None})
            unknown += encoding.ids.count(self.unk_id)
        return unknown / words if words else 0.0

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self._vocab)

    @property
    def pad_id(self) -> int:
        """Fills up captions of a batch."""
        return self._vocab[PAD]

    @property
    def unk_id(self) -> int:
        """Stands for a word that no pieces spell."""
        return self._vocab[UNK]

    @property
    def cls_id(self) -> int:
        """Begins every text."""
        return self._vocab[CLS]

    @property
    def sep_id(self) -> int:
        """Ends every text."""
        return self._vocab[SEP]

    @property
    def mask_id(self) -> int:
        """Hides a word."""
        return self._vocab[MASK]

    @property
    def start_box_id(self) -> int:
        """Begins a box."""
        return self._vocab[BERT_START if BERT_START in self._vocab else OWN_START]

    @property
    def box_ids(self) -> range:
        """The coordinate tokens, smallest bin first."""
        first = self._vocab[(BERT_BOXES if BERT_START in self._vocab else OWN_BOXES)[0]]
        return range(first, first + NUM_BOX_TOKENS)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Every id that is not a piece of a word, unused ones included."""
        return frozenset(
            number for token, number in self._vocab.items() if SPECIAL.fullmatch(token)
        )

    def __eq__(self, other: object) -> bool:
        """The same pieces with the same ids and the same rules."""
        return isinstance(other, Tokenizer) and self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        """Equal tokenizers hash alike."""
        return hash(frozenset(self._vocab.items()))

    def __getstate__(self) -> dict[str, object]:
        """What decides the ids; the rest is built from it on demand."""
        return {
            "_vocab": self._vocab,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
        }


def _normalizer(lowercase: bool, strip_accents: bool) -> normalizers.Normalizer:
    bert = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    # An accent is one character or two; composed, both spellings are the same word.
    return bert if strip_accents else normalizers.Sequence([normalizers.NFC(), bert])


def _valid(text: str) -> str:
    """Lone surrogates, which are no text, become a character that normalisation drops."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count_words(captions: Iterable[str]) -> Counter[str]:
    normalizer, splitter = _normalizer(True, False), pre_tokenizers.BertPreTokenizer()
    # Nothing is normalised across a space, so that a frequent word is worked on once.
    written = Counter(word for caption in captions for word in caption.split())
    words: Counter[str] = Counter()
    for word, count in written.items():
        for part, _ in splitter.pre_tokenize_str(normalizer.normalize_str(_valid(word))):
            if len(part) <= MAX_WORD_LENGTH:
                words[part] += count
    return words


def _stands_alone(letter: str) -> bool:
    """Whether words are split around this character, as around punctuation and ideographs."""
    text = _normalizer(True, False).normalize_str(f"a{letter}a")
    return len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)) > 1


def _with_box_tokens(vocab: Mapping[str, int]) -> Mapping[str, int]:
    """The vocabulary itself where it has the start and coordinate tokens, else with ours added."""
    for start, boxes in ((BERT_START, BERT_BOXES), (OWN_START, OWN_BOXES)):
        if start in vocab and all(box in vocab for box in boxes):
            first = vocab[boxes[0]]
            if [vocab[box] for box in boxes] != list(range(first, first + NUM_BOX_TOKENS)):
                raise DataError(f"the ids of {boxes[0]} to {boxes[-1]} do not follow one another")
            return vocab
    added = enumerate([OWN_START, *OWN_BOXES], start=len(vocab))
    return {**vocab, **{token: number for number, token in added}}


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    for name in (FILE_NAME, "vocab.txt"):
        if (path / name).is_file():
            return path / name
    raise DataError(
        f"{path}: no tokenizer here: give a tokenizer.json, a BERT vocab.txt, or their folder"
    )


def _read_json(text: str) -> tuple[dict[str, int], bool, bool]:
    try:
        content = json.loads(text)
        kind, vocab = content["model"]["type"], content["model"]["vocab"]
        steps = content["normalizer"].get("normalizers", [content["normalizer"]])
        bert = next(step for step in steps if step["type"] == "BertNormalizer")
        lowercase, strip_accents = bert["lowercase"], bert["strip_accents"]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(f"not the tokenizer.json of a BERT-style tokenizer: {error!r}") from error
    if kind != "WordPiece":
        raise DataError(f"holds a {kind} tokenizer; only WordPiece (BERT's) can be used")
    # Where a BERT tokenizer does not say, accents go when letters are lower-cased.
    return vocab, lowercase, lowercase if strip_accents is None else strip_accents


def _read_vocab(text: str) -> tuple[dict[str, int], bool, bool]:
    # Not splitlines: some vocabularies hold exotic line separators as tokens.
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
    vocab: dict[str, int] = {}
    for number, token in enumerate(lines):
        if token in vocab:
            raise DataError(f"lines {vocab[token] + 1} and {number + 1} hold the same {token!r}")
        vocab[token] = number
    pieces = [token for token in vocab if not SPECIAL.fullmatch(token)]
    few = STRAY_SHARE * len(pieces)
    cased = sum(piece != piece.lower() for piece in pieces) > few
    accented = sum(_has_accent(piece) for piece in pieces) > few
    return vocab, not cased, not (cased or accented)


def _has_accent(piece: str) -> bool:
    return any(unicodedata.category(mark) == "Mn" for mark in unicodedata.normalize("NFD", piece))
