import json
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mplug.data.check import CheckReport, Spread, check
from mplug.data.check_page import save_page
from mplug.data.tokenizer import Tokenizer
from tests.clips import gif, levels, write_clip


def save(folder: Path, name: str, *, size: tuple[int, int] = (40, 30), grey: int = 0) -> str:
    Image.new("RGB", size, (grey,) * 3).save(folder / name)
    return name


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "data.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


@pytest.fixture
def report(tmp_path: Path) -> CheckReport:
    """Six rows: three good ones, a broken picture, a box outside, an unknown field."""
    (tmp_path / "broken.jpg").write_bytes(b"<html>")
    one, other = save(tmp_path, "a.png"), save(tmp_path, "b.png", size=(80, 20), grey=9)
    file = write(
        tmp_path,
        {"image": one, "caption": ["a red cat", "a cat"], "boxes": [[1, 2, 40, 30]]},
        {"image": other, "caption": "a cat"},
        {"image": "broken.jpg", "caption": "never counted"},
        {"image": one, "phrase": "cat", "boxes": [[0, 0, 5, 5], [10, 10, 50, 20]]},
        {"image": one, "captoin": "x"},
        {"image": other, "caption": "a cat", "objects": [{"name": "cat", "box": [0, 0, 9, 9]}]},
    )
    return check(file)


def test_bad_rows_are_located_whether_the_text_or_the_picture_is_bad(report: CheckReport) -> None:
    assert [(p.line, p.field) for p in report.problems] == [
        (5, "captoin"),
        (3, "image"),
        (4, "boxes"),
    ]
    assert report.problems[1].reason.endswith("broken.jpg: an HTML page, not an image")
    assert report.problems[2].reason == (
        "[10.0, 10.0, 50.0, 20.0] is outside the picture, which is 40 x 30"
    )
    assert (report.rows, report.bad_rows, report.good_rows) == (6, 3, 3)


def test_only_good_rows_are_counted(report: CheckReport) -> None:
    assert report.fields == {"image": 3, "caption": 3, "boxes": 1, "objects": 1}
    assert (report.images, report.captions, report.distinct_words) == (2, 4, 3)
    assert report.width == Spread(40, 60, 60, 80)
    assert report.words == Spread(2, 2, 2.25, 3)
    assert report.common_words == (("a", 4), ("cat", 4), ("red", 1))


def test_repetitions_are_found(report: CheckReport) -> None:
    assert report.repeated_rows.count == 1
    assert report.repeated_captions.first == ("a cat",)
    assert report.repeated_pictures.count == 0


def test_the_same_file_under_two_names_is_found(tmp_path: Path) -> None:
    rows = [{"image": save(tmp_path, name), "caption": "x"} for name in ("a.png", "b.png")]
    found = check(write(tmp_path, *rows)).repeated_pictures
    assert found.count == 1
    assert found.first[0].endswith("b.png")


def test_boxes_lie_in_the_picture_as_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: 40 x 30 in the file is seen as 30 x 40
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    file = write(
        tmp_path,
        {"image": "turned.jpg", "caption": "x", "boxes": [[0, 0, 30, 40]]},
        {"image": "turned.jpg", "caption": "x", "boxes": [[0, 0, 40, 30]]},
    )
    assert [problem.line for problem in check(file).problems] == [2]


def test_a_folder_is_checked_as_well(tmp_path: Path) -> None:
    save(tmp_path, "a.png")
    (tmp_path / "a.txt").write_text("one cat\ntwo cats")
    report = check(tmp_path)
    assert (report.rows, report.captions, report.bad_rows) == (1, 2, 0)


def test_a_tokenizer_adds_the_length_in_tokens_and_the_unknown_share(tmp_path: Path) -> None:
    file = write(tmp_path, {"image": save(tmp_path, "a.png"), "caption": "a cat ψ ψ"})
    report = check(file, tokenizer=Tokenizer.train(["a cat"] * 2, vocab_size=600))
    assert report.tokens == Spread(4, 4, 4, 4)
    assert report.unknown_share == 0.5


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    rows = [{"image": save(tmp_path, f"{n}.png"), "caption": "x"} for n in range(5)]
    seen: list[tuple[int, int]] = []
    check(write(tmp_path, *rows), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)


def test_an_empty_data_set_is_reported_and_not_an_error(tmp_path: Path) -> None:
    report = check(write(tmp_path))
    assert (report.rows, report.images, report.width) == (0, 0, None)
    save_page(report, tmp_path / "page.html")


def test_the_report_is_json(report: CheckReport) -> None:
    content = json.loads(json.dumps(report.to_dict()))
    assert content["problems"][0]["line"] == 5
    assert "previews" not in content


class Page(HTMLParser):
    """What a browser would build: the tags and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_problems_and_pictures_and_needs_no_other_file(
    report: CheckReport, tmp_path: Path
) -> None:
    save_page(report, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.tags.count("img") == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    for words in ("3 of 6 rows cannot be used", "did you mean", "a red cat", "40 x 30"):
        assert words in page.text


def test_nothing_that_users_wrote_becomes_markup(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    file = write(
        tmp_path,
        {"image": save(tmp_path, "<b>.png"), "caption": hostile, "question": hostile},
        {"image": "<i>.png", hostile: 1},
    )
    report = check(file)
    save_page(report, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not {"script", "b", "i"} & set(page.tags)
    assert page.tags.count("img") == 1
    assert hostile in page.text


def test_a_large_set_is_previewed_at_equal_distances(tmp_path: Path) -> None:
    name = save(tmp_path, "a.png")
    rows = [{"image": name, "caption": f"number {n}"} for n in range(200)]
    previews = check(write(tmp_path, *rows)).previews
    assert len(previews) == 48
    assert previews[0].fields[0] == ("caption", "number 0")
    assert previews[-1].fields[0] == ("caption", "number 195")


def test_clips_are_checked_beside_pictures(tmp_path: Path) -> None:
    save(tmp_path, "a.png", size=(10, 10))
    write_clip(tmp_path / "good.mp4", count=20)
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "good.mp4").read_bytes()[:300])
    file = write(
        tmp_path,
        {"image": "a.png", "caption": "x"},
        {"video": "good.mp4", "caption": ["grey grows", "it gets lighter"]},
        {"video": "broken.mp4", "caption": "never counted"},
        {"video": "a.png", "caption": "no clip"},
    )
    report = check(file)
    assert [(p.line, p.field) for p in report.problems] == [(3, "video"), (4, "video")]
    assert "broken.mp4: damaged or truncated" in report.problems[0].reason
    assert (report.images, report.clips, report.captions) == (1, 1, 3)
    assert report.clip_frames == Spread(20, 20, 20, 20)
    assert report.clip_seconds == Spread(2, 2, 2, 2)
    assert report.width == Spread(10, 37, 37, 64)
    picture, clip = report.previews
    assert picture.size == (10, 10)
    assert clip.fields[0] == ("video", "20 frames, 2.0 seconds")
    shown = Image.open(BytesIO(clip.thumbnail)).convert("L")
    assert levels([shown]) == [10]  # the middle one
    save_page(report, tmp_path / "page.html")
    assert "frames in a clip" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_animated_gif_is_a_picture_or_a_clip_as_its_field_says(tmp_path: Path) -> None:
    greys = [Image.new("RGB", (20, 10), (8 * place,) * 3) for place in range(3)]
    (tmp_path / "a.gif").write_bytes(gif(greys))
    file = write(
        tmp_path, {"image": "a.gif", "caption": "still"}, {"video": "a.gif", "caption": "moving"}
    )
    report = check(file)
    assert (report.bad_rows, report.images, report.clips) == (0, 1, 1)
    assert report.clip_frames == Spread(3, 3, 3, 3)
