"""A UNITER model as people use it, on pictures, on boxes in them, and on files of regions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mplug
from mplug.data.regions.batch import pad_regions
from mplug.data.regions.pictures import grid
from mplug.data.regions.stored import Regions
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.asking import Box
from mplug.interfaces.lacking import LacksVerb
from mplug.interfaces.region_files import make_regions
from mplug.interfaces.uniter_api import UniterModel
from mplug.tasks.uniter_objectives import seen as as_model_reads
from mplug.weights.uniter_folder import save_uniter
from tests.tiny import CARD, picture, save_tiny, tiny_tokenizer
from tests.tiny_uniter import ALL, ANSWERS, WIDTH, tiny_uniter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, pictures, their regions by `mplug regions`, and a model with all tasks."""
    folder = tmp_path_factory.mktemp("uniter")
    save_tiny(folder / "encoder")
    save_uniter(folder / "all", tiny_uniter(str(folder / "encoder"), *ALL), card=CARD)
    (folder / "photos").mkdir()
    for place in range(3):
        picture(place).save(folder / "photos" / f"{place}.png")
    encoder = str(folder / "encoder")
    make_regions(
        folder / "photos", folder / "regions", encoder=encoder, cells=grid(2, 3), boxes=None
    )
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> UniterModel:
    loaded = mplug.load(folder / "all", device="cpu")
    assert isinstance(loaded, UniterModel)
    return loaded


def test_a_picture_is_looked_at_as_mplug_regions_does(model: UniterModel, folder: Path) -> None:
    seen = model.read(folder / "photos" / "1.png", cells=(2, 3))
    stored = model.read(folder / "regions" / "1.npz", size=(37, 29))
    np.testing.assert_array_equal(seen.regions.boxes, stored.regions.boxes)
    np.testing.assert_allclose(seen.regions.features, stored.regions.features, atol=2e-2)
    assert seen.size == stored.size == (37, 29)
    assert len(model.read(picture(1)).regions) == 17  # a grid of 4 x 4 and the whole picture


def test_given_boxes_are_where_it_looks(model: UniterModel) -> None:
    boxes = [(0.0, 0.0, 20.0, 20.0), (15.0, 5.0, 37.0, 29.0)]
    seen = model.read(picture(1), boxes=boxes)
    sides = np.array([37, 29, 37, 29])
    np.testing.assert_allclose(seen.regions.boxes * sides, boxes, atol=1e-4)
    box = model.ground(seen, "a red boat")
    assert tuple(round(side) for side in box[:4]) in {(0, 0, 20, 20), (15, 5, 37, 29)}
    with pytest.raises(DataError, match="outside of it"):
        model.read(picture(1), boxes=[(40.0, 0.0, 50.0, 20.0)])
    with pytest.raises(DataError, match="is regions already"):
        model.read(seen, boxes=boxes)


@pytest.mark.parametrize("verb", ["answer", "ground", "entail"])
def test_lists_give_what_single_ones_do(model: UniterModel, folder: Path, verb: str) -> None:
    """Pictures of unlike numbers of regions, some from files, some drawn."""
    images = [picture(0), model.read(folder / "regions" / "1.npz", size=(37, 29)), picture(2)]
    texts = ["a boat", "a red trophy under a large moon", "two green boats"]
    ask = getattr(model, verb)
    together = ask(images, texts)
    alone = [ask(image, text) for image, text in zip(images, texts, strict=True)]
    assert len(together) == 3
    if verb == "answer":
        assert together == alone
        assert set(together) <= set(ANSWERS)
        return
    for one, other in zip(together, alone, strict=True):
        assert type(one) is (Box if verb == "ground" else dict)
        first, second = (
            list(each.values() if isinstance(each, dict) else each) for each in (one, other)
        )
        np.testing.assert_allclose(first, second, atol=1e-4)
    assert ask(images, texts[0])[0] == pytest.approx(together[0])


def test_a_region_s_score_is_its_share_of_all(model: UniterModel) -> None:
    boxes = [(0.0, 0.0, 9.0, 9.0), (10.0, 0.0, 19.0, 9.0), (20.0, 0.0, 29.0, 9.0)]
    found = model.ground(model.read(picture(4), boxes=boxes), "a boat", best=3)
    assert [box.score for box in found] == sorted((box.score for box in found), reverse=True)
    assert sum(box.score for box in found) == pytest.approx(1, abs=1e-5)
    best = model.ground(model.read(picture(4), boxes=boxes), "a boat")
    assert best == pytest.approx(found[0])
    with pytest.raises(ConfigError, match="best = 0"):
        model.ground(picture(4), "a boat", best=0)


def test_regions_without_their_picture_s_size_have_no_pixels(
    model: UniterModel, folder: Path
) -> None:
    with pytest.raises(DataError, match=r"1\.npz.*size="):
        model.ground(folder / "regions" / "1.npz", "a boat")
    assert model.answer(folder / "regions" / "1.npz", "what is it?") in ANSWERS


def test_of_given_answers_the_likeliest_is_chosen(model: UniterModel) -> None:
    assert model.answer(picture(1), "what is it?", answers=["a moon"]) == "a moon"
    free = model.answer(picture(1), "what is it?")
    assert model.answer(picture(1), "what is it?", answers=list(ANSWERS)) == free
    with pytest.raises(DataError, match="did you mean 'a boat'"):
        model.answer(picture(1), "what is it?", answers=["boat"])


def test_two_pictures_are_compared_in_their_order(model: UniterModel) -> None:
    one, other = picture(1), picture(2)
    found = model.compare([one, other], [other, one], "both show a boat")
    assert found.shape == (2,)
    assert found[0] == pytest.approx(model.compare(one, other, "both show a boat"), abs=1e-5)
    assert abs(found[0] - found[1]) > 1e-4


def test_pairs_are_scored_one_by_one_and_as_a_table(model: UniterModel) -> None:
    images, texts = [picture(0), picture(1)], ["a boat", "a red trophy", "a moon"]
    table = model.match(images, texts)
    assert table.shape == (2, 3)
    np.testing.assert_allclose(model.match(images[1], texts), table[1], atol=1e-5)
    np.testing.assert_allclose(model.match(images, texts[2]), table[:, 2], atol=1e-5)
    assert model.match(images[0], texts[0]) == pytest.approx(table[0, 0], abs=1e-5)
    assert model.match([], texts).shape == (0, 3)
    ranked = model.rank(images[0], texts)
    assert [one.text for one in ranked] == [texts[place] for place in np.argsort(-table[0])]
    assert {one.similarity for one in ranked} == {None}


def test_a_pretrained_model_matches_by_what_pretraining_taught(folder: Path) -> None:
    loaded = tiny_uniter(str(folder / "encoder"))
    model = UniterModel(loaded)
    seen = model.read(picture(0))
    matched = model.match(seen, "a boat")
    asked = [tiny_tokenizer().cls_id, *tiny_tokenizer().encode("a boat"), tiny_tokenizer().sep_id]
    with torch.no_grad():
        ids = torch.tensor([asked])
        joint = loaded.model.encode(
            ids, torch.ones_like(ids, dtype=torch.bool), as_model_reads(pad_regions([seen.regions]))
        )
        expected = loaded.model.match(joint.text).softmax(dim=1)[0, 1].item()
    assert matched == pytest.approx(expected, abs=1e-6)
    with pytest.raises(CheckpointError, match=r"pretrained only.*tasks\.ground\.weight=1"):
        model.ground(picture(0), "a boat")


def test_what_no_run_taught_is_not_asked(folder: Path) -> None:
    model = UniterModel(
        replace(tiny_uniter(str(folder / "encoder"), "answer"), untrained=("match", "words"))
    )
    with pytest.raises(CheckpointError, match="no run taught this model to tell pairs"):
        model.match(picture(0), "a boat")
    with pytest.raises(CheckpointError, match=r"fill in words.*mix\.mlm"):
        model.fill(picture(0), "a [MASK]")
    with pytest.raises(CheckpointError, match="its tasks were: answer"):
        model.compare(picture(0), picture(1), "a boat")
    for verb in ("caption", "embed_image", "search", "classify"):
        with pytest.raises(LacksVerb, match=f"{verb}: a UNITER model cannot"):
            getattr(model, verb)
        assert not hasattr(model, verb)


def test_holes_are_filled_with_pieces(model: UniterModel) -> None:
    found = model.fill(picture(0), "a [MASK] left of a [MASK]", best=4)
    assert [len(each) for each in found] == [4, 4]
    for each in found:
        assert list(each.values()) == sorted(each.values(), reverse=True)
        assert 0 < sum(each.values()) <= 1
    texts = ["a [MASK]", "a [MASK] left of a [MASK]"]
    assert [len(each) for each in model.fill(picture(0), texts)] == [1, 2]
    assert model.fill([picture(0)] * 2, texts, best=4)[1][1] == pytest.approx(found[1], abs=1e-4)
    with pytest.raises(DataError, match=r"has no \[MASK\]"):
        model.fill(picture(0), "a boat")


def test_regions_of_another_width_are_refused(model: UniterModel, folder: Path) -> None:
    sure = np.ones(2, dtype=np.float32)
    wrong = Regions(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32), sure)
    with pytest.raises(DataError, match=f"3 numbers describe a region, this model reads {WIDTH}"):
        model.answer(wrong, "what is it?")
    with pytest.raises(DataError, match="no such file"):
        model.answer(folder / "none.npz", "what is it?")


def test_an_unknown_encoder_is_asked_for(folder: Path) -> None:
    model = UniterModel(tiny_uniter("", *ALL))
    with pytest.raises(CheckpointError, match="describe_with"):
        model.answer(picture(0), "what is it?")
    model.describe_with(str(folder / "encoder"))
    assert model.answer(picture(0), "what is it?") in ANSWERS


def test_what_is_saved_comes_back(model: UniterModel, tmp_path: Path) -> None:
    again = mplug.load(model.save_pretrained(tmp_path), device="cpu")
    assert again.card == model.card == CARD.render()
    assert again.answers == ANSWERS
    texts = ["a boat", "a moon"]
    np.testing.assert_allclose(
        again.match(picture(0), texts), model.match(picture(0), texts), atol=1e-6
    )


def test_a_text_that_is_too_long_is_refused(model: UniterModel) -> None:
    for ask in (model.answer, model.entail, model.ground):
        with pytest.raises(DataError, match="reads at most 31: shorten it"):
            ask(picture(0), "boat " * 31)
    with pytest.raises(DataError, match="reads at most 31: shorten it"):
        model.match(picture(0), "boat " * 30)
