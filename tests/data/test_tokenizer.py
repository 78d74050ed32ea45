import json
import os
import pickle
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mplug.data.tokenizer import BERT_BOXES, BERT_START, FILE_NAME, Tokenizer
from mplug.errors import DataError

CAPTIONS = [
    "An avocado left of a red trophy",
    "a red ball, and a trophy",
    "el niño y el año",
    "кошка на столе",
    "一只猫在桌子上",
    "किताब मेज पर है",
    "바나나와 사과",
] * 3
TOKENIZER = Tokenizer.train(CAPTIONS, vocab_size=2000)
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_vocab(folder: Path, tokens: list[str], *, end: str = "\n") -> Path:
    file = folder / "vocab.txt"
    file.write_bytes((end.join(tokens) + end).encode())
    return file


@pytest.mark.parametrize("caption", CAPTIONS)
def test_captions_of_any_language_come_back_lower_cased_with_their_accents(caption: str) -> None:
    words = TOKENIZER.decode(TOKENIZER.encode(caption))
    assert words.replace(" ,", ",") == caption.lower()


def test_the_same_captions_give_the_same_vocabulary() -> None:
    assert Tokenizer.train(reversed(CAPTIONS), vocab_size=2000) == TOKENIZER
    assert Tokenizer.train(CAPTIONS[:-1], vocab_size=400 + 150) != TOKENIZER


def test_words_never_seen_are_spelled_with_pieces() -> None:
    ids = TOKENIZER.encode("zebra столак jaguar2000!")
    assert TOKENIZER.unk_id not in ids
    assert TOKENIZER.decode(ids) == "zebra столак jaguar2000!"


@given(st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " "))
def test_no_ascii_text_is_unknown(text: str) -> None:
    assert TOKENIZER.unknown_share([text]) == 0 or any(len(word) > 100 for word in text.split())


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_at_all_is_encoded_and_never_as_a_special_token(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert not TOKENIZER.special_ids.intersection(ids) - {TOKENIZER.unk_id}
    assert isinstance(TOKENIZER.decode(ids), str)


@pytest.mark.parametrize("name", [*SPECIALS, "[BOX]", "[BOX12]", "[unused340]"])
def test_a_text_that_spells_a_special_token_is_only_text(name: str) -> None:
    ids = TOKENIZER.encode(f"a {name} b")
    assert not TOKENIZER.special_ids.intersection(ids)


def test_the_share_of_unknown_words_counts_words() -> None:
    assert TOKENIZER.unknown_share(["a red ψ", "猫 ψψψ ball"]) == pytest.approx(2 / 6)
    assert TOKENIZER.unknown_share([]) == 0


def test_reserved_tokens_come_first_and_padding_is_zero() -> None:
    assert TOKENIZER.pad_id == 0
    own = (TOKENIZER.unk_id, TOKENIZER.cls_id, TOKENIZER.sep_id, TOKENIZER.mask_id)
    assert own == (1, 2, 3, 4)
    assert TOKENIZER.start_box_id == 5
    assert TOKENIZER.box_ids == range(6, 6 + 337)
    assert TOKENIZER.special_ids == frozenset(range(343))


def test_decoding_leaves_special_tokens_out() -> None:
    ids = TOKENIZER.encode("red ball")
    around = [TOKENIZER.cls_id, *ids, TOKENIZER.box_ids[7], TOKENIZER.sep_id, TOKENIZER.pad_id]
    assert TOKENIZER.decode(around) == "red ball"


def test_both_spellings_of_an_accent_are_one_word() -> None:
    assert TOKENIZER.encode("nin\u0303o") == TOKENIZER.encode("niño") != TOKENIZER.encode("nino")


def test_the_vocabulary_never_exceeds_its_limit() -> None:
    many = [f"word{number} {chr(0x4E00 + number)}" for number in range(2000)] * 2
    tokenizer = Tokenizer.train(many, vocab_size=700)
    assert tokenizer.vocab_size <= 700
    assert tokenizer.unk_id not in tokenizer.encode("any word 12345")


def test_a_vocabulary_without_room_or_captions_is_refused() -> None:
    with pytest.raises(DataError, match="vocab_size 300 is too small"):
        Tokenizer.train(CAPTIONS, vocab_size=300)
    with pytest.raises(DataError, match="there are none"):
        Tokenizer.train(["", "  "], vocab_size=2000)


def test_a_saved_tokenizer_is_the_same_when_loaded(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "new")
    for path in (tmp_path / "new", tmp_path / "new" / FILE_NAME):
        loaded = Tokenizer.load(path)
        assert loaded == TOKENIZER
        assert loaded.encode("Niño 猫 zebra") == TOKENIZER.encode("Niño 猫 zebra")
    assert os.listdir(tmp_path / "new") == [FILE_NAME]


def test_saving_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TOKENIZER.save(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        Tokenizer.train(["other"], vocab_size=600).save(tmp_path)
    assert Tokenizer.load(tmp_path) == TOKENIZER
    assert os.listdir(tmp_path) == [FILE_NAME]


def test_a_tokenizer_travels_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(TOKENIZER)) == TOKENIZER


def bert_tokens() -> list[str]:
    """A small vocabulary laid out as bert-base-uncased's, with its unused tokens."""
    unused = [f"[unused{number}]" for number in range(994)]
    return ["[PAD]", *unused[:99], *SPECIALS[1:], *unused[99:], "a", "red", "##s", "nino", "[", "]"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bert_vocabulary_keeps_its_ids_and_its_rule(tmp_path: Path, end: str) -> None:
    tokens = bert_tokens()
    tokenizer = Tokenizer.load(write_vocab(tmp_path, tokens, end=end))
    assert tokenizer.vocab_size == len(tokens)
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id) == (0, 100, 101)
    assert (tokenizer.sep_id, tokenizer.mask_id) == (102, 103)
    assert tokenizer.start_box_id == tokens.index(BERT_START)
    assert tokenizer.box_ids[0] == tokens.index(BERT_BOXES[0])
    assert len(tokenizer.box_ids) == 337
    assert tokenizer.encode("A Reds niño") == [tokens.index(t) for t in ("a", "red", "##s", "nino")]


def test_a_bert_vocabulary_without_unused_tokens_gets_box_tokens_at_its_end(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_vocab(tmp_path, [*SPECIALS, "cat"]))
    assert tokenizer.vocab_size == 6 + 338
    assert tokenizer.start_box_id == 6
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path) == tokenizer


@pytest.mark.parametrize(
    ("pieces", "text", "expected"),
    [
        (["Cat", "cat"], "Cat", ["Cat"]),  # a cased vocabulary keeps capitals
        (["niño"], "Niño", ["niño"]),  # an accented one keeps accents
        (["nino"], "Niño", ["nino"]),
        (["nino", "Ω", *(f"w{number}" for number in range(1100))], "Niño", ["nino"]),  # a stray
    ],
)
def test_the_rule_of_a_vocabulary_is_read_from_its_pieces(
    tmp_path: Path, pieces: list[str], text: str, expected: list[str]
) -> None:
    tokens = [*SPECIALS, *pieces]
    tokenizer = Tokenizer.load(write_vocab(tmp_path, tokens))
    assert tokenizer.encode(text) == [tokens.index(piece) for piece in expected]


def test_the_json_of_another_bert_tokenizer_loads_without_its_decorations(tmp_path: Path) -> None:
    content = json.loads(TOKENIZER.to_json())
    content["normalizer"] = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    content["truncation"] = {
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
        "direction": "Right",
    }
    (tmp_path / FILE_NAME).write_text(json.dumps(content))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.strip_accents
    assert len(tokenizer.encode("a red ball and a trophy")) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\nfoo\n", r"lacks \[CLS\], \[SEP\], \[MASK\]"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nx\nx\n", "lines 6 and 7 hold the same 'x'"),
        (b"[PAD]\n\xff\n", "cannot be read"),
    ],
)
def test_a_broken_vocabulary_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert "vocab.txt" in str(error.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "[" * 100_000, '{"model": {"type": "BPE", "vocab": {}}}']
)
def test_a_broken_json_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_a_missing_tokenizer_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no tokenizer here: give a tokenizer\.json"):
        Tokenizer.load(tmp_path / "absent")


def test_a_caption_of_a_megabyte_is_encoded() -> None:
    assert len(TOKENIZER.encode("x" * 1_000_000)) == 1
