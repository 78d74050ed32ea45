import numpy as np
import pytest

from mplug.data.scenes.phrases import (
    Wording,
    caption,
    captions,
    concept_names,
    relation_holds,
    reverse_relation,
    statement,
    with_article,
)
from mplug.data.scenes.scene import Box, Placed, Scene

BLANK = np.zeros((96, 96, 3), dtype=np.uint8)
PLACES = {"left": (10, 40), "right": (70, 44), "top": (40, 4), "corner": (72, 70)}


def scene(**names: str) -> Scene:
    """Objects of 16 x 16 pixels, by name and place: scene(cat="left")."""
    objects = []
    for name, place in names.items():
        x, y = PLACES[place]
        objects.append(Placed(name.replace("_", " "), "noto", Box(x, y, x + 16, y + 16), "red"))
    return Scene(BLANK, tuple(objects))


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("cat", "a cat"),
        ("octopus", "an octopus"),
        ("unicorn", "a unicorn"),
        ("umbrella", "an umbrella"),
        ("grapes", "some grapes"),
        ("french fries", "some french fries"),
        ("red glasses", "some red glasses"),
        ("orange cat", "an orange cat"),
    ],
)
def test_articles_fit_their_names(name: str, phrase: str) -> None:
    assert with_article(name) == phrase


def test_two_objects_are_told_from_either_side() -> None:
    texts = captions(scene(cat="left", umbrella="right"))
    assert texts[:2] == ("a cat left of an umbrella", "an umbrella right of a cat")
    assert "there is a cat left of an umbrella" in texts
    assert len(texts) == 6


def test_above_wins_where_the_vertical_distance_is_larger() -> None:
    tall = Scene(
        BLANK,
        (
            Placed("cat", "noto", Box(30, 0, 46, 16)),
            Placed("taxi", "noto", Box(50, 60, 66, 76)),
        ),
    )
    assert captions(tall)[0] == "a cat above a taxi"


def test_a_diagonal_is_listed_and_not_called_left_or_above() -> None:
    diagonal = Scene(
        BLANK,
        (
            Placed("cat", "noto", Box(0, 0, 16, 16)),
            Placed("taxi", "noto", Box(60, 58, 76, 74)),
        ),
    )
    assert captions(diagonal)[0] == "a cat and a taxi"
    assert list(diagonal.relations()) == []


def test_three_objects_share_one_true_relation() -> None:
    texts = captions(scene(cat="left", taxi="right", pear="corner"))
    assert texts[0] == "a cat left of a taxi and a pear"
    assert all(
        relation_holds(text, scene(cat="left", taxi="right", pear="corner")) in (True, None)
        for text in texts
    )


@pytest.mark.parametrize("names", [("left",), ("left", "right"), ("left", "right", "top")])
def test_what_a_caption_states_is_true_and_its_reverse_is_not(names: tuple[str, ...]) -> None:
    shown = scene(**dict(zip(("cat", "hot_dog", "pear"), names, strict=False)))
    for seed in range(30):
        text = caption(shown, random=np.random.default_rng(seed))
        assert set(concept_names(text, ["cat", "hot dog", "dog", "pear"])) == set(shown.names)
        reverse = reverse_relation(text)
        if reverse is None:
            assert relation_holds(text, shown) is None
        else:
            assert relation_holds(text, shown) is True
            assert relation_holds(reverse, shown) is False


def test_colour_words_and_beside_come_only_when_asked_for() -> None:
    shown = scene(cat="left", taxi="right")
    random = np.random.default_rng(0)
    plain = {caption(shown, random=random) for _ in range(40)}
    assert not any("red" in text or "beside" in text for text in plain)
    wording = Wording(colour_share=1.0, beside_share=1.0, list_share=0.0)
    text = caption(shown, random=random, wording=wording)
    assert "red cat" in text
    assert "red taxi" in text
    assert relation_holds(text, shown) is True
    assert "beside" in text
    assert reverse_relation(text) is None


def test_a_name_that_holds_a_colour_gets_no_second_one() -> None:
    shown = scene(red_apple="left")
    text = caption(shown, random=np.random.default_rng(0), wording=Wording(colour_share=1.0))
    assert text.count("red") == 1


def test_the_longest_name_wins() -> None:
    assert concept_names("a hot dog above a dog", ["dog", "hot dog"]) == ["hot dog", "dog"]
    assert concept_names("hotdogs and catdog", ["dog", "hot dog"]) == []


def test_a_statement_names_its_subject_and_all_others() -> None:
    text = "there is a cat left of a taxi and a pear"
    assert statement(text, ["cat", "taxi", "pear"]) == ("cat", "left of", ("taxi", "pear"))
    assert statement("a cat and a taxi", ["cat", "taxi"]) is None


def test_a_relation_with_something_that_is_not_there_is_neither_true_nor_false() -> None:
    assert relation_holds("a cat left of a bell", scene(cat="left", taxi="right")) is None
