import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from mplug.data.records import read_records
from mplug.data.scenes.deb import MAGIC, read_members
from mplug.data.scenes.stamps import COPYRIGHT, ROOT, build_stamps, fetch_package, listed_stamps
from mplug.errors import DataError

STAMPS = [stamp for stamp in listed_stamps() if stamp.path.suffix == ".png"][:9]


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (5, 7), (255, 0, 0, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def part(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)


def package(path: Path, files: Mapping[str, bytes]) -> Path:
    """A Debian package with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", b"")]
    data = [part(name, content or buffer.getvalue()) for name, content in parts]
    path.write_bytes(MAGIC + b"".join(data))
    return path


def stamps(*, captions: Mapping[int, str] | None = None) -> dict[str, bytes]:
    """Nine stamps called "A thing 0." and so on, with German captions for all but the last."""
    files = {COPYRIGHT: b"GPL-2"}
    for number, stamp in enumerate(STAMPS):
        english = (captions or {}).get(number, f"A thing {number}. Look!")
        german = f"de.utf8=Ein Ding {number}.\n" if number < 8 else ""
        files[f"{ROOT}/{stamp.path}"] = png()
        files[f"{ROOT}/{stamp.path.with_suffix('.txt')}"] = f"{english}\n{german}".encode()
    return files


def test_stamps_become_records_with_the_first_sentence_as_caption(tmp_path: Path) -> None:
    deb = package(tmp_path / "stamps.deb", stamps())
    summary = build_stamps(tmp_path / "out", deb=deb, validation=2, test=3)
    assert summary.records == {"train.jsonl": 4, "validation.jsonl": 2, "test.jsonl": 3}
    assert summary.left_out == {"not in this package": len(listed_stamps()) - 9}
    captions = set()
    for name in summary.records:
        found = read_records(tmp_path / "out" / name)
        assert not found.problems
        captions |= {record.caption for record in found.records}
        assert all(Path(record.images[0]).is_file() for record in found.records)
    assert captions == {(f"A thing {number}.",) for number in range(9)}
    assert (tmp_path / "out" / "copyright").read_bytes() == b"GPL-2"
    assert "GNU General Public License" in (tmp_path / "out" / "README.md").read_text()


def test_captions_come_in_any_language_of_the_package(tmp_path: Path) -> None:
    deb = package(tmp_path / "stamps.deb", stamps())
    summary = build_stamps(tmp_path / "out", deb=deb, language="de", validation=1, test=1)
    assert sum(summary.records.values()) == 8
    assert summary.left_out["without a caption in 'de'"] == 1
    records = read_records(tmp_path / "out" / "train.jsonl").records
    assert all(record.caption[0].startswith("Ein Ding") for record in records)
    with pytest.raises(DataError, match="no stamp has a caption in 'xx'; the languages are de, en"):
        build_stamps(tmp_path / "none", deb=deb, language="xx")


def test_pictures_that_share_a_caption_stay_in_training(tmp_path: Path) -> None:
    same = {1: "A hat.", 4: "a hat.", 6: "A hat."}
    deb = package(tmp_path / "stamps.deb", stamps(captions=same))
    build_stamps(tmp_path / "out", deb=deb, validation=2, test=3)
    training = read_records(tmp_path / "out" / "train.jsonl").records
    assert sum(record.caption[0].lower() == "a hat." for record in training) == 3


def test_the_same_seed_writes_the_same_splits(tmp_path: Path) -> None:
    deb = package(tmp_path / "stamps.deb", stamps())
    texts = []
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        build_stamps(tmp_path / name, deb=deb, validation=2, test=3, seed=seed)
        texts.append((tmp_path / name / "test.jsonl").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_splits_larger_than_the_package_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    deb = package(tmp_path / "stamps.deb", stamps())
    with pytest.raises(DataError, match="only 9 have a caption of their own"):
        build_stamps(tmp_path / "out", deb=deb, validation=4, test=5)
    assert [path.name for path in tmp_path.iterdir()] == ["stamps.deb"]


def test_only_the_files_asked_for_are_read_and_links_are_not_followed(tmp_path: Path) -> None:
    deb = package(tmp_path / "some.deb", {"../../etc/passwd": b"no", "wanted": b"yes"})
    assert read_members(deb, {"wanted", "missing"}) == {"wanted": b"yes"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("./wanted")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    deb.write_bytes(MAGIC + part("data.tar.gz", buffer.getvalue()))
    assert read_members(deb, {"wanted"}) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", MAGIC, MAGIC + b"short", MAGIC + part("data.tar.xz", b"not a tar")],
)
def test_files_that_are_no_package_are_named(tmp_path: Path, content: bytes) -> None:
    deb = tmp_path / "broken.deb"
    deb.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.deb"):
        read_members(deb, {"wanted"})


def test_another_package_is_told_from_this_one(tmp_path: Path) -> None:
    deb = package(tmp_path / "other.deb", {"usr/bin/tool": b"binary"})
    with pytest.raises(DataError, match="is it tuxpaint-stamps-default"):
        build_stamps(tmp_path / "out", deb=deb)


def test_without_apt_it_says_where_to_get_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="download the .deb from"):
        build_stamps(tmp_path / "out")


@pytest.mark.slow
def test_the_real_package_gives_six_hundred_stamps(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    try:
        deb = fetch_package(tmp_path)
    except DataError as error:  # no mirror in reach: of the stamps themselves nothing is skipped
        pytest.skip(str(error))
    summary = build_stamps(tmp_path / "out", deb=deb)
    assert sum(summary.records.values()) >= 500
    for name in summary.records:
        for record in read_records(tmp_path / "out" / name).require():
            with Image.open(record.images[0]) as image:
                image.load()
