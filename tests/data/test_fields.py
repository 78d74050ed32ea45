import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mplug.data.fields import FIELDS, Answer, NamedBox, Refused, unknown_field

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["text", "weight", "name", "box", "x"]), inner)
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(FIELDS)), JSON)
def test_any_value_is_accepted_or_refused_and_never_a_crash(field: str, value: Any) -> None:
    with suppress(Refused):
        FIELDS[field](value)


@pytest.mark.parametrize(
    ("field", "value", "parsed"),
    [
        ("image", "a b.jpg", "a b.jpg"),
        ("image", ["left.jpg", "right.jpg"], ("left.jpg", "right.jpg")),
        ("image_id", 17, "17"),
        ("caption", "a cat", ("a cat",)),
        ("caption", ["a cat", "ein Hund"], ("a cat", "ein Hund")),
        ("answers", [{"text": "two", "weight": 0.9}], (Answer("two", 0.9),)),
        ("answers", [{"text": "two"}], (Answer("two", 1.0),)),
        ("boxes", [[1, 2, 3.5, 4]], ((1.0, 2.0, 3.5, 4.0),)),
        (
            "objects",
            [{"name": "cat", "box": [0, 0, 1, 1]}],
            (NamedBox("cat", (0.0, 0.0, 1.0, 1.0)),),
        ),
        ("label", True, "True"),
        ("label", "entailment", "entailment"),
        ("text", ["STOP", "EXIT"], ("STOP", "EXIT")),
    ],
)
def test_valid_values(field: str, value: Any, parsed: Any) -> None:
    assert FIELDS[field](value) == parsed


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("image", 7, "must be text, not a number"),
        ("image", [], "is an empty list"),
        ("image", "a\0b.jpg", "NUL"),
        ("image", "https://x.org/a.jpg", "is a web address"),
        ("caption", "  \n", "is empty"),
        ("caption", ["a", ""], r"\[1\] is empty"),
        ("caption", {"raw": "a"}, "must be text or a list of texts, not an object"),
        ("caption", "half \ud800", "lone surrogate"),
        ("caption", "x" * 10_001, "10,001 characters; the limit is 10,000"),
        ("boxes", [1, 2, 3, 4], r"\[0\] must be \[x0, y0, x1, y1\]"),
        ("boxes", [[0, 0, math.nan, 1]], "finite number, not nan"),
        ("boxes", [[0, 0, 10**400, 1]], "finite number"),
        ("boxes", [[0, 0, True, 1]], "must be a number, not true or false"),
        ("boxes", [[0, 0, 0, 1]], "x0 < x1"),
        ("boxes", "all", "must be a list of boxes"),
        ("answers", ["two"], r"\[0\] must be an object with text, not text"),
        ("answers", [{"text": "two", "wieght": 1}], "did you mean 'weight'"),
        ("answers", [{"weight": 1}], "lacks text"),
        ("answers", [{"text": "two", "weight": -1}], "must not be negative"),
        ("objects", [{"name": "cat"}], "lacks box"),
    ],
)
def test_invalid_values_say_why(field: str, value: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        FIELDS[field](value)


def test_an_unknown_field_is_answered_with_the_nearest_or_with_all() -> None:
    known = tuple(FIELDS)
    assert unknown_field("captoin", known) == "unknown field 'captoin'; did you mean 'caption'?"
    assert "the fields are image, video" in unknown_field("zzz", known)
