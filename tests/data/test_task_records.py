from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mplug.data.batch import Example, identity
from mplug.data.dataset import RecordExamples
from mplug.data.fields import Answer
from mplug.data.items import TaskExample, collate_tasks
from mplug.data.loader import Loader
from mplug.data.mixture import Mixture
from mplug.data.records import Record, Source
from mplug.data.task_augment import TaskAugmentation
from mplug.data.task_records import TaskRecords, answer_weights
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import FinetuneAugmentation
from mplug.errors import ConfigError, DataError
from tests.clips import STEP, write_clip

CAPTIONS = [f"A cat by dog {name}." for name in "abcdefg"]
TOKENIZER = Tokenizer.train([*CAPTIONS, "what is left right exit picture of"], vocab_size=700)
SIZE = 6


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Three pictures, each of one grey of its own."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20, 10), (60 * number,) * 3).save(path)
    return [str(path) for path in paths]


def record(image: str | tuple[str, ...] | None, *, line: int = 1, **fields: Any) -> Record:
    return Record(Source("data.jsonl", line), image=image, **fields)


def examples(*records: Record, tasks: str, **options: Any) -> TaskRecords:
    options = {"image_size": SIZE, "max_words": 12, **options}
    return TaskRecords(records, tasks=tasks.split(), tokenizer=TOKENIZER, **options)


def levels(example: TaskExample) -> list[int]:
    """Which of the pictures an example shows."""
    return [
        round(float(pixels[0].mean() * 0.26862954 + 0.48145466) * 255 / 60)
        for pixels in example.images
    ]


def words(ids: list[int]) -> str:
    return TOKENIZER.decode(ids)


def assert_same(one: Example, other: Example) -> None:
    assert np.array_equal(one.pixels, other.pixels)
    assert (one.ids, one.image_id, one.caption_id) == (other.ids, other.image_id, other.caption_id)


def everything(pictures: list[str]) -> list[Record]:
    """A record for each task."""
    return [
        record(pictures[0], line=1, caption=CAPTIONS[:2]),
        record(pictures[1], line=2, question="What is left?", answers=(Answer("Dog"),)),
        record(pictures[1], line=3, phrase="dog", boxes=((5.0, 2.0, 10.0, 10.5),)),
        record((pictures[2], pictures[0]), line=4, statement="A dog!", label="True"),
        record(pictures[2], line=5, statement="A dog!", label="Neutral", text=("a cat",)),
    ]


def test_a_record_asks_what_its_fields_allow(pictures: list[str]) -> None:
    data = examples(*everything(pictures), tasks="retrieval caption answer ground compare entail")
    asked = [data.example(place, seed=0) for place in range(len(data))]
    assert len(asked) == 6  # one for each caption
    assert Counter(task for example in asked for task in example.items) == {
        "caption": 2,
        "answer": 1,
        "ground": 1,
        "compare": 1,
        "entail": 1,
    }
    assert sum(len(example.pairs) for example in asked) == 2


def only(data: TaskRecords, task: str) -> Any:
    (item,) = data.example(0, seed=0).items[task]
    return item


def test_a_question_is_read_with_the_words_in_the_picture_and_its_answers_are_written(
    pictures: list[str],
) -> None:
    asked = record(
        pictures[0],
        question="What is IT?",
        answers=(Answer("A Dog"), Answer("a  dog"), Answer("cat")),
        text=("EXIT", "A"),
    )
    item = only(examples(asked, tasks="answer"), "answer")
    sep = TOKENIZER.sep_id
    assert item.text[0] == TOKENIZER.cls_id
    assert words(item.text[: item.text.index(sep)]) == "what is it?"
    assert words(item.text[item.text.index(sep) :]) == "exit a"
    assert [words(target.ids) for target in item.targets] == ["a dog", "cat"]
    assert [target.weight for target in item.targets] == pytest.approx([2 / 3, 1 / 3])
    assert all(target.ids[-1] == sep for target in item.targets)


def test_answers_count_as_their_weights_say_or_as_the_share_of_people() -> None:
    def weights(*answers: tuple[str, float]) -> dict[str, float]:
        return answer_weights([Answer(*answer) for answer in answers])

    assert weights(("red", 0.3), ("Red", 0.4), ("blue", 0.5)) == {"red": 0.7, "blue": 0.5}
    assert weights(("red", 0.5)) == {"red": 0.5}
    assert weights(("red", 1.0)) == {"red": 1.0}
    assert weights(("red", 1.0), ("blue", 1.0)) == {"red": 0.5, "blue": 0.5}
    assert weights(("red", 0.0), ("blue", 1.0)) == {"blue": 1.0}


def test_long_texts_are_cut_and_what_is_written_keeps_its_end(pictures: list[str]) -> None:
    long = "dog " * 200
    asked = record(
        pictures[0], caption=(long,), question=long, answers=(Answer(long),), text=("exit",)
    )
    items = examples(asked, tasks="caption answer").example(0, seed=0).items
    assert len(items["answer"][0].text) == 80
    for task in ("caption", "answer"):
        ids = items[task][0].targets[0].ids
        assert len(ids) == 12 + 2
        assert (ids[0], ids[-1]) == (TOKENIZER.cls_id, TOKENIZER.sep_id)
    short = examples(asked, tasks="answer", longest_read=9)
    assert len(only(short, "answer").text) == 9


def test_a_caption_follows_its_prompt_and_is_scored_against_all_of_its_picture(
    pictures: list[str],
) -> None:
    data = examples(
        record(pictures[0], caption=CAPTIONS[:2], image_id="7"),
        record(pictures[1], caption=(CAPTIONS[2],), image_id="7"),
        tasks="caption",
        prompt="A picture of",
        max_words=40,
    )
    items = [data.example(place, seed=0).items["caption"][0] for place in range(3)]
    written = {words(item.targets[0].ids) for item in items}
    assert written == {f"a picture of {caption.lower()}" for caption in CAPTIONS[:3]}
    assert all(item.references == tuple(CAPTIONS[:3]) for item in items)
    assert all(item.text == [TOKENIZER.cls_id] for item in items)


def test_a_box_is_given_in_shares_of_its_picture(pictures: list[str]) -> None:
    asked = record(pictures[0], phrase="The Dog", boxes=((5.0, 2.0, 10.0, 10.5),))
    item = only(examples(asked, tasks="ground"), "ground")
    assert item.box == (0.25, 0.2, 0.5, 1.0)  # what stands out for rounding is cut off
    assert words(item.text) == "the dog"


def test_of_several_boxes_all_are_drawn(pictures: list[str]) -> None:
    boxes = ((0.0, 0.0, 5.0, 5.0), (10.0, 5.0, 20.0, 10.0))
    data = examples(record(pictures[0], phrase="dog", boxes=boxes), tasks="ground")
    drawn = Counter(data.example(place, seed=0).items["ground"][0].box for place in range(60))
    assert set(drawn) == {(0.0, 0.0, 0.25, 0.5), (0.5, 0.5, 1.0, 1.0)}
    assert min(drawn.values()) > 15


def test_a_statement_is_about_two_pictures_in_order_and_a_hypothesis_about_one(
    pictures: list[str],
) -> None:
    compare, entail = everything(pictures)[3:]
    data = examples(compare, tasks="compare")
    assert levels(data.example(0, seed=0)) == [2, 0]
    item = only(data, "compare")
    assert (item.images, item.label, words(item.text)) == ((0, 1), 1, "a dog")
    item = only(examples(entail, tasks="entail"), "entail")
    assert (item.images, item.label) == ((0,), 1)
    assert words(item.text[item.text.index(TOKENIZER.sep_id) :]) == "a cat"  # the premise


def test_pairs_are_those_of_pretraining(pictures: list[str]) -> None:
    records = [
        record(path, line=line, caption=CAPTIONS[3 * line : 3 * line + 2])
        for line, path in enumerate(pictures)
    ]
    for ours, theirs in ((None, None), (TaskAugmentation(SIZE, 0.5), FinetuneAugmentation(SIZE))):
        data = examples(*records, tasks="retrieval", augmentation=ours)
        pretraining = RecordExamples(
            records, tokenizer=TOKENIZER, image_size=SIZE, max_words=12, augmentation=theirs
        )
        assert len(data) == len(pretraining)
        for place in range(9):
            example = data.example(place, seed=4)
            assert_same(example.pairs[0], pretraining.example(place, seed=4))
            assert np.array_equal(example.images[0], example.pairs[0].pixels)


def test_a_clip_is_asked_about_with_all_its_frames(tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = str(write_clip(tmp_path / "a.mp4", count=16))
    asked = record(
        None, video=clip, caption=(CAPTIONS[0],), question="what?", answers=(Answer("a dog"),)
    )
    example = examples(asked, tasks="caption answer", frames=4).example(0, seed=0)
    shown = [float(one[0].mean() * 0.26862954 + 0.48145466) * 255 / STEP for one in example.images]
    assert shown == pytest.approx([2, 6, 10, 14], abs=0.7)
    assert [item.images for each in example.items.values() for item in each] == [(0, 1, 2, 3)] * 2


def test_what_a_run_does_not_ask_changes_nothing(pictures: list[str]) -> None:
    full = record(
        pictures[0], caption=("a",), question="what?", answers=(Answer("dog"),), phrase="dog"
    )
    example = examples(full, tasks="answer").example(0, seed=0)
    assert list(example.items) == ["answer"]
    assert not example.pairs


@pytest.mark.parametrize("workers", [0, 2])
def test_examples_depend_on_seed_and_position_only(pictures: list[str], workers: int) -> None:
    records = everything(pictures)
    tasks = "retrieval caption answer ground compare entail"
    augmentation = TaskAugmentation(SIZE, 0.5)
    both = [
        Mixture(
            [
                (examples(*records, tasks=tasks, augmentation=augmentation), 2),
                (examples(records[1], tasks="answer", augmentation=augmentation), 1),
            ]
        )
        for _ in range(2)
    ]
    loader = Loader(both[0], collate=collate_tasks, batch_size=5, seed=3, workers=workers)
    read = list(loader.batches(start_step=1, steps=2))
    alone = [collate_tasks([both[1].example(place, seed=3)]) for place in range(5, 15)]
    pixels = np.concatenate([one.pixels.numpy() for one in alone])
    assert np.array_equal(np.concatenate([one.pixels.numpy() for one in read]), pixels)
    answers = [one.items["answer"] for one in alone if "answer" in one.items]
    assert sum(len(one.items["answer"]) for one in read) == len(answers)


def test_an_epoch_visits_every_record_once(pictures: list[str]) -> None:
    records = [
        record(path, phrase="dog", boxes=((0.0, 0.0, 5.0, 5.0),), line=line)
        for line, path in enumerate(pictures)
    ]
    data = examples(*records, tasks="ground")
    for epoch in range(3):
        places = range(3 * epoch, 3 * epoch + 3)
        seen = [levels(data.example(place, seed=1))[0] for place in places]
        assert sorted(seen) == [0, 1, 2]


def test_what_cannot_be_used_is_replaced_and_named(pictures: list[str]) -> None:
    Path(pictures[0]).write_bytes(b"")
    boxes = ((0.0, 0.0, 5.0, 5.0),)
    data = examples(
        record(pictures[0], phrase="dog", boxes=boxes, line=1),
        record(pictures[1], phrase="dog", boxes=((0.0, 0.0, 50.0, 5.0),), line=2),
        record(pictures[2], phrase="dog", boxes=boxes, line=3),
        tasks="ground",
    )
    found = [data.example(place, seed=0) for place in range(3)]
    assert {tuple(levels(example)) for example in found} == {(2,)}
    skipped = {skip.item: skip for example in found for skip in example.skipped}
    assert skipped[0].name == f"{pictures[0]} (data.jsonl, line 1)"
    assert skipped[0].reason == "the file is empty"
    assert "[0.0, 0.0, 50.0, 5.0] is outside the picture, which is 20 x 10" in skipped[1].reason


def test_pictures_of_one_id_are_one_picture_for_retrieval(pictures: list[str]) -> None:
    data = examples(record(pictures[0], caption=("a",), image_id="9"), tasks="retrieval")
    assert data.example(0, seed=0).pairs[0].image_id == identity("9")


@pytest.mark.parametrize(
    ("fields", "tasks", "says"),
    [
        ({"question": "what?"}, "answer", "line 8: asks nothing that these tasks need"),
        ({"question": "a?", "answers": (Answer("b", 0.0),)}, "answer", "line 8: asks nothing"),
        ({"phrase": "dog"}, "ground caption", "ground needs one image, a phrase and boxes"),
        ({"statement": "a", "label": "maybe"}, "entail", "line 8: label: is 'maybe', not one of"),
        ({"caption": ("a",)}, "caption ground", r"line 8 serves ground.*tasks\.ground\.train"),
    ],
)
def test_records_and_tasks_that_do_not_fit_are_refused(
    pictures: list[str], fields: dict[str, Any], tasks: str, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        examples(record(pictures[0], line=8, **fields), tasks=tasks)


def test_no_records_and_unknown_tasks_are_refused(pictures: list[str]) -> None:
    with pytest.raises(DataError, match="no records"):
        examples(tasks="caption")
    with pytest.raises(ConfigError, match="sing: records can serve retrieval"):
        examples(record(pictures[0], caption=("a",)), tasks="sing")
