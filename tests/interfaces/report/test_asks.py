"""What is asked of pictures: the model's words and the right ones, boxes, pairs, frames."""

import re
from dataclasses import replace

import pytest

from mplug.interfaces.report.asks import part_section
from mplug.interfaces.report.content import Part
from mplug.interfaces.report.examples import AskExample, BoxExample
from tests.interfaces.report.sample_parts import FRAMES, parts
from tests.interfaces.report.shapes import picture

PARTS = {part.task: part for part in parts()}
ASK = AskExample((picture("dog", "tree"),), "test", "what is there?", "a sun", "a dog", blind="2")
BOX = BoxExample(
    picture("dog", "tree"),
    "test",
    "the dog",
    found=(0.1, 0.2, 0.5, 0.8),
    true=(0.25, 0.3, 0.75, 1.0),
    overlap=0.34,
    right=False,
)


def shown(*examples: AskExample, task: str = "answer") -> str:
    return part_section(Part(task, examples=examples))


def test_a_wrong_answer_stands_above_the_right_one_and_beside_that_of_the_blind() -> None:
    text = shown(ASK)
    assert "what is there?" in text
    assert re.search(r'<mark class="wrong">a sun<span class="aloud"> \(wrong\)', text)
    assert "right answer: a dog" in text
    assert "without the picture: 2" in text
    assert "✗ wrong" in text


def test_a_right_answer_is_said_once() -> None:
    text = shown(replace(ASK, said="a dog"))
    assert "✓ right" in text
    assert "right answer: a dog" not in text


def test_an_empty_answer_is_said_to_be_empty() -> None:
    assert "(nothing)" in shown(replace(ASK, said=""))


def test_a_failure_says_how_sure_the_model_was() -> None:
    text = part_section(Part("answer", examples=(ASK,), worst=(replace(ASK, sure=0.914),)))
    before, failures = text.split("The worst failures")
    assert "91% sure" in failures
    assert "sure" not in before


def test_both_boxes_are_drawn_where_they_are_and_said_in_words() -> None:
    text = part_section(Part("ground", examples=(BOX,)))
    drawn = re.findall(r'<rect class="(true|found)" x="(.*?)" y="(.*?)" width="(.*?)"', text)
    assert drawn == [
        ("true", "25.00%", "30.00%", "50.00%"),
        ("found", "10.00%", "20.00%", "40.00%"),
    ]
    assert 'alt="dog left of tree; the dog is from 25% to 75% across and from 30% to 100%' in text
    assert "the model says from 10% to 50% across and from 20% to 80% down" in text
    assert "✗ missed" in text
    assert "34% shared" in text


def test_the_two_pictures_of_a_pair_are_told_apart() -> None:
    text = part_section(PARTS["compare"])
    assert text.count("<figcaption>left</figcaption>") == text.count('class="pictured pair"') > 0
    assert text.count("<figcaption>right</figcaption>") == text.count('class="pictured pair"')


def test_a_clip_is_its_frames_in_their_order() -> None:
    text = part_section(PARTS["clip"])
    places = re.findall(rf'alt="[^"]*; frame (\d) of {FRAMES}"', text)
    assert places == list("1234") * text.count('class="pictured frames"')


def test_each_kind_has_a_row_beside_its_baselines() -> None:
    text = part_section(PARTS["answer"])
    row = text.split(">how many<")[1].split("</tr>")[0]
    assert all(figure in row for figure in ("80.0%", "70.0% – 90.0%", "50.0%", "30.0%"))
    assert text.count(">how many<") == 2  # on either split


@pytest.mark.parametrize("task", ["answer", "compare"])
def test_failures_come_after_the_rest_under_their_split(task: str) -> None:
    failures = part_section(PARTS[task]).split("The worst failures")[1]
    assert "An artist it never saw" in failures
    assert "Artists it trained on" not in failures


def test_a_task_without_anything_to_show_has_no_section() -> None:
    assert part_section(Part("answer")) == ""


def test_a_task_that_is_not_known_is_called_what_it_is() -> None:
    assert "<h2" in shown(ASK, task="odd_one_out")
    assert ">odd one out</h2>" in shown(ASK, task="odd_one_out")
