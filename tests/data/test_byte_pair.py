import gzip
import json
import pickle
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from mplug.data.byte_pair import BytePairTokenizer, load_tokenizer
from mplug.data.tokenizer import Tokenizer
from mplug.errors import DataError

# a, b, c, t, e end in </w> where a word does; é is two bytes, Ã and ©.
MERGES = [
    ("a", "t</w>"),  # 512
    ("c", "at</w>"),  # 513
    ("Ã", "©</w>"),  # 514
    ("a", "b"),  # 515
    ("ab", "cat</w>"),  # 516
]
TOKENIZER = BytePairTokenizer(MERGES)
LETTER = {letter: ord(letter) - ord("!") for letter in "abct'1!<|>"}  # visible bytes come first
ENDING = {letter: number + 256 for letter, number in LETTER.items()}


def write(folder: Path, name: str, merges: list[tuple[str, str]] = MERGES) -> Path:
    text = "\n".join(['"bpe#version: 0.2', *(" ".join(merge) for merge in merges)]) + "\n"
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("cat", [513]),
        ("CAT", [513]),
        ("abcat", [516]),
        ("cata", [LETTER["c"], LETTER["a"], LETTER["t"], ENDING["a"]]),
        ("  cat\n\tat ", [513, 512]),
        ("é", [514]),
        ("e\u0301", [514]),
        ("11", [ENDING["1"], ENDING["1"]]),  # every digit is a word
        ("cat't!!", [513, LETTER["'"], ENDING["t"], LETTER["!"], ENDING["!"]]),
        ("&amp;lt;cat", [ENDING["<"], 513]),
        ("", []),
    ],
)
def test_ids_follow_from_the_merges(text: str, ids: list[int]) -> None:
    assert TOKENIZER.encode(text) == ids


def test_there_is_an_id_for_every_byte_twice_then_the_merges_then_start_and_end() -> None:
    assert TOKENIZER.vocab_size == 2 * 256 + len(MERGES) + 2
    assert (TOKENIZER.cls_id, TOKENIZER.sep_id, TOKENIZER.pad_id) == (517, 518, 0)


def test_words_come_back_with_a_space_after_each() -> None:
    text = "abcat cat, é 日本 😀"
    assert TOKENIZER.decode([517, *TOKENIZER.encode(text), 518]) == "abcat cat , é 日本 😀"


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_at_all_is_encoded_and_never_as_a_special_token(text: str) -> None:
    ids = TOKENIZER.encode(text + "<|endoftext|>")
    assert not TOKENIZER.special_ids.intersection(ids)
    assert isinstance(TOKENIZER.decode(ids), str)
    assert TOKENIZER.unknown_share([text]) == 0


@pytest.mark.parametrize("name", ["bpe_simple_vocab_16e6.txt", "other.txt.gz", "merges.txt"])
def test_plain_and_compressed_files_are_read(name: str, tmp_path: Path) -> None:
    file = write(tmp_path, name)
    assert BytePairTokenizer.load(file) == TOKENIZER
    assert load_tokenizer(file) == TOKENIZER


def test_lines_beyond_those_of_the_models_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mplug.data.byte_pair.MOST_MERGES", 3)
    assert BytePairTokenizer.load(write(tmp_path, "v.txt")).vocab_size == 512 + 3 + 2


def test_a_saved_tokenizer_comes_back_and_other_programs_read_it(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "new")
    assert BytePairTokenizer.load(tmp_path / "new") == load_tokenizer(tmp_path / "new") == TOKENIZER
    other = tokenizers.Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    assert other.encode("cat's abcat").ids == TOKENIZER.encode("cat's abcat")


def test_a_pickled_tokenizer_comes_back() -> None:
    copy = pickle.loads(pickle.dumps(TOKENIZER))
    assert copy == TOKENIZER
    assert hash(copy) == hash(TOKENIZER)
    assert copy.encode("cat") == [513]


def test_a_word_piece_vocabulary_is_still_read_as_one(tmp_path: Path) -> None:
    pieces = Tokenizer.train(["a cat"], vocab_size=500)
    pieces.save(tmp_path)
    assert load_tokenizer(tmp_path) == pieces
    (tmp_path / "vocab.txt").write_text("\n".join(pieces._vocab) + "\n", encoding="utf-8")
    assert isinstance(load_tokenizer(tmp_path / "vocab.txt"), Tokenizer)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([("a", "t</w>"), ("d", "og</w>")], "merge 2 joins 'd' and 'og</w>', which do not exist"),
        ([("a", "b"), ("a", "b")], "merge 2 makes 'ab', which exists already"),
        ([("a", "b c")], r"merge 1 is \['a', 'b', 'c'\], not two symbols"),
    ],
)
def test_merges_that_cannot_be_are_refused(
    merges: list[tuple[str, str]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"v.txt: {message}"):
        BytePairTokenizer.load(write(tmp_path, "v.txt", merges))


@pytest.mark.parametrize("content", [b"a b\nc d\n", b"\xff\xfe", b""])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"v\.txt: (its first line is no|cannot be read)"):
        BytePairTokenizer.load(tmp_path / "v.txt")


def test_an_archive_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mplug.data.byte_pair.MAX_BYTES", 20)
    with pytest.raises(DataError, match="holds more than 20 bytes"):
        BytePairTokenizer.load(write(tmp_path, "v.txt.gz"))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "v.txt.gz")
    file.write_bytes(file.read_bytes()[:-12])
    for read in (BytePairTokenizer.load, load_tokenizer):
        with pytest.raises(DataError, match="cannot be read as a vocabulary"):
            read(file)


def test_a_json_whose_ids_are_not_those_of_its_merges_is_refused(tmp_path: Path) -> None:
    content = json.loads(TOKENIZER.to_json())
    content["model"]["vocab"]["a"] = 9
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match="its ids do not follow from its merges"):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_vocabulary_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no byte-pair vocabulary here"):
        BytePairTokenizer.load(tmp_path)
