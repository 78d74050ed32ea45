"""CLIP's words to ids and back: byte pairs, read from any vocabulary in OpenAI's format.

Such a file (bpe_simple_vocab_16e6.txt.gz, or the merges.txt of `transformers`) lists which two
symbols become one, most frequent first; the ids follow from that. Texts are composed (NFC),
HTML entities resolved, letters lower-cased and white space collapsed. Every byte has an id, so no
text is unknown, and none can produce a special token: "<|endoftext|>" is spelled out.
"""

import gzip
import html
import json
import zlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from mplug.data.text import MAX_WORDS, clean_caption
from mplug.data.tokenizer import FILE_NAME, Tokenizer
from mplug.data.whole_file import whole_file
from mplug.errors import DataError

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
# The published file has more lines than the models that go with it have use for.
MOST_MERGES = 49152 - 256 - 2
MAX_BYTES = 32 * 1024 * 1024  # of a vocabulary file, decompressed
HEADER = "#version"
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
NAMES = (FILE_NAME, "bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt", "merges.txt")

Merge = tuple[str, str]


class BytePairTokenizer:
    """A byte-pair vocabulary with a start and an end token, the last two ids."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        self._merges = tuple(merges)
        self._vocab = _vocabulary(self._merges)

    @cached_property
    def _words(self) -> tokenizers.Tokenizer:
        model = models.BPE(self._vocab, list(self._merges), end_of_word_suffix=WORD_END)
        words = tokenizers.Tokenizer(model)
        words.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        words.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(tokenizers.Regex(WORD), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        words.decoder = decoders.ByteLevel()
        return words

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a vocabulary file (.txt or .txt.gz), a tokenizer.json, or a folder of one of them.

        Raises:
            DataError: there is no such file, or it holds no byte-pair vocabulary of this kind.
        """
        file = _find(Path(path))
        try:
            text = _read(file)
            return cls(_merges_of_json(text) if file.suffix == ".json" else _merges_of_text(text))
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{file}: cannot be read as a vocabulary: {error}") from error
        except DataError as error:
            raise DataError(f"{file}: {error}") from error

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json into `folder`: afterwards it is the old file or the new one, whole.

        Raises:
            DataError: the folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: the tokenizer cannot be saved: {error}") from error
        with whole_file(folder / FILE_NAME) as file:
            file.write(self.to_json())

    def to_json(self) -> str:
        """The content of tokenizer.json, which the `tokenizers` library reads as well."""
        return self._words.to_str(pretty=True)

    def encode(self, text: str) -> list[int]:
        """The ids of a text's pieces, without start and end."""
        valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        # Twice, as the original: texts from the web often had their entities escaped again.
        return list(self._words.encode(html.unescape(html.unescape(valid))).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids: every word and mark after a space, start and end left out."""
        special = self.special_ids
        pieces = (self._pieces[number] for number in ids if number not in special)
        # A space is a byte like any other: it stands where a word ends.
        spaced = "".join(pieces).replace(WORD_END, _byte_symbols()[ord(" ")])
        known = {symbol: byte for byte, symbol in enumerate(_byte_symbols())}
        return bytes(known[symbol] for symbol in spaced).decode("utf-8", "replace").strip()

    def unknown_share(self, texts: Iterable[str]) -> float:
        """0: bytes spell every word."""
        return 0.0

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self._vocab)

    @property
    def pad_id(self) -> int:
        """Fills up the texts of a batch; it is also the id of "!", so that a mask must tell."""
        return 0

    @property
    def cls_id(self) -> int:
        """Begins every text."""
        return self._vocab[START]

    @property
    def sep_id(self) -> int:
        """Ends every text; the highest id."""
        return self._vocab[END]

    @property
    def special_ids(self) -> frozenset[int]:
        """Start and end."""
        return frozenset((self.cls_id, self.sep_id))

    @cached_property
    def _pieces(self) -> list[str]:
        return list(self._vocab)

    def __eq__(self, other: object) -> bool:
        """The same merges, and so the same ids."""
        return isinstance(other, BytePairTokenizer) and self._merges == other._merges

    def __hash__(self) -> int:
        """Equal tokenizers hash alike."""
        return hash(self._merges)

    def __getstate__(self) -> dict[str, object]:
        """What decides the ids; the rest is built from it on demand."""
        return {"_merges": self._merges, "_vocab": self._vocab}


def load_tokenizer(path: str | Path) -> Tokenizer | BytePairTokenizer:
    """Whichever tokenizer a file, or a saved model's or run's folder, holds.

    Raises:
        DataError: there is no such file, or it holds neither kind.
    """
    path = Path(path)
    file = next((path / name for name in NAMES if (path / name).is_file()), path)
    if file.is_file() and (_is_byte_pair if file.suffix == ".json" else _has_header)(file):
        return BytePairTokenizer.load(file)
    return Tokenizer.load(path)


def prepared(
    caption: str, tokenizer: Tokenizer | BytePairTokenizer, *, max_words: int = MAX_WORDS
) -> str:
    """A caption as this tokenizer is to read it.

    Word pieces read its first words, without punctuation; byte pairs read it as it is written, as
    those who trained CLIP had it.
    """
    if isinstance(tokenizer, Tokenizer):
        return clean_caption(caption, max_words=max_words)
    return caption


def _byte_symbols() -> list[str]:
    """A visible character for every byte: itself where it has one, else one from U+0100 on."""
    visible = _visible_bytes()
    hidden = {byte: 256 + place for place, byte in enumerate(_hidden_bytes())}
    return [chr(byte) if byte in visible else chr(hidden[byte]) for byte in range(256)]


def _visible_bytes() -> list[int]:
    return [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]


def _hidden_bytes() -> list[int]:
    visible = set(_visible_bytes())
    return [byte for byte in range(256) if byte not in visible]


def _vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    """Symbol -> id: bytes (the visible ones first), bytes that end a word, merges, start, end.

    Raises:
        DataError: a merge joins symbols that do not exist, or makes one that exists already.
    """
    symbols = _byte_symbols()
    letters = [symbols[byte] for byte in chain(_visible_bytes(), _hidden_bytes())]
    vocab = {token: place for place, token in enumerate(letters)}
    for token in [letter + WORD_END for letter in letters]:
        vocab[token] = len(vocab)
    for number, (first, second) in enumerate(merges, start=1):
        if first not in vocab or second not in vocab:
            raise DataError(f"merge {number} joins {first!r} and {second!r}, which do not exist")
        if first + second in vocab:
            raise DataError(f"merge {number} makes {first + second!r}, which exists already")
        vocab[first + second] = len(vocab)
    for token in (START, END):
        vocab[token] = len(vocab)
    return vocab


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    raise DataError(
        f"{path}: no byte-pair vocabulary here: give a bpe_simple_vocab_16e6.txt.gz, a merges.txt, "
        "a tokenizer.json, or their folder"
    )


def _beginning(file: Path, *, size: int) -> bytes:
    """The first bytes of a file, decompressed."""
    if file.suffix == ".gz":
        with gzip.open(file) as stream:
            return stream.read(size)
    with file.open("rb") as plain:
        return plain.read(size)


def _read(file: Path) -> str:
    content = _beginning(file, size=MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DataError(f"holds more than {MAX_BYTES:,} bytes, which no vocabulary needs")
    return content.decode("utf-8")


def _merges_of_text(text: str) -> list[Merge]:
    # Not splitlines: exotic line separators may be symbols.
    header, *lines = text.removesuffix("\n").split("\n")
    if HEADER not in header:
        raise DataError(f"its first line is no {HEADER!r}: is it a vocabulary in OpenAI's format?")
    return _pairs(line.rstrip("\r").split(" ") for line in lines[:MOST_MERGES])


def _merges_of_json(text: str) -> list[Merge]:
    try:
        model = json.loads(text)["model"]
        kind, ends, vocab, listed = (
            model[name] for name in ("type", "end_of_word_suffix", "vocab", "merges")
        )
        merges = _pairs(each.split(" ") if isinstance(each, str) else each for each in listed)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not the tokenizer.json of a byte-pair tokenizer: {error!r}") from error
    if (kind, ends) != ("BPE", WORD_END) or vocab != _vocabulary(merges):
        raise DataError("not CLIP's kind of byte pairs: its ids do not follow from its merges")
    return merges


def _pairs(lines: Iterable[Sequence[str]]) -> list[Merge]:
    merges = []
    for number, parts in enumerate(lines, start=1):
        if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
            raise DataError(f"merge {number} is {parts!r}, not two symbols")
        merges.append((parts[0], parts[1]))
    return merges


def _is_byte_pair(file: Path) -> bool:
    try:
        return str(json.loads(_read(file))["model"]["type"]) == "BPE"
    except (OSError, ValueError, KeyError, TypeError, RecursionError, DataError):
        return False  # the other kind says what is wrong


def _has_header(file: Path) -> bool:
    try:
        return HEADER.encode() in _beginning(file, size=200).split(b"\n")[0]
    except (OSError, EOFError, zlib.error):
        return file.suffix == ".gz"  # a damaged one, which its own reader names
