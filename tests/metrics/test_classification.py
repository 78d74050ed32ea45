"""Classes: tables a person can count."""

import pytest

from mplug.metrics.classification import accuracy, confusion, consistency, statement_of

# Two statements of set 7, one with three pairs; the same sentence number in set 8 is another.
IDENTIFIERS = ["dev-7-0-0", "dev-7-1-0", "dev-7-2-0", "dev-7-0-1", "dev-7-1-1", "dev-8-0-0"]
TRUE = ["True", "False", "True", "True", "False", "True"]
PREDICTED = ["True", "False", "False", "True", "False", "False"]


def test_accuracy_by_hand() -> None:
    found = accuracy(PREDICTED, TRUE)
    assert found.per_item.tolist() == [1, 1, 0, 1, 1, 0]
    assert found.value == pytest.approx(4 / 6)


def test_a_statement_counts_only_if_all_its_pairs_are_right() -> None:
    found = consistency(PREDICTED, TRUE, identifiers=IDENTIFIERS)
    assert dict(zip(found.statements, found.per_statement, strict=True)) == {
        "dev-7-0": 0,
        "dev-7-1": 1,
        "dev-8-0": 0,
    }
    assert found.value == pytest.approx(1 / 3)


def test_the_order_of_the_items_changes_nothing() -> None:
    backwards = consistency(PREDICTED[::-1], TRUE[::-1], identifiers=IDENTIFIERS[::-1])
    assert backwards.value == consistency(PREDICTED, TRUE, identifiers=IDENTIFIERS).value


def test_what_is_taken_for_what() -> None:
    labels = ["contradiction", "neutral", "entailment"]
    true = ["neutral", "neutral", "neutral", "entailment", "contradiction"]
    predicted = ["neutral", "entailment", "entailment", "entailment", "neutral"]
    assert confusion(predicted, true, labels=labels).tolist() == [[0, 1, 0], [0, 1, 2], [0, 0, 1]]


def test_numbers_are_labels_too() -> None:
    assert accuracy([0, 1, 2], [0, 1, 1]).value == pytest.approx(2 / 3)
    assert confusion([0, 1], [0, 0], labels=range(2)).tolist() == [[1, 1], [0, 0]]


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        accuracy([], [])
    with pytest.raises(ValueError, match="1 labels are predicted but 2 are true"):
        accuracy([1], [1, 0])
    with pytest.raises(ValueError, match="1 items but 0 identifiers"):
        consistency([1], [1], identifiers=[])
    with pytest.raises(ValueError, match="identifier 'dev-7-0' is not split-set-pair-sentence"):
        statement_of("dev-7-0")
    with pytest.raises(ValueError, match="label 'maybe' is none of yes, no"):
        confusion(["maybe"], ["yes"], labels=["yes", "no"])
