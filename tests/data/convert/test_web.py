from pathlib import Path

import pytest

from mplug.errors import DataError
from tests.data.convert.files import convert, pictures, save


def downloaded(tmp_path: Path, *names: str) -> tuple[Path, Path]:
    """The folder of pictures, and a list that says which address became which."""
    lines = [f"http://example.org/{name}\t{name}\n" for name in names]
    return pictures(tmp_path / "saved", names), save(tmp_path / "list.tsv", "".join(lines))


def test_sbu_pictures_that_were_not_downloaded_are_listed_by_address(tmp_path: Path) -> None:
    images, saved = downloaded(tmp_path, "a.jpg")
    captions = {
        "image_urls": ["http://example.org/a.jpg", "http://example.org/gone.jpg"],
        "user_ids": ["1", "2"],
        "captions": ["a bridge ", "a boat"],
    }
    file = save(tmp_path / "sbu.json", captions)
    done = convert("sbu", tmp_path / "out", images=images, captions=file, downloaded=saved)
    [record] = done.records("train")
    assert record.caption == ("a bridge",)
    assert done.lines("missing") == [
        {"split": "train", "id": None, "image": "http://example.org/gone.jpg"}
    ]
    assert (done.report.missing_rows, done.report.found["train"]["rows"]) == (1, 2)


def test_sbu_names_broken_rows_and_refuses_lists_that_do_not_match(tmp_path: Path) -> None:
    images, saved = downloaded(tmp_path, "a.jpg")
    address = "http://example.org/a.jpg"
    captions = {"image_urls": [address, "a.jpg", address], "captions": ["a", "b", ""]}
    file = save(tmp_path / "sbu.json", captions)
    done = convert("sbu", tmp_path / "out", images=images, captions=file, downloaded=saved)
    assert done.troubles == [
        "sbu.json, [1], address: must be a web address, not 'a.jpg': are columns swapped?",
        "sbu.json, [2], caption: is empty",
    ]
    save(file, {"image_urls": [address], "captions": []})
    with pytest.raises(DataError, match="1 image_urls and 0 captions"):
        convert("sbu", tmp_path / "other", images=images, captions=file, downloaded=saved)


def test_cc3m_and_cc12m_have_their_columns_in_opposite_order(tmp_path: Path) -> None:
    images, saved = downloaded(tmp_path, "a.jpg")
    caption, address = 'a "quoted word', "http://example.org/a.jpg"
    cc3m = save(tmp_path / "cc3m.tsv", f"{caption}\t{address}\n")
    cc12m = save(tmp_path / "cc12m.tsv", f"{address}\t{caption}\n")
    for name, file in (("cc3m", cc3m), ("cc12m", cc12m)):
        done = convert(name, tmp_path / name, images=images, train=file, downloaded=saved)
        assert done.records("train")[0].caption == (caption,)


@pytest.mark.parametrize("name", ["cc3m", "cc12m"])
def test_cc_names_broken_lines(tmp_path: Path, name: str) -> None:
    images, saved = downloaded(tmp_path, "a.jpg")
    columns = ["a caption", "http://example.org/a.jpg"]
    good, swapped = columns[:: 1 if name == "cc3m" else -1], columns[:: -1 if name == "cc3m" else 1]
    lines = ["\t".join(good), "one column", "\t".join(swapped)]
    file = save(tmp_path / "cc.tsv", "\n".join(lines) + "\n")
    done = convert(name, tmp_path / "out", images=images, train=file, downloaded=saved)
    assert done.troubles == [
        "cc.tsv, line 2: has 1 columns, not a caption and an address",
        "cc.tsv, line 3, address: must be a web address, not 'a caption': are columns swapped?",
    ]


def test_the_folder_that_img2dataset_wrote_says_what_was_downloaded(tmp_path: Path) -> None:
    images = pictures(tmp_path / "saved", ["00000/000000000.jpg", "00000/000000001.png"])
    for number in (0, 1, 2):  # the last was not saved
        sidecar = {"url": f"http://example.org/{number}", "status": "success"}
        save(images / f"00000/00000000{number}.json", sidecar)
    save(images / "00000_stats.json", {"count": 3})
    lines = [f"caption {number}\thttp://example.org/{number}\n" for number in (2, 1, 0)]
    file = save(tmp_path / "cc.tsv", "".join(lines))
    done = convert("cc3m", tmp_path / "out", images=images, validation=file, downloaded=images)
    assert [record.caption[0] for record in done.records("validation")] == [
        "caption 1",
        "caption 0",
    ]


def test_a_list_of_no_pictures_and_its_broken_lines_are_named(tmp_path: Path) -> None:
    images, saved = downloaded(tmp_path, "a.jpg")
    with saved.open("a", encoding="utf-8") as file:
        file.write("http://example.org/b.jpg b.jpg\n")
    table = save(tmp_path / "cc.tsv", "a caption\thttp://example.org/a.jpg\n")
    done = convert("cc3m", tmp_path / "out", images=images, train=table, downloaded=saved)
    assert done.troubles == ["list.tsv, line 2: must be ADDRESS<TAB>FILE"]
    with pytest.raises(DataError, match="names no downloaded picture"):
        convert(
            "cc3m",
            tmp_path / "other",
            images=images,
            train=table,
            downloaded=save(tmp_path / "empty.tsv", ""),
        )
