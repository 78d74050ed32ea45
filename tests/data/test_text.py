import pytest
from hypothesis import given
from hypothesis import strategies as st

from mplug.data.text import clean_caption, lower_caption, mirror_caption


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("A man's hat, (red)!", "a mans hat red"),
        ("black-and-white / <PERSON> here.", "black and white person here"),
        ('  "Say"  * # : ; ~ ? ', "say"),
        ("año  niño", "año niño"),
        ("", ""),
    ],
)
def test_clean_up(raw: str, clean: str) -> None:
    assert clean_caption(raw) == clean


def test_clean_up_keeps_the_first_words() -> None:
    words = [f"w{number}" for number in range(40)]
    assert clean_caption(" ".join(words)) == " ".join(words[:30])
    assert clean_caption(" ".join(words), max_words=3) == "w0 w1 w2"


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean_caption(text)
    assert clean_caption(once) == once


def test_lower_case_keeps_punctuation() -> None:
    assert lower_caption(" A cat,  asleep. ") == "a cat, asleep."


@pytest.mark.parametrize(
    ("caption", "mirrored"),
    [
        ("a cat left of a dog", "a cat right of a dog"),
        ("A dog on the Right, a cat on the left.", "A dog on the Left, a cat on the right."),
        ("LEFT OF the tree", "RIGHT OF the tree"),
        ("the leftmost cup", "the rightmost cup"),
        ("a left-hand glove", "a right-hand glove"),
        ("cup in the top left and spoon to the right of it", None),
        ("a bright copyrighted leftover", "a bright copyrighted leftover"),
        ("a cat", "a cat"),
        ("一只猫", "一只猫"),
    ],
)
def test_left_and_right_change_places(caption: str, mirrored: str | None) -> None:
    if mirrored is None:
        mirrored = "cup in the top right and spoon to the left of it"
    assert mirror_caption(caption) == mirrored


@pytest.mark.parametrize(
    "caption",
    [
        "what is left over",
        "he is right now asleep",
        "the man left the room",
        "all right",
        "turning right now, left of a dog",
        "turning clockwise",
        "a sign that reads stop",
        "the number 7 on a shirt",
        'a shop called "cat"',
        "ein Hund links von einer Katze",
        "un chat à gauche",
        "猫在狗的左边",
        "кошка слева от собаки",
        "facing north",
    ],
)
def test_no_mirroring_where_the_caption_may_become_false(caption: str) -> None:
    assert mirror_caption(caption) is None


WORDS = ["left", "right", "of", "the", "to", "on", "a", "cat", "side", "leftmost", "Right", "and"]


@given(st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_mirroring_twice_gives_the_caption_back(caption: str) -> None:
    mirrored = mirror_caption(caption)
    assert mirrored is None or mirror_caption(mirrored) == caption
