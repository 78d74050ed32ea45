"""The page as a reader without a browser sees it: whole, self-contained, escaped, labelled."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from mplug.interfaces.report.content import Report, Score
from mplug.interfaces.report.examples import CaptionExample
from mplug.interfaces.report.page import page, write_report
from tests.interfaces.report.sample import report, scores
from tests.interfaces.report.sample_parts import PICTURES
from tests.interfaces.report.shapes import SHAPES, picture

VOID = {"br", "img", "link", "meta"}


class Reader(HTMLParser):
    """Collects elements and checks that each is closed by its own end tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def whole() -> str:
    return page(report())


def test_every_section_is_there_in_order(whole: str) -> None:
    sections = [section["id"] for section in Reader(whole).all("section")]
    assert sections == [
        "scores",
        *("captions", "search", "answer", "ground", "compare", "entail", "clip"),
        *("learning", "time", "setup"),
    ]


def test_the_contents_lead_to_every_section(whole: str) -> None:
    contents = Reader(whole[whole.index("<nav") : whole.index("</nav>") + len("</nav>")])
    assert [link["href"] for link in contents.all("a")] == [
        f"#{section['id']}" for section in Reader(whole).all("section")
    ]
    assert "Pairs of pictures" in contents.texts


def test_every_element_is_closed_and_no_id_is_used_twice(whole: str) -> None:
    ids = [attributes["id"] for _, attributes in Reader(whole).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_elsewhere(whole: str) -> None:
    reader = Reader(whole)
    assert not {"script", "iframe", "object", "embed", "audio", "video"} & {
        tag for tag, _ in reader.elements
    }
    sources = [attributes["src"] for _, attributes in reader.elements if "src" in attributes]
    assert all(source.startswith("data:image/") for source in sources)
    assert [link["href"] for link in reader.all("link")] == ["data:,"]
    assert not re.search(r"url\(|@import", whole)
    policy = next(m for m in reader.all("meta") if m.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'")


def test_every_picture_decodes_and_is_described(whole: str) -> None:
    images = Reader(whole).all("img")
    assert len(images) == 2 * 8 + 2 * 3 * 5 + 1 + 4 + PICTURES
    for image in images:
        data = base64.b64decode(image["src"].split("base64,")[1])
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
        assert " left of " in image["alt"]


def test_every_score_stands_beside_its_interval_and_baselines(whole: str) -> None:
    texts = Reader(whole).texts
    for shown in ("61.2%", "57.2% – 65.2%", "2.4%", "4.31", "1.02"):
        assert shown in texts
    assert texts.count("✓ above all") == 8 + 2  # the better kind of question on both splits


def test_a_score_that_does_not_beat_a_baseline_says_which() -> None:
    one = {"pixel_neighbour": 0.06, "chance": 0.01}
    score = Score("retrieval", "test", "recall", 0.1, 0.05, 0.15, 9, one)
    assert "✗ not above nearest by pixels" in page(Report("t", (), scores=(score,)))
    lost = replace(score, baselines={"pixel_neighbour": 0.06, "chance": 0.07})
    assert "✗ above none" in page(Report("t", (), scores=(lost,)))
    few = replace(score, baselines={"a": 0.06, "b": 0.07, "c": 0.08, "chance": 0.01})
    assert "✗ not above 3 of 4" in page(Report("t", (), scores=(few,)))


def test_each_task_has_a_table_with_its_own_baselines(whole: str) -> None:
    section = whole.split('id="scores"')[1].split("</section>")[0]
    search, described = section.split("<h3>Captions</h3>")
    assert "commonest caption" not in search
    assert "commonest caption" in described


def test_right_wrong_and_missed_names_are_told_apart_without_colour() -> None:
    example = CaptionExample(
        picture("hot dog", "tree"),
        "test",
        "a hot dog left of a dog",
        ("a hot dog left of a tree",),
        frozenset({"hot dog", "tree"}),
    )
    text = page(Report("t", (), names=frozenset(SHAPES), captions=(example,)))
    aloud = r'<mark class="{0}">{1}<span class="aloud"> \({0}\)</span></mark>'
    assert re.search(aloud.format("right", "hot dog"), text)
    assert re.search(aloud.format("wrong", "dog"), text)
    assert re.search(aloud.format("missed", "tree"), text)
    assert "1 of 2 named" in text


def test_a_perfect_caption_is_ticked_and_an_empty_one_is_said_to_be_empty() -> None:
    example = report().captions[0]
    perfect = replace(example, predicted=example.references[0])
    assert "✓ 2 of 2 named" in page(Report("t", (), captions=(perfect,)))
    assert "(nothing)" in page(Report("t", (), captions=(replace(example, predicted=" "),)))


def test_the_right_picture_is_framed_and_its_place_named(whole: str) -> None:
    framed = [item for item in Reader(whole).all("li") if item.get("class") == "right"]
    assert len(framed) == 4  # places 1 and 3 on two splits; 42 is not among the five
    assert whole.count("✓ right one: 1st of 500") == 2
    assert whole.count("✓ right one: 3rd of 500") == 2
    assert whole.count(">right one: 42nd of 500") == 2


def test_text_from_outside_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>\"'&"
    example = replace(
        report().captions[0],
        predicted=evil,
        references=(evil,),
        split=evil,
        picture=replace(report().captions[0].picture, description=evil),
    )
    search = replace(report().searches[0], query=evil)
    score = replace(scores()[0], split=evil, metric=evil, signature=evil, baselines={evil: 0.1})
    hostile = replace(
        report(),
        title=evil,
        lead=(evil,),
        captions=(example,),
        searches=(search,),
        scores=(score,),
        configurations={evil: {evil: evil}},
        environment={evil: evil},
    )
    reader = Reader(page(hostile))
    assert not reader.all("script")
    assert {attributes["alt"] for attributes in reader.all("img")} >= {evil}


def test_an_empty_part_leaves_its_section_out() -> None:
    reader = Reader(page(Report("Nothing yet", ("Just begun.",))))
    assert reader.all("section") == []
    assert "Just begun." in reader.texts


def test_light_dark_phone_and_paper_are_provided_for(whole: str) -> None:
    assert "@media (prefers-color-scheme: dark)" in whole
    assert "@media screen and (max-width: 760px)" in whole  # paper is as narrow, but no phone
    assert "@media print" in whole
    assert any(meta.get("name") == "viewport" for meta in Reader(whole).all("meta"))


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("ink", "card"),
        ("soft", "page"),
        ("soft", "card"),
        ("soft", "track"),
        ("blue", "card"),
        ("blind", "card"),
        ("good", "good-back"),
        ("bad", "bad-back"),
        ("missed", "card"),
    ],
)
def test_words_stand_out_from_their_ground_in_both_schemes(
    whole: str, ink: str, ground: str
) -> None:
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
        for block in re.findall(r":root \{(.*?)\}", whole, flags=re.DOTALL)
    )
    for colours in (light, light | dark):
        assert _contrast(colours[ink], colours[ground]) >= 4.5  # WCAG 2, level AA


def _contrast(first: str, second: str) -> float:
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    levels = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_is_written_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "report.html"
    write_report(path, report())
    assert path.read_text("utf-8") == page(report())
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_the_same_report_gives_the_same_page() -> None:
    assert page(report()) == page(report())
