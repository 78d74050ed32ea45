from collections import Counter

import numpy as np
import pytest

from mplug.config.schema import ScenesConfig
from mplug.data.batch import Example
from mplug.data.items import TaskExample, collate_tasks
from mplug.data.scenes.stream import SceneExamples, to_pixels
from mplug.data.scenes.tasks import TASKS, SceneTasks
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError

CONFIG = ScenesConfig(concepts=12, held_out_pairs=10, max_objects=3)
WORDS = Tokenizer.train(
    SceneExamples(CONFIG, image_size=32).captions_for_tokenizer(), vocab_size=1200
)


def scenes(*tasks: str) -> SceneTasks:
    return SceneTasks(CONFIG, image_size=32, tasks=tasks or TASKS, tokenizer=WORDS)


def texts(example: TaskExample, task: str) -> list[str]:
    return [WORDS.decode(item.text) for item in example.items.get(task, ())]


def test_an_example_is_a_function_of_seed_and_position() -> None:
    one, other = scenes(), scenes()
    other.example(8, seed=0)
    first, second = one.example(7, seed=0), other.example(7, seed=0)
    assert first.items == second.items
    for mine, yours in zip(first.images, second.images, strict=True):
        assert np.array_equal(mine, yours)
    assert first.items != one.example(7, seed=1).items


def test_pictures_and_captions_are_those_of_scenes_where_nothing_else_is_asked() -> None:
    plain = SceneExamples(CONFIG, image_size=32, tokenizer=WORDS)
    for position in range(20):
        scene, text = plain.captioned_scene(position, seed=2)
        example = scenes("retrieval", "caption", "ground").example(position, seed=2)
        assert np.array_equal(example.images[0], to_pixels(scene.image))
        (pair,), (item,) = example.pairs, example.items["caption"]
        assert isinstance(pair, Example)
        assert pair.ids == item.targets[0].ids
        assert pair.ids == [WORDS.cls_id, *WORDS.encode(text), WORDS.sep_id]


def test_one_picture_serves_every_task_and_a_second_one_comes_with_statements_alone() -> None:
    asked: Counter[str] = Counter()
    for position in range(80):
        example = scenes().example(position, seed=0)
        assert len(example.pairs) == 1
        assert len(example.images) == len(example.items["caption"])
        assert (len(example.images) == 2) == ("compare" in example.items)
        assert not {"compare", "entail"} <= set(example.items)
        for task, items in example.items.items():
            asked[task] += len(items)
            for item in items:
                assert item.text[0] == WORDS.cls_id
                assert WORDS.unk_id not in item.text
                assert item.images == ((0, 1) if task == "compare" else item.images[:1])
                assert max(item.images) < len(example.images)
    assert set(asked) == set(TASKS) - {"retrieval"}
    assert min(asked["answer"], asked["ground"]) > 0.98 * asked["caption"]
    assert min(asked["compare"], asked["entail"]) > 25


def test_what_search_learns_from_wears_its_own_colours_where_a_second_picture_can_be_painted() -> (
    None
):
    def painted(*tasks: str) -> list[int]:
        counts = [0, 0]
        for position in range(60):
            for place, one in enumerate(scenes(*tasks).shown(position, seed=3).pictures):
                counts[place] += any(each.painted for each in one.scene.objects)
        return counts

    first, second = painted()
    assert first == 0
    assert second > 10
    first, second = painted("answer", "compare")
    assert min(first, second) > 10
    first, second = painted("answer", "retrieval")
    assert first > 10
    assert second == 0
    assert painted("retrieval", "compare", "caption") == [0, 0]


def test_labels_and_boxes_are_in_the_forms_that_tasks_read() -> None:
    labels: dict[str, set[int]] = {"compare": set(), "entail": set()}
    for position in range(80):
        example = scenes().example(position, seed=0)
        for task, seen in labels.items():
            seen.update(item.label for item in example.items.get(task, ()))
        for item in example.items["ground"]:
            x0, y0, x1, y1 = item.box
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
        for item in example.items.get("answer", ()):
            (target,) = item.targets
            assert (target.ids[0], target.ids[-1]) == (WORDS.cls_id, WORDS.sep_id)
            assert 0 < len(WORDS.decode(target.ids).split()) < 3
    assert labels == {"compare": {0, 1}, "entail": {0, 1, 2}}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_alone_is_asked_in_every_example(task: str) -> None:
    for position in range(20):
        example = scenes(task).example(position, seed=0)
        if task == "retrieval":
            assert not example.items
            assert example.pairs
        else:
            assert set(example.items) == {task}
            assert not example.pairs


def test_examples_make_a_batch() -> None:
    batch = collate_tasks([scenes().example(position, seed=0) for position in range(16)])
    assert batch.pixels.shape[1:] == (3, 32, 32)
    assert set(batch.items) == set(TASKS) - {"retrieval"}
    assert batch.items["compare"].images.shape[1] == 2


def test_every_word_of_every_task_is_known_to_the_tokenizer() -> None:
    known = {
        word
        for text in scenes().captions_for_tokenizer()
        for word in text.replace("?", " ").replace(",", " ").split()
    }
    for position in range(200):
        shown = scenes().shown(position, seed=0)
        said = [each.text for each in shown.statements]
        for one in shown.pictures:
            said += [one.caption, *(each.text for each in one.questions)]
            said += [each.text for each in one.phrases]
            said += [each.answer for each in one.questions]
            said += [one.hypothesis.text] if one.hypothesis else []
        for text in said:
            assert set(text.replace("?", " ").replace(",", " ").split()) <= known, text


def test_unknown_tasks_and_missing_tokenizers_are_refused() -> None:
    with pytest.raises(ConfigError, match="vqa: scenes can be made for retrieval, caption"):
        scenes("vqa")
    with pytest.raises(ConfigError, match="without a tokenizer"):
        SceneTasks(CONFIG, image_size=32, tasks=["answer"]).example(0, seed=0)
