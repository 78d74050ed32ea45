import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mplug.data.regions.stored import Regions, load_regions, save_regions
from mplug.errors import DataError

RANDOM = np.random.default_rng(0)


def regions(count: int = 3, *, width: int = 5, classes: int = 4) -> Regions:
    corners = RANDOM.uniform(0, 0.5, (count, 2))
    boxes = np.concatenate([corners, corners + RANDOM.uniform(0.1, 0.5, (count, 2))], axis=1)
    return Regions(
        RANDOM.normal(size=(count, width)).astype(np.float32),
        boxes.astype(np.float32),
        RANDOM.uniform(size=count).astype(np.float32),
        RANDOM.dirichlet(np.ones(classes), count).astype(np.float32),
    )


def written(folder: Path, **arrays: np.ndarray) -> Path:
    file = folder / "picture.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    before = regions()
    save_regions(tmp_path / "a.npz", before)
    after = load_regions(tmp_path / "a.npz")
    np.testing.assert_array_equal(after.boxes, before.boxes)
    np.testing.assert_array_equal(after.confidence, before.confidence)
    np.testing.assert_allclose(after.features, before.features, atol=2e-3)
    assert before.soft_labels is not None
    assert after.soft_labels is not None
    np.testing.assert_allclose(after.soft_labels, before.soft_labels, atol=1e-3)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_soft_labels_may_be_left_out(tmp_path: Path) -> None:
    one = regions()
    save_regions(tmp_path / "a.npz", Regions(one.features, one.boxes, one.confidence))
    assert load_regions(tmp_path / "a.npz").soft_labels is None


def test_uniters_own_files_are_read(tmp_path: Path) -> None:
    one = regions()
    assert one.soft_labels is not None
    more = np.zeros((3, 2))  # width and height, which are known from the corners
    file = written(
        tmp_path,
        features=one.features.astype(np.float16),
        norm_bb=np.concatenate([one.boxes, more], axis=1).astype(np.float16),
        conf=one.confidence,
        soft_labels=one.soft_labels,
    )
    np.testing.assert_allclose(load_regions(file).boxes, one.boxes, atol=1e-3)


def test_sure_regions_are_kept_and_never_too_few_or_too_many() -> None:
    one = regions(6)
    one = Regions(one.features, one.boxes, np.array([0.1, 0.9, 0.3, 0.05, 0.5, 0.2], np.float32))
    kept = one.kept(confidence=0.2, at_least=2, at_most=100)
    np.testing.assert_allclose(kept.confidence, [0.9, 0.5, 0.3])
    np.testing.assert_array_equal(kept.features, one.features[[1, 4, 2]])
    assert len(one.kept(confidence=0.95, at_least=2)) == 2
    assert len(one.kept(confidence=0.0, at_least=2, at_most=4)) == 4
    assert len(one.kept()) == 6  # fewer than the least are all there is


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"boxes": np.ones((2, 4))}, "features is \\[3, 5\\]"),
        ({"boxes": np.full((3, 4), 37.0)}, "in shares"),
        ({"boxes": np.array([[0.5, 0, 0.1, 1]] * 3)}, "in shares"),
        ({"features": np.full((3, 5), np.nan)}, "not finite"),
        ({"confidence": np.ones((3, 1))}, "confidence is \\[3, 1\\]"),
        ({"features": np.array([{}] * 3)}, "not numbers"),
        ({"confidence": None}, "holds no confidence"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(
    tmp_path: Path, change: dict[str, np.ndarray | None], reason: str
) -> None:
    one = regions()
    arrays: dict[str, np.ndarray | None] = {
        "features": one.features,
        "boxes": one.boxes,
        "confidence": one.confidence,
    }
    arrays |= change
    file = written(tmp_path, **{name: each for name, each in arrays.items() if each is not None})
    with pytest.raises(DataError, match=reason) as caught:
        load_regions(file)
    assert str(file) in str(caught.value)


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 4)}
    )
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("boxes.npy", header.getvalue())
    with pytest.raises(DataError, match="claims"):
        load_regions(file)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense", b"text"])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        load_regions(file)


def test_a_file_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mplug regions"):
        load_regions(tmp_path / "a.npz")
