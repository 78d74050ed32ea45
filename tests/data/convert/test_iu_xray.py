import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mplug.data.convert.common import Trouble
from mplug.errors import DataError
from tests.data.convert.files import convert, convert_drawn, pictures, save


def report(number: int, *, images: int = 2, **sections: str) -> str:
    texts = "".join(
        f'<AbstractText Label="{label}">{text}</AbstractText>' for label, text in sections.items()
    )
    parents = "".join(
        f'<parentImage id="CXR{number}_{place}"><caption>x</caption>'
        "<panel><url>wrong.jpg</url></panel></parentImage>"
        for place in range(images)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><eCitation><MedlineCitation><Article><Abstract>'
        f"{texts}</Abstract></Article></MedlineCitation>{parents}</eCitation>"
    )


def write_reports(folder: Path, count: int) -> Path:
    for number in range(count):
        text = report(number, FINDINGS=f"Findings {number}.", IMPRESSION="Normal.")
        save(folder / f"{number}.xml", text)
    return folder


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("NLMCXR_png/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def test_findings_and_impression_caption_each_picture_whatever_their_order(tmp_path: Path) -> None:
    text = report(
        1, IMPRESSION="No  acute\n disease.", COMPARISON="None.", FINDINGS="Clear &amp; XXXX."
    )
    reports = save(tmp_path / "ecgen-radiology" / "1.xml", text).parent
    images = pictures(tmp_path / "png", ["CXR1_0.png", "CXR1_1.png"])
    done = convert("iu-xray", tmp_path / "out", images=images, reports=reports)
    records = done.records("train")
    assert [record.image_id for record in records] == ["iu-xray:CXR1_0", "iu-xray:CXR1_1"]
    assert {record.caption for record in records} == {("Clear & XXXX. No acute disease.",)}


def test_the_pictures_of_a_report_are_in_one_split_drawn_with_the_seed(tmp_path: Path) -> None:
    reports = write_reports(tmp_path / "r", 10)
    names = [f"CXR{number}_{place}.png" for number in range(10) for place in range(2)]
    images = pictures(tmp_path / "png", names)
    drawn = []
    for place, seed in enumerate((3, 3, 4)):
        folder = tmp_path / f"out{place}"
        done = convert_drawn("iu-xray", folder, {"reports": reports}, images=images, seed=seed)
        reports_of = {
            split: {str(record.id).split("_")[0] for record in done.records(split)}
            for split in ("train", "validation", "test")
        }
        assert Counter(map(len, reports_of.values())) == Counter([7, 1, 2])
        assert len(set.union(*reports_of.values())) == 10
        drawn.append(reports_of)
    assert drawn[0] == drawn[1] != drawn[2]


def test_reports_that_say_or_show_nothing_are_left_out_and_counted(tmp_path: Path) -> None:
    reports = write_reports(tmp_path / "r", 1)
    save(reports / "5.xml", report(5, INDICATION="Cough.", FINDINGS=""))
    save(reports / "6.xml", report(6, images=0, FINDINGS="Clear."))
    save(reports / "7.xml", report(0, images=0, IMPRESSION="Normal."))
    images = pictures(tmp_path / "png", ["CXR0_0.png", "CXR0_1.png"])
    done = convert("iu-xray", tmp_path / "out", images=images, reports=reports)
    assert done.report.left_out == {
        "a report without findings and impression": 1,
        "a report without pictures": 2,
    }


def test_broken_reports_are_named(tmp_path: Path) -> None:
    reports = write_reports(tmp_path / "r", 1)
    save(reports / "1.xml", "<eCitation>")
    save(reports / "2.xml", '<!DOCTYPE x [<!ENTITY a "b">]><eCitation/>')
    save(reports / "3.xml", report(3, FINDINGS="Clear.").replace("CXR3_1", "../../CXR3"))
    images = pictures(tmp_path / "png", ["CXR0_0.png", "CXR0_1.png", "CXR3_0.png"])
    done = convert("iu-xray", tmp_path / "out", images=images, reports=reports)
    named = {(each.file, each.place, each.field) for each in done.report.troubles}
    assert named == {
        ("1.xml", "the report", None),
        ("2.xml", "the report", None),
        ("3.xml", "parentImage[1]", "id"),
    }
    reasons = Counter(each.reason.split(":")[0] for each in done.report.troubles)
    assert set(reasons) == {
        "not XML",
        "defines entities, which no report does",
        "names no picture",
    }
    assert all(isinstance(each, Trouble) for each in done.report.troubles)


def test_archives_are_read_without_letting_their_names_lead_anywhere(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    content = report(1, FINDINGS="Clear.").encode()
    reports = write_tar(tmp_path / "r.tgz", {"ecgen-radiology/1.xml": content, "a/b.txt": b""})
    names = ["CXR1_0.png", "../../CXR1_1.png", "/tmp/.hidden.png"]
    png = write_tar(tmp_path / "p.tgz", {name: picture.getvalue() for name in names})
    done = convert("iu-xray", tmp_path / "out", images=None, reports=reports, pictures=png)
    assert len(done.records("train")) == 2
    found = sorted(path.name for path in (tmp_path / "out" / "images").iterdir())
    assert found == ["CXR1_0.png", "CXR1_1.png"]


def test_an_archive_that_was_cut_off_is_one_clear_error(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "r.tgz", {f"{number}.xml": b"<e/>" * 999 for number in range(9)})
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        convert("iu-xray", tmp_path / "out", images=tmp_path, reports=whole)
