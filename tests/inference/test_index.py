import os
import threading
from pathlib import Path

import numpy as np
import pytest

from mplug.errors import DataError
from mplug.inference import index
from mplug.inference.index import CACHE_FOLDER, Embedder, build_index, find_images, search


class Reader:
    """Embeds a file as the angle of its number, and remembers what it was asked to read."""

    def __init__(self, fingerprint: str = "a") -> None:
        self.asked: list[str] = []
        self.embedder = Embedder(fingerprint, dim=2, read=self.read, embed=self.embed)

    def read(self, path: Path) -> float:
        self.asked.append(path.name)
        try:
            return float(path.read_text())
        except ValueError as error:
            raise DataError(f"{path}: no number") from error

    @staticmethod
    def embed(angles: list[float]) -> np.ndarray:
        return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my pictures"
    (folder / "inner").mkdir(parents=True)
    for name, angle in {"b.png": "0.5", "a.JPG": "0.1", "inner/c.webp": "1.2"}.items():
        (folder / name).write_text(angle)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_pictures_are_found_below_the_folder_by_name_and_not_in_hidden_ones(folder: Path) -> None:
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "d.png").write_text("1")
    (folder / ".e.png").write_text("1")
    found = [path.relative_to(folder).as_posix() for path in find_images(folder)]
    assert found == ["a.JPG", "b.png", "inner/c.webp"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        find_images(tmp_path / "nowhere")


def test_rows_belong_to_their_paths(folder: Path) -> None:
    gallery = build_index(folder, embedder=Reader().embedder)
    assert [path.name for path in gallery.paths] == ["a.JPG", "b.png", "c.webp"]
    np.testing.assert_array_equal(gallery.embeddings, Reader.embed([0.1, 0.5, 1.2]))


def test_only_new_and_changed_files_are_read_again(folder: Path) -> None:
    build_index(folder, embedder=Reader().embedder)
    (folder / "b.png").write_text("0.25")
    (folder / "d.png").write_text("2.0")
    (folder / "a.JPG").unlink()
    reader = Reader()
    gallery = build_index(folder, embedder=reader.embedder)
    assert reader.asked == ["b.png", "d.png"]
    assert gallery.embedded == 2
    np.testing.assert_array_equal(gallery.embeddings, Reader.embed([0.25, 2.0, 1.2]))


def test_the_same_size_at_another_time_counts_as_changed(folder: Path) -> None:
    build_index(folder, embedder=Reader().embedder)
    (folder / "b.png").write_text("0.7")
    os.utime(folder / "b.png", ns=(1, 1))
    reader = Reader()
    build_index(folder, embedder=reader.embedder)
    assert reader.asked == ["b.png"]


def test_an_index_that_is_up_to_date_is_not_written_again(folder: Path) -> None:
    build_index(folder, embedder=Reader().embedder)
    (file,) = (folder / CACHE_FOLDER).iterdir()
    os.utime(file, ns=(7, 7))
    build_index(folder, embedder=Reader().embedder)
    assert file.stat().st_mtime_ns == 7


def test_every_model_has_its_own_index(folder: Path) -> None:
    build_index(folder, embedder=Reader("a").embedder)
    other = Reader("b")
    build_index(folder, embedder=other.embedder)
    assert len(other.asked) == 3
    assert {path.name for path in (folder / CACHE_FOLDER).iterdir()} == {
        "a.safetensors",
        "b.safetensors",
    }


def test_broken_pictures_are_listed_kept_out_and_tried_again(folder: Path) -> None:
    (folder / "b.png").write_text("<html>")
    gallery = build_index(folder, embedder=Reader().embedder)
    assert gallery.unreadable == {folder / "b.png": f"{folder / 'b.png'}: no number"}
    assert [path.name for path in gallery.paths] == ["a.JPG", "c.webp"]
    again = Reader()
    assert build_index(folder, embedder=again.embedder).unreadable == gallery.unreadable
    assert again.asked == ["b.png"]


def test_an_empty_folder_gives_an_empty_index(tmp_path: Path) -> None:
    gallery = build_index(tmp_path, embedder=Reader().embedder)
    assert gallery.paths == []
    assert gallery.embeddings.shape == (0, 2)
    assert search(gallery.embeddings, np.ones(2, dtype=np.float32), top=3, rerank=2) == []


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\xff" * 4096])
def test_a_damaged_index_is_made_again_and_the_user_told(folder: Path, damage: bytes) -> None:
    build_index(folder, embedder=Reader().embedder)
    (file,) = (folder / CACHE_FOLDER).iterdir()
    file.write_bytes(damage)
    said: list[str] = []
    gallery = build_index(folder, embedder=Reader().embedder, report=said.append)
    assert gallery.embedded == 3
    assert len(said) == 1
    assert "damaged" in said[0]


def test_vectors_that_are_no_numbers_are_never_searched(folder: Path) -> None:
    poisoned = Embedder("a", dim=2, read=Reader().read, embed=lambda _: np.full((3, 2), np.nan))
    build_index(folder, embedder=poisoned, report=lambda _: None)
    gallery = build_index(folder, embedder=Reader().embedder, report=lambda _: None)
    assert gallery.embedded == 3


def test_a_folder_that_cannot_be_written_is_indexed_elsewhere_with_a_line(
    folder: Path, user_cache: Path
) -> None:
    (folder / CACHE_FOLDER).write_text("a file in the way, as good as a read-only disk")
    said: list[str] = []
    build_index(folder, embedder=Reader().embedder, report=said.append)
    reader = Reader()
    build_index(folder, embedder=reader.embedder, report=said.append)
    assert reader.asked == []
    assert said[0].startswith(f"{folder} cannot be written: its index is kept in {user_cache}")


def test_where_nothing_can_be_written_searching_still_works(folder: Path, user_cache: Path) -> None:
    (folder / CACHE_FOLDER).write_text("in the way")
    user_cache.write_text("in the way")
    said: list[str] = []
    gallery = build_index(folder, embedder=Reader().embedder, report=said.append)
    assert len(gallery.paths) == 3
    assert said == [line for line in said if "the index is not kept" in line]


def test_an_interrupted_run_keeps_what_it_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BATCH", 1)
    monkeypatch.setattr(index, "SAVE_EVERY", 1)
    reader = Reader()

    def stop(path: Path) -> float:
        if path.name == "c.webp":
            raise KeyboardInterrupt
        return reader.read(path)

    stopping = Embedder("a", dim=2, read=stop, embed=reader.embed)
    with pytest.raises(KeyboardInterrupt):
        build_index(folder, embedder=stopping, report=lambda _: None)
    after = Reader()
    build_index(folder, embedder=after.embedder, report=lambda _: None)
    assert after.asked == ["c.webp"]


def test_indexing_the_same_folder_at_once_is_safe(folder: Path) -> None:
    said: list[str] = []
    for number in range(40):
        (folder / f"{number}.png").write_text(str(number / 40))

    def run(seed: int) -> None:
        for turn in range(10):
            os.utime(folder / f"{seed}.png", ns=(turn, turn))
            build_index(folder, embedder=Reader().embedder, report=said.append)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == []
    gallery = build_index(folder, embedder=Reader().embedder, report=said.append)
    angles = [float(path.read_text()) for path in gallery.paths]
    np.testing.assert_array_equal(gallery.embeddings, Reader.embed(angles))
    assert len(list((folder / CACHE_FOLDER).iterdir())) == 1


def test_what_killed_processes_left_is_removed(folder: Path) -> None:
    build_index(folder, embedder=Reader().embedder)
    left, busy = (folder / CACHE_FOLDER / f".a.safetensors.{name}" for name in ("left", "busy"))
    for path in (left, busy):
        path.write_bytes(b"half")
    os.utime(left, ns=(7, 7))
    (folder / "b.png").write_text("0.25")
    build_index(folder, embedder=Reader().embedder)
    assert not left.exists()
    assert busy.exists()


ROWS = Reader.embed([0.0, 0.3, 0.1, 0.2])
QUERY = np.array([1, 0], dtype=np.float32)


def test_the_nearest_come_first() -> None:
    places = search(ROWS, QUERY, top=3)
    assert [place.row for place in places] == [0, 2, 3]
    assert [place.match for place in places] == [None] * 3
    assert places[1].similarity == pytest.approx(np.cos(0.1))


def test_a_gallery_smaller_than_asked_for_is_returned_whole() -> None:
    assert [place.row for place in search(ROWS, QUERY, top=50)] == [0, 2, 3, 1]


def test_equal_similarities_keep_the_order_of_the_gallery() -> None:
    assert [place.row for place in search(ROWS[[1, 1, 0, 1]], QUERY, top=4)] == [2, 0, 1, 3]


@pytest.mark.parametrize("top", [1, 2, 3, 4, 5, 6])
def test_a_few_of_many_are_the_first_of_all_sorted(top: int) -> None:
    rows = ROWS[[1, 3, 0, 3, 1, 2]]
    everything = [place.row for place in search(rows, QUERY, top=6)]
    assert [place.row for place in search(rows, QUERY, top=top)] == everything[:top]


def test_reranking_orders_the_nearest_by_matching_and_leaves_the_rest() -> None:
    asked: list[list[int]] = []

    def match(rows: list[int]) -> np.ndarray:
        asked.append(rows)
        return np.array([0.2, 0.9, 0.5])

    places = search(ROWS, QUERY, top=4, rerank=3, match=match)
    assert asked == [[0, 2, 3]]
    assert [(place.row, place.match) for place in places] == [
        (2, 0.9),
        (3, 0.5),
        (0, 0.2),
        (1, None),
    ]


def test_more_can_be_reranked_than_are_shown() -> None:
    places = search(ROWS, QUERY, top=1, rerank=4, match=lambda rows: np.arange(len(rows)))
    assert [place.row for place in places] == [1]
