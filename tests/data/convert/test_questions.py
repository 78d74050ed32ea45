import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mplug.data.convert.common import Trouble
from mplug.data.fields import Answer
from mplug.errors import DataError
from tests.data.convert.files import Converted, convert, convert_drawn, pictures, save

COCO_9 = "train2014/COCO_train2014_000000000009.jpg"


def vqa_question(number: int, **more: Any) -> dict[str, Any]:
    return {"image_id": 9, "question": f"What is {number}?", "question_id": number} | more


def vqa_annotation(number: int, *answers: Any, **more: Any) -> dict[str, Any]:
    given = [{"answer_id": place, "answer": answer} for place, answer in enumerate(answers, 1)]
    fields = {"question_id": number, "image_id": 9, "answer_type": "other", "answers": given}
    return fields | {"question_type": "what is"} | more


def convert_vqa(tmp_path: Path, questions: list[Any], annotations: list[Any]) -> Converted:
    subtype = {"data_subtype": "train2014"}
    return convert(
        "vqav2",
        tmp_path / "out",
        images=pictures(tmp_path / "coco", [COCO_9]),
        train_questions=save(tmp_path / "q.json", {**subtype, "questions": questions}),
        train_answers=save(tmp_path / "a.json", {**subtype, "annotations": annotations}),
    )


def test_vqa_answers_are_joined_by_question_and_weighted_by_their_share(tmp_path: Path) -> None:
    done = convert_vqa(
        tmp_path,
        [vqa_question(9001), vqa_question(9000)],
        [vqa_annotation(9000, *["net"] * 7, *["a net"] * 3), vqa_annotation(9001, "red")],
    )
    red, net = done.records("train")
    assert (net.id, net.image_id, net.question) == ("9000", "coco:9", "What is 9000?")
    assert net.answers == (Answer("net", 0.7), Answer("a net", 0.3))
    assert (red.answers, red.label) == ((Answer("red", 1.0),), "other")


def test_vqa_names_broken_rows_of_both_files(tmp_path: Path) -> None:
    done = convert_vqa(
        tmp_path,
        [vqa_question(1), vqa_question(2), vqa_question(3), vqa_question(4, image_id="nine")],
        [
            vqa_annotation(1, "red"),
            vqa_annotation(2, "red", None),
            vqa_annotation(7, "red"),
            vqa_annotation(4, "red"),
        ],
    )
    assert sorted(each.replace(str(tmp_path), "") for each in done.troubles) == [
        "a.json, annotations[1], answers[1].answer: is missing",
        "a.json, annotations[2], question_id: no question 7 in /q.json",
        "q.json, questions[2], question_id: nothing for 3 in /a.json",
        "q.json, questions[3], image_id: must be a whole number, not 'nine'",
    ]


def test_vqa_files_of_another_split_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "q.json", {"data_subtype": "test-dev2015", "questions": []})
    with pytest.raises(DataError, match=r"data_subtype is 'test-dev2015', .*'test2015'"):
        convert("vqav2", tmp_path / "out", images=tmp_path, test_questions=file)


def test_vqa_test_questions_have_no_answers_and_train_ones_need_them(tmp_path: Path) -> None:
    questions = [vqa_question(1)]
    file = save(tmp_path / "q.json", {"data_subtype": "test-dev2015", "questions": questions})
    images = pictures(tmp_path / "coco", ["test2015/COCO_test2015_000000000009.jpg"])
    done = convert("vqav2", tmp_path / "out", images=images, testdev_questions=file)
    assert "answers" not in done.lines("testdev")[0]
    with pytest.raises(DataError, match="go together"):
        convert("vqav2", tmp_path / "other", images=images, val_questions=file)


def region(number: int, box: tuple[Any, Any, Any, Any], **more: Any) -> dict[str, Any]:
    sides = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return {"region_id": number, "image_id": 7, "phrase": "a cat ", **sides} | more


def test_visual_genome_boxes_become_corners_cut_to_the_picture(tmp_path: Path) -> None:
    listed = [{"id": 7, "regions": [region(1, (10, 5, 20, 30)), region(2, (-3, 40, 99, 9))]}]
    done = convert(
        "visual-genome",
        tmp_path / "out",
        images=pictures(tmp_path / "vg", ["VG_100K_2/7.jpg"], size=(64, 48)),
        regions=save(tmp_path / "region_descriptions.json", listed),
    )
    first, second = done.records("regions")
    assert (first.id, first.phrase, first.boxes) == ("1", "a cat", ((10, 5, 30, 35),))
    assert second.boxes == ((0, 40, 64, 48),)
    assert first.image_id == "vg:7"


def test_visual_genome_names_broken_regions_and_groups(tmp_path: Path) -> None:
    inner = [region(1, (1, 1, 9, 9)), region(2, (70, 0, 5, 5)), region(3, ("a", 0, 5, 5))]
    listed = [{"image_id": 7, "regions": [*inner, region(4, (0, 0, 5, 5), phrase="")]}, {"id": 8}]
    done = convert(
        "visual-genome",
        tmp_path / "out",
        images=pictures(tmp_path / "vg", ["VG_100K/7.jpg"]),
        regions=save(tmp_path / "r.json", listed),
    )
    assert done.troubles == [
        "r.json, [0][1], boxes: no area inside the picture: [[70.0, 0.0, 75.0, 5.0]]",
        "r.json, [0][2], x: must be a number, not text",
        "r.json, [0][3], phrase: is empty",
        "r.json, [1], regions: is missing",
    ]
    assert done.report.dropped_boxes == 1


def test_visual_genome_pictures_of_coco_are_named_as_there(tmp_path: Path) -> None:
    answer = {"qa_id": 9, "image_id": 7, "question": "What is it?", "answer": "A clock."}
    data = [{"image_id": 7, "width": 64, "height": 48, "coco_id": 391895}, {"image_id": 8}]
    done = convert(
        "visual-genome",
        tmp_path / "out",
        images=pictures(tmp_path / "vg", ["VG_100K/7.jpg"]),
        qa=save(tmp_path / "qa.json", [{"id": 7, "qas": [answer, {"qa_id": 1}]}]),
        image_data=save(tmp_path / "image_data.json", data),
    )
    [record] = done.records("qa")
    assert record.image_id == "coco:391895"
    assert record.answers == (Answer("A clock"),)
    assert done.troubles == [
        "image_data.json, [1], width: is missing",
        "qa.json, [0][1], answer: is missing",
    ]


def test_a_box_in_a_picture_of_another_size_than_published_is_not_trusted(tmp_path: Path) -> None:
    listed = [{"id": 7, "regions": [region(1, (1, 1, 9, 9))]}]
    data = [{"image_id": 7, "width": 48, "height": 64, "coco_id": None}]
    with pytest.raises(DataError, match=r"7.jpg is 64 x 48 pixels, and published as 48 x 64"):
        convert(
            "visual-genome",
            tmp_path / "out",
            images=pictures(tmp_path / "vg", ["VG_100K/7.jpg"], size=(64, 48)),
            regions=save(tmp_path / "r.json", listed),
            image_data=save(tmp_path / "image_data.json", data),
        )


def gqa_question(**more: Any) -> dict[str, Any]:
    fields = {"imageId": "0354786", "question": "What is dark?", "isBalanced": True}
    return fields | {"answer": "sky", "types": {"structural": "query"}} | more


def test_gqa_ids_stay_text(tmp_path: Path) -> None:
    file = save(tmp_path / "val_balanced_questions.json", {"02930152": gqa_question()})
    images = pictures(tmp_path / "gqa", ["images/0354786.jpg"])
    done = convert("gqa", tmp_path / "out", images=images, val=file)
    [record] = done.records("val")
    assert (record.id, record.image_id) == ("02930152", "vg:0354786")
    assert (record.answers, record.label) == ((Answer("sky"),), "query")
    assert [str(each) for each in done.report.differences] == [
        "val: 1 questions, published 132,062 (-132,061)"
    ]


def test_gqa_reads_a_folder_of_parts_and_names_broken_questions(tmp_path: Path) -> None:
    folder = tmp_path / "train_all_questions"
    save(folder / "0.json", {"1": gqa_question(), "2": gqa_question(imageId=5)})
    unanswered = gqa_question()
    del unanswered["answer"]
    save(folder / "1.json", {"1": gqa_question(), "3": unanswered, "4": "text"})
    images = pictures(tmp_path / "gqa", ["0354786.jpg"])
    done = convert("gqa", tmp_path / "out", images=images, train=folder)
    assert done.troubles == [
        "0.json, question 2, imageId: must be text, not 5",
        "1.json, question 1, id: 1 occurs twice in train",
        "1.json, question 3, answer: is missing",
        "1.json, question 4: must be an object",
    ]
    assert not done.report.published  # that of the larger files is not known


def test_gqa_test_questions_have_no_answer(tmp_path: Path) -> None:
    question = gqa_question(imageId="n161313")
    del question["answer"]
    file = save(tmp_path / "test_all_questions.json", {"201307251": question})
    images = pictures(tmp_path / "gqa", ["n161313.jpg"])
    done = convert("gqa", tmp_path / "out", images=images, test=file)
    assert done.records("test")[0].image_id == "gqa:n161313"
    assert "answers" not in done.lines("test")[0]


def easy_vqa_wheel(path: Path, *, train: list[Any], test: list[Any], pictures: int = 20) -> Path:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("easy_vqa/__init__.py", "raise SystemExit('imported')")
        for part, questions in (("train", train), ("test", test)):
            wheel.writestr(f"easy_vqa/data/{part}/questions.json", json.dumps(questions))
            for number in range(pictures):
                name = f"easy_vqa/data/{part}/images/{number}.png"
                wheel.writestr(name, picture.getvalue())
        wheel.writestr("easy_vqa/data/train/images/../../../../outside.png", b"")
        wheel.writestr("easy_vqa/data/answers.txt", "rectangle\nyes\n")
    return path


EASY_TRAIN = [[f"is {number} blue?", "yes", number] for number in range(20) for _ in range(2)]
EASY_TEST = [["what is the blue shape?", "rectangle", 0]]


def test_easy_vqa_is_read_from_the_wheel_with_its_pictures(tmp_path: Path) -> None:
    wheel = easy_vqa_wheel(tmp_path / "easy_vqa.whl", train=EASY_TRAIN, test=EASY_TEST)
    done = convert("easy-vqa", tmp_path / "out", images=None, wheel=wheel)
    [record] = done.records("test")
    assert record.answers == (Answer("rectangle"),)
    assert Path(record.images[0]) == tmp_path / "out" / "images" / "test" / "0.png"
    assert (tmp_path / "out" / "answers.txt").read_text() == "rectangle\nyes\n"
    assert not list(tmp_path.rglob("outside.png"))


def test_easy_vqa_validation_is_cut_by_picture_from_train(tmp_path: Path) -> None:
    wheel = easy_vqa_wheel(tmp_path / "easy_vqa.whl", train=EASY_TRAIN, test=EASY_TEST)
    splits: dict[int, set[str | None]] = {}
    for seed in (0, 0, 1):
        folder = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        done = convert_drawn("easy-vqa", folder, {"wheel": wheel}, images=None, seed=seed)
        shown = {record.image_id for record in done.records("validation")}
        assert len(shown) == 2
        assert not shown & {record.image_id for record in done.records("train")}
        assert splits.setdefault(seed, shown) == shown
    assert splits[0] != splits[1]


def test_easy_vqa_names_broken_questions(tmp_path: Path) -> None:
    broken = [["what?", "", 0], ["what?", "yes"], ["what?", "yes", "0"]]
    wheel = easy_vqa_wheel(tmp_path / "easy_vqa.whl", train=EASY_TRAIN, test=[*EASY_TEST, *broken])
    done = convert("easy-vqa", tmp_path / "out", images=None, wheel=wheel)
    file = f"{wheel}: easy_vqa/data/test/questions.json"
    assert done.report.troubles == (
        Trouble(file, "[1]", "answer", "is empty"),
        Trouble(file, "[2]", None, "must be [question, answer, image]"),
        Trouble(file, "[3]", "image", "must be a picture's number, not '0'"),
    )


def test_a_wheel_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other/__init__.py", "")
    with pytest.raises(DataError, match="holds no questions of easy-VQA"):
        convert("easy-vqa", tmp_path / "out", images=None, wheel=tmp_path / "other.whl")
