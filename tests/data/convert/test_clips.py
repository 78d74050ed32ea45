import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mplug.data.fields import Answer
from mplug.errors import DataError
from tests.data.convert.files import convert, save


def clips(folder: Path, names: Iterable[str]) -> Path:
    """A folder of clips, which converters look up and do not open."""
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"a clip")
    return folder


def video(number: int, split: str = "train") -> dict[str, Any]:
    times = {"start time": 137.72, "end time": 149.44}
    return {"id": number, "video_id": f"video{number}", "category": 9, "split": split, **times}


def sentence(number: int, caption: Any = "a car ") -> dict[str, Any]:
    return {"sen_id": 0, "video_id": f"video{number}", "caption": caption}


def test_msrvtt_captions_are_gathered_from_their_own_list(tmp_path: Path) -> None:
    info = {
        "info": {},
        "videos": [video(0), video(7, "validate")],
        "sentences": [sentence(0), sentence(7, "a man talks"), sentence(0, "a red car")],
    }
    done = convert(
        "msrvtt",
        tmp_path / "out",
        images=clips(tmp_path / "clips", ["video0.mp4", "video7.mp4"]),
        train_val=save(tmp_path / "train_val_videodatainfo.json", info),
    )
    (train,) = done.records("train")
    assert (train.id, train.image_id) == ("video0", "msrvtt:video0")
    assert train.caption == ("a car", "a red car")
    assert Path(str(train.video)).name == "video0.mp4"
    assert done.records("val")[0].caption == ("a man talks",)


def test_msrvtt_names_broken_clips_and_captions(tmp_path: Path) -> None:
    info = {
        "videos": [video(0), video(0), video(1, "dev"), video(2)],
        "sentences": [sentence(0), sentence(5), sentence(0, None)],
    }
    done = convert(
        "msrvtt",
        tmp_path / "out",
        images=clips(tmp_path / "clips", ["video0.mp4"]),
        test=save(tmp_path / "info.json", info),
    )
    assert done.troubles == [
        "info.json, videos[1], video_id: video0 occurs twice",
        "info.json, videos[2], split: must be one of train, validate, test, not 'dev'",
        "info.json, sentences[1], video_id: video5 is not among the videos",
        "info.json, sentences[2], caption: is missing",
        "info.json, videos[3], video_id: video2 has no caption",
    ]


def test_msrvtt_1k_a_is_a_split_of_its_own(tmp_path: Path) -> None:
    info = {"videos": [video(0), video(9770, "test")], "sentences": [sentence(0), sentence(9770)]}
    csv = 'key,vid_key,video_id,sentence\nret0,msr9770,video9770,"a person, talking"\n'
    train = save(tmp_path / "MSRVTT_train.9k.csv", "video_id\nvideo0\nvideo3\n")
    done = convert(
        "msrvtt",
        tmp_path / "out",
        images=clips(tmp_path / "clips", ["video0.mp4", "video9770.mp4"]),
        data=save(tmp_path / "MSRVTT_data.json", info),
        train_1kA=train,
        test_1kA=save(tmp_path / "MSRVTT_JSFUSION_test.csv", csv),
    )
    assert [record.caption for record in done.records("1k-A-train")] == [("a car",)]
    (test,) = done.records("1k-A-test")
    assert (test.id, test.caption) == ("video9770", ("a person, talking",))
    assert done.troubles == [
        "MSRVTT_train.9k.csv, line 3, video_id: no captions are known of 'video3'"
    ]
    with pytest.raises(DataError, match="give their captions too"):
        convert("msrvtt", tmp_path / "other", images=tmp_path, train_1kA=train)


def test_msrvtt_questions_have_one_answer_and_broken_ones_are_named(tmp_path: Path) -> None:
    row = {"id": 5, "video_id": 7010, "category_id": 1, "question": "what?", "answer": "couch"}
    rows = [row, {**row, "id": 6, "answer": ""}, {**row, "id": 7, "video_id": "seven"}]
    done = convert(
        "msrvtt",
        tmp_path / "out",
        images=clips(tmp_path / "clips", ["video7010.mp4"]),
        qa_test=save(tmp_path / "test_qa.json", rows),
    )
    (record,) = done.records("qa-test")
    assert (record.id, record.image_id) == ("5", "msrvtt:video7010")
    assert (record.question, record.answers) == ("what?", (Answer("couch"),))
    assert done.troubles == [
        "test_qa.json, [1], answer: is empty",
        "test_qa.json, [2], video_id: must be a whole number, not 'seven'",
    ]


CLIP = "-4wsuPCjDBc_5_15"


def msvd_captions(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def test_msvd_captions_and_questions_of_a_clip_have_the_same_picture_id(tmp_path: Path) -> None:
    spoken = {CLIP: [["a", "squirrel", "is", "eating"], ["an", "animal"]]}
    row = {"id": 0, "video_id": 1, "question": "what eats?", "answer": "squirrel"}
    done = convert(
        "msvd",
        tmp_path / "out",
        images=clips(tmp_path / "clips", [f"{CLIP}.avi"]),
        captions=msvd_captions(tmp_path / "raw-captions.pkl", spoken),
        train=save(tmp_path / "train_list.txt", f"{CLIP}\n"),
        mapping=save(tmp_path / "youtube_mapping.txt", f"{CLIP} vid1\n"),
        qa_train=save(tmp_path / "train_qa.json", [row]),
    )
    (caption,), (question,) = done.records("train"), done.records("qa-train")
    assert caption.caption == ("a squirrel is eating", "an animal")
    assert caption.image_id == question.image_id == f"msvd:{CLIP}"
    assert caption.video == question.video
    assert question.answers == (Answer("squirrel"),)


def test_msvd_names_broken_rows_and_questions_can_do_without_the_mapping(tmp_path: Path) -> None:
    row = {"id": 0, "video_id": 1, "question": "what eats?", "answer": "squirrel"}
    inputs: dict[str, Any] = {
        "captions": msvd_captions(tmp_path / "raw-captions.pkl", {CLIP: [["a", 5]], "b": []}),
        "val": save(tmp_path / "val_list.txt", f"{CLIP}\nb\nunknown\n"),
        "qa_val": save(
            tmp_path / "val_qa.json", [row, {**row, "id": 1, "video_id": 2, "question": None}]
        ),
    }
    images = clips(tmp_path / "clips", ["vid1.avi"])
    done = convert("msvd", tmp_path / "out", images=images, **inputs)
    assert done.troubles == [
        f"val_list.txt, line 1, captions: those of {CLIP}: [1] must be text, not a number",
        "val_list.txt, line 2, captions: those of b: must be a list of captions",
        "val_list.txt, line 3: no captions are known of 'unknown'",
        "val_qa.json, [1], question: is missing",
    ]
    assert done.records("qa-val")[0].image_id == "msvd:vid1"
    mapping = save(tmp_path / "youtube_mapping.txt", f"{CLIP} vid1\nbroken\n")
    named = convert("msvd", tmp_path / "more", images=images, mapping=mapping, **inputs).troubles
    assert "youtube_mapping.txt, line 2: must be the name of a clip and its vid<number>" in named
    assert "val_qa.json, [1], video_id: vid2 is not in the mapping" in named


def test_msvd_captions_are_read_without_running_them(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "planted"), "w")

    captions = msvd_captions(tmp_path / "raw-captions.pkl", Hostile())
    listed = save(tmp_path / "train_list.txt", CLIP)
    with pytest.raises(DataError, match=r"names io\.open"):
        convert("msvd", tmp_path / "out", images=tmp_path, captions=captions, train=listed)
    assert not (tmp_path / "planted").exists()
    with pytest.raises(DataError, match="go together"):
        convert("msvd", tmp_path / "out", images=tmp_path, captions=captions)


YOUTUBE = "Ptf_2VRj-V0_000122_000132"


def test_vatex_takes_english_captions_and_the_private_test_has_none(tmp_path: Path) -> None:
    row = {"videoID": YOUTUBE, "enCap": ["A man skis. ", "He skis."], "chCap": ["滑雪"]}
    done = convert(
        "vatex",
        tmp_path / "out",
        images=clips(tmp_path / "clips", [f"{YOUTUBE}.mp4"]),
        train=save(tmp_path / "vatex_training_v1.0.json", [row]),
        private_test=save(tmp_path / "private.json", [{"videoID": YOUTUBE}]),
    )
    (train,), (private,) = done.records("train"), done.records("private_test")
    assert (train.id, train.image_id) == (YOUTUBE, f"vatex:{YOUTUBE}")
    assert train.caption == ("A man skis.", "He skis.")
    assert private.caption == ()


def test_vatex_names_broken_rows_and_clips_that_are_gone(tmp_path: Path) -> None:
    row = {"videoID": YOUTUBE, "enCap": ["A man skis."]}
    gone = "Ptf_2VRj-V1_000122_000132"
    rows = [row, {**row, "videoID": "clip7"}, {"videoID": gone}, {**row, "videoID": gone}]
    done = convert(
        "vatex",
        tmp_path / "out",
        images=clips(tmp_path / "clips", [f"{YOUTUBE}.mp4"]),
        val=save(tmp_path / "val.json", rows),
    )
    assert done.troubles == [
        "val.json, [1], videoID: is not <video>_<start>_<end>: 'clip7'",
        "val.json, [2], enCap: is missing",
    ]
    assert [row["id"] for row in done.lines("missing")] == [gone]
