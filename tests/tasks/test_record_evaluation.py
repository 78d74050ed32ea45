from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mplug.config.schema import GenerationConfig
from mplug.data.fields import Answer
from mplug.data.records import Record, Source
from mplug.errors import DataError
from mplug.tasks.asker import Asker
from mplug.tasks.figures import Figure
from mplug.tasks.observer import Observer
from mplug.tasks.record_evaluation import RecordEvaluation, Ways, evaluate_records
from tests.tasks.stubs import Knowing, Watching
from tests.tiny import GENERATION, SKILLS, broken_pictures, picture, tiny_model, tiny_tokenizer

ANSWERS = ("red", "blue", "green", "red")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    names = [folder / f"{seed}.png" for seed in range(4)]
    for seed, name in enumerate(names):
        picture(seed).save(name)
    return [str(name) for name in names]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(broken_pictures(tmp_path_factory.mktemp("broken"))[0])


def records(images: Sequence[Any], **columns: Sequence[Any]) -> list[Record]:
    """A record for each image, with the fields that each column gives it."""
    return [
        Record(
            Source("test.jsonl", row + 1),
            image=image,
            **{name: values[row] for name, values in columns.items()},
        )
        for row, image in enumerate(images)
    ]


def questions(pictures: list[str], *, crowded: bool = True) -> list[Record]:
    weights = [Answer("purple", 0.2)] if crowded else []
    share = 0.8 if crowded else 1.0
    return records(
        pictures,
        id=["10", "11", "12", "13"],
        question=[f"what colour is thing {row}?" for row in range(4)],
        answers=[(Answer(answer, share), *weights) for answer in ANSWERS],
        label=["other", "other", "number", ""],
    )


def evaluated(
    asked: Sequence[Record],
    task: str,
    *,
    known: dict[str, Any] | None = None,
    guess: Any = "red",
    sightless: bool = False,
    **settings: Any,
) -> RecordEvaluation:
    watching = Watching(tiny_model(), tiny_tokenizer())
    asker = Knowing(watching, GenerationConfig(), known or {}, guess, sightless)
    return evaluate_records(asker, asked, task=task, split="test", **settings)


def colours(asked: Sequence[Record]) -> dict[str, str]:
    return {record.question or "": record.answers[0].text for record in asked}


def figure(evaluation: RecordEvaluation, metric: str) -> Figure:
    (found,) = [each for each in evaluation.figures if each.metric == metric]
    return found


def test_answers_of_several_people_are_scored_as_vqa_v2_does(pictures: list[str]) -> None:
    asked = questions(pictures)
    found = evaluated(asked, "answer", known=colours(asked), learned=asked[:2])
    overall = found.figures[0]
    assert (overall.metric, overall.value, overall.n) == ("vqa_accuracy", 1.0, 4)
    # Of three that guess red, two are right; two people of five are no full score.
    assert overall.baselines["blank_image"] == pytest.approx(0.5)
    assert overall.baselines["majority_answer"] == pytest.approx(0.25)  # blue, by the alphabet
    assert "answers:20" in overall.signature
    assert figure(found, "vqa_accuracy_kind_number").value == 1.0
    assert figure(found, "vqa_accuracy_question_type_what_colour").value == 1.0
    assert [reply.said for reply in found.replies] == list(ANSWERS)


def test_one_right_answer_a_question_is_matched_exactly(pictures: list[str]) -> None:
    asked = questions(pictures, crowded=False)
    found = evaluated(asked, "answer", sightless=True)
    assert figure(found, "answer_accuracy").value == 0.5
    assert figure(found, "answer_accuracy").baselines == {"blank_image": 0.5}
    assert "match:exact" in figure(found, "answer_accuracy").signature


def test_given_answers_are_chosen_from(pictures: list[str]) -> None:
    asked = questions(pictures)
    ways = Ways(answers=("red", "blue", "green"))
    found = evaluated(asked, "answer", known=colours(asked), ways=ways)
    assert found.figures[0].value == 1.0
    assert "answers:of_3" in found.figures[0].signature


def test_a_broken_picture_is_listed_and_scored_by_nobody(pictures: list[str], broken: str) -> None:
    asked = questions([pictures[0], broken, *pictures[2:]])
    found = evaluated(asked, "answer", known=colours(asked))
    assert found.figures[0].n == 3
    assert len(found.left_out) == 1
    assert "test.jsonl, line 2: " in str(found.left_out[0])
    assert broken in found.left_out[0].reason
    # Files of predictions still have a line for it.
    assert [reply.record.id for reply in found.replies] == ["10", "11", "12", "13"]
    assert [reply.seen for reply in found.replies] == [True, False, True, True]


def test_every_record_is_asked_once_and_in_order(pictures: list[str]) -> None:
    asked = questions([pictures[place] for place in (3, 0, 3, 1)])
    watching = Watching(tiny_model(), tiny_tokenizer())
    asker = Knowing(watching, GenerationConfig(), colours(asked))
    evaluate_records(asker, asked, task="answer", split="test")
    assert [ask.text for ask in asker.asked] == [record.question for record in asked]
    assert [ask.pictures for ask in asker.asked] == [(0,), (1,), (0,), (2,)]


def test_what_asks_nothing_is_listed(pictures: list[str]) -> None:
    asked = [*questions(pictures), *records(pictures[:1], caption=[("a dog",)])]
    found = evaluated(asked, "answer", known=colours(asked[:4]))
    assert [each.reason for each in found.left_out] == [
        "asks nothing: answer needs one image or clip and a question"
    ]
    with pytest.raises(DataError, match="none of the 5 records.*a phrase"):
        evaluated(asked, "ground")


def test_records_that_do_not_say_what_is_right_give_predictions_alone(pictures: list[str]) -> None:
    asked = records(pictures, question=[f"what is thing {row}?" for row in range(4)])
    found = evaluated(asked, "answer", known={each.question or "": "x" for each in asked})
    assert found.figures == ()
    assert [reply.said for reply in found.replies] == ["x"] * 4
    assert "no record says what is right" in found.notes[0]


def test_nothing_to_read_ends_the_evaluation(broken: str) -> None:
    with pytest.raises(DataError, match="none of the 4 records can be read"):
        evaluated(questions([broken] * 4), "answer")


def phrases(pictures: list[str]) -> list[Record]:
    """Pictures are 37 wide and 29 high."""
    boxes = [((0.0, 0.0, 37.0, 29.0),), ((0.0, 0.0, 18.5, 29.0), (18.5, 0.0, 37.5, 29.0))]
    return records(pictures[:2], phrase=["all", "a half"], boxes=boxes)


def test_a_box_counts_where_it_meets_any_true_one(pictures: list[str]) -> None:
    known = {"all": (0.0, 0.0, 1.0, 1.0), "a half": (0.5, 0.0, 1.0, 1.0)}
    found = evaluated(
        phrases(pictures), "ground", known=known, guess=(0.0, 0.0, 0.4, 1.0), learned=[]
    )
    accuracy, overlap = found.figures
    assert (accuracy.metric, accuracy.value) == ("grounding_accuracy", 1.0)
    assert accuracy.baselines == {"blank_image": 0.5}
    assert (overlap.metric, overlap.value) == ("mean_iou", 1.0)


def test_boxes_of_training_stand_in_the_middle(pictures: list[str]) -> None:
    asked = phrases(pictures)
    found = evaluated(asked, "ground", guess=(0.0, 0.0, 1.0, 1.0), sightless=True, learned=asked)
    assert set(found.figures[0].baselines) == {"centre_box", "mean_box", "blank_image"}


def test_a_box_outside_its_picture_is_listed(pictures: list[str]) -> None:
    asked = records(
        pictures[:2],
        phrase=["one", "two"],
        boxes=[((0.0, 0.0, 9.0, 9.0),), ((30.0, 5.0, 60.0, 9.0),)],
    )
    found = evaluated(asked, "ground", guess=(0.0, 0.0, 1.0, 1.0), sightless=True)
    assert found.figures[0].n == 1
    assert "37 x 29" in found.left_out[0].reason


def pairs(pictures: list[str], *, ids: Sequence[str]) -> list[Record]:
    return records(
        [(pictures[0], pictures[1]), (pictures[2], pictures[3]), (pictures[1], pictures[2])],
        id=ids,
        statement=["both show a dog", "both show a dog", "one shows a cat"],
        label=["true", "false", "True"],
    )


def test_statements_are_consistent_where_they_are_right_of_all_their_pairs(
    pictures: list[str],
) -> None:
    asked = pairs(pictures, ids=["dev-1-0-0", "dev-1-1-0", "dev-2-0-0"])
    found = evaluated(asked, "compare", guess="true", sightless=True, learned=asked)
    assert figure(found, "compare_accuracy").value == pytest.approx(2 / 3)
    assert figure(found, "compare_accuracy").baselines["chance"] == 0.5
    assert figure(found, "consistency").value == 0.5
    assert figure(found, "consistency").baselines["majority_label"] == 0.5


def test_consistency_needs_the_ids_of_nlvr2(pictures: list[str]) -> None:
    found = evaluated(pairs(pictures, ids=["a", "b", "c"]), "compare", guess="true", sightless=True)
    assert [each.metric for each in found.figures] == ["compare_accuracy"]


def test_hypotheses_have_three_labels_and_others_are_listed(pictures: list[str]) -> None:
    asked = records(
        pictures,
        statement=["a", "b", "c", "d"],
        label=["entailment", "neutral", "Contradiction", "-"],
    )
    known = {"a": "entailment", "b": "neutral", "c": "contradiction", "d": "neutral"}
    found = evaluated(asked, "entail", known=known, guess="neutral", learned=asked[:3])
    assert figure(found, "entail_accuracy").value == 1.0
    assert figure(found, "entail_accuracy").n == 3
    assert "label: is '-'" in found.left_out[0].reason


def test_captions_of_one_picture_are_put_together(pictures: list[str]) -> None:
    asked = records(
        [pictures[0], pictures[1], pictures[0]],
        caption=[("a red trophy stands left",), ("two green boats sail away",), ("one thing",)],
    )
    found = evaluated(
        asked, "caption", known={"": "a red trophy stands left"}, guess="a cat", learned=asked
    )
    assert [each.metric for each in found.figures][:6] == [
        "bleu_1",
        "bleu_2",
        "bleu_3",
        "bleu_4",
        "rouge_l",
        "cider_d",
    ]
    bleu = figure(found, "bleu_4")
    assert "images:2|references:3" in bleu.signature
    assert 0 <= bleu.low <= bleu.value <= bleu.high <= 1
    assert set(bleu.baselines) == {"blank_image", "most_frequent_caption"}


def test_a_real_model_is_measured_on_every_task(pictures: list[str]) -> None:
    asker = Asker(Observer(tiny_model(skills=SKILLS), tiny_tokenizer()), GENERATION)
    for task, asked in {
        "answer": questions(pictures),
        "ground": phrases(pictures),
        "compare": pairs(pictures, ids=["a", "b", "c"]),
        "caption": records(pictures, caption=[("a red trophy",)] * 4),
    }.items():
        found = evaluate_records(asker, asked, task=task, split="test", learned=asked)
        assert len(found.replies) == len(asked)
        assert not found.left_out


def test_captions_may_begin_as_asked(pictures: list[str]) -> None:
    asker = Asker(Observer(tiny_model(), tiny_tokenizer()), GENERATION)
    asked = records(pictures[:2], caption=[("a red trophy",)] * 2)
    ways = Ways(prompt="two green")
    found = evaluate_records(asker, asked, task="caption", split="test", ways=ways)
    assert "prompt:two green" in found.figures[0].signature
    assert not found.replies[0].said.startswith("two green")


def test_missing_files_are_named(tmp_path: Path) -> None:
    asked = records([str(tmp_path / "gone.png")], question=["what?"])
    with pytest.raises(DataError, match=r"gone\.png"):
        evaluated(asked, "answer")
