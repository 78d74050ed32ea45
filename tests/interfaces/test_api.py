import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import mplug
from mplug.config.load import dump_json
from mplug.config.recipes import recipe
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces import compute
from mplug.interfaces.api import ImageSource, Model
from mplug.interfaces.locate import newest_model
from mplug.tasks.model_file import model_file
from mplug.training.checkpoints import Checkpoints
from tests.tiny import (
    GENERATION,
    broken_pictures,
    odd_pictures,
    picture,
    save_tiny,
    tiny_config,
    tiny_model,
    tiny_tokenizer,
)

TEXTS = ["a red trophy", "two green boats under a moon", "an avocado", "moon", ""]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def model(saved: Path) -> Model:
    return mplug.load(saved, device="cpu")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return odd_pictures(tmp_path_factory.mktemp("odd pictures"))


def test_a_path_bytes_a_picture_and_an_array_are_the_same_picture(
    model: Model, odd: list[Path]
) -> None:
    for path in odd:
        with Image.open(path) as opened:
            sources: list[ImageSource] = [path, str(path), path.read_bytes(), opened]
            rows = [model.embed_image(source) for source in sources]
        for row in rows[1:]:
            np.testing.assert_array_equal(row, rows[0], err_msg=path.name)


def test_an_array_is_the_picture_it_was_made_of(model: Model) -> None:
    image = picture(3)
    expected = model.embed_image(image)
    np.testing.assert_array_equal(model.embed_image(np.asarray(image)), expected)
    np.testing.assert_array_equal(model.embed_image(model.read(image)), expected)
    grey = image.convert("L")
    np.testing.assert_array_equal(model.embed_image(np.asarray(grey)), model.embed_image(grey))


def test_odd_pictures_all_get_captions(model: Model, odd: list[Path]) -> None:
    captions = model.caption(odd)
    assert len(captions) == len(odd) == 8
    assert all(captions)


def test_vectors_are_unit_rows(model: Model) -> None:
    images, texts = model.embed_image([picture(1), picture(2)]), model.embed_text(TEXTS)
    assert images.shape == (2, 7)
    assert texts.shape == (5, 7)
    for rows in (images, texts):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_one_thing_gives_one_result_and_a_list_a_list(model: Model) -> None:
    image = picture(1)
    assert isinstance(model.caption(image), str)
    assert model.caption([image]) == [model.caption(image)]
    assert model.embed_image(image).shape == (7,)
    assert model.embed_text("moon").shape == (7,)
    assert isinstance(model.match(image, "moon"), float)
    assert model.match(image, ["moon", "boat"]).shape == (2,)
    assert model.match([image] * 3, "moon").shape == (3,)
    assert model.match([image] * 3, ["moon", "boat"]).shape == (3, 2)


def test_a_batch_array_is_a_list_of_pictures(model: Model) -> None:
    batch = np.stack([np.asarray(picture(seed)) for seed in (1, 2)])
    np.testing.assert_array_equal(model.embed_image(batch), model.embed_image(list(batch)))


def test_nothing_gives_nothing(model: Model) -> None:
    assert model.caption([]) == []
    assert model.embed_image([]).shape == (0, 7)
    assert model.embed_text([]).shape == (0, 7)
    assert model.match([], ["moon", "boat"]).shape == (0, 2)
    assert model.match(picture(1), []).shape == (0,)
    assert model.rank(picture(1), []) == []
    assert model.search([], "moon") == []


def test_what_else_is_in_the_list_changes_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(seed) for seed in range(4)]
    for size in (1, 3):
        monkeypatch.setattr(compute, "BATCH", size)
        alone = [model.embed_image(image) for image in images]
        np.testing.assert_allclose(model.embed_image(images), alone, atol=1e-5)
        words = [model.embed_text(text) for text in TEXTS]
        np.testing.assert_allclose(model.embed_text(TEXTS), words, atol=1e-5)
        pairs = [[model.match(image, text) for text in TEXTS] for image in images]
        np.testing.assert_allclose(model.match(images, TEXTS), pairs, atol=1e-5)
        assert model.caption(images) == [model.caption(image) for image in images]
        drawn = [model.caption(image, seed=4 + place) for place, image in enumerate(images)]
        assert model.caption(images, seed=4) == drawn


def test_different_pictures_get_different_answers(model: Model) -> None:
    images = [picture(seed) for seed in range(5)]
    assert len(set(model.caption(images))) > 1
    assert np.ptp(model.match(images, "moon")) > 1e-4


def test_the_same_call_gives_the_same_result(model: Model) -> None:
    image = picture(1)
    assert model.caption(image) == model.caption(image)
    assert model.caption(image, seed=3) == model.caption(image, seed=3)
    assert len({model.caption(image, seed=seed) for seed in range(8)}) > 1
    np.testing.assert_array_equal(model.match(image, TEXTS), model.match(image, TEXTS))


def test_a_caption_begins_with_its_prompt(model: Model) -> None:
    captions = model.caption([picture(1), picture(2)], prompt="A red trophy")
    assert all(caption.startswith("a red trophy") for caption in captions)


def test_options_replace_the_models_own(model: Model) -> None:
    image = picture(1)
    exact = model.caption(image, min_tokens=3, max_tokens=3, beams=1)
    assert len(model.tokenizer.encode(exact)) <= 3
    assert model.caption(image, **GENERATION.model_dump()) == model.caption(image)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"beam": 3}, "no option 'beam': did you mean 'beams'"),
        ({"beams": 0}, "beams: Input should be greater than 0"),
        ({"top_p": 0.5}, "top_p needs a seed"),
        ({"temperature": -1, "seed": 1}, "temperature: Input should be greater than 0"),
        ({"max_tokens": 18}, "exceed the 17 positions"),
        ({"prompt": "moon " * 20}, "a prompt of 20 word pieces"),
    ],
)
def test_an_option_that_cannot_be_is_explained(
    model: Model, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        model.caption(picture(1), **options)


def test_a_text_longer_than_the_model_reads_is_refused(model: Model) -> None:
    model.embed_text("moon " * 16)
    with pytest.raises(DataError, match="17 word pieces, and this model reads at most 16"):
        model.embed_text(["short", "moon " * 17])


def test_broken_pictures_are_named(model: Model, tmp_path: Path) -> None:
    for path in broken_pictures(tmp_path):
        with pytest.raises(DataError, match=path.name):
            model.caption([picture(1), path])
    with pytest.raises(DataError, match="picture 2 of 2"):
        model.embed_image([picture(1), b"<html>"])
    with pytest.raises(DataError, match=r"nowhere\.jpg: no such file"):
        model.caption("nowhere.jpg")


def test_a_text_to_match_is_read_as_training_reads_captions(model: Model) -> None:
    written, cleaned = "A red circle, left of a box!", "a red circle left of a box"
    np.testing.assert_array_equal(model.embed_text(written), model.embed_text(cleaned))
    image = picture(3)
    assert model.match(image, written) == model.match(image, cleaned)


def test_ranking_orders_texts_by_matching(model: Model) -> None:
    ranked = model.rank(picture(1), TEXTS)
    assert {one.text for one in ranked} == set(TEXTS)
    matches = [one.match for one in ranked]
    assert matches == sorted(matches, reverse=True)
    best = ranked[0]
    assert best.match == pytest.approx(model.match(picture(1), best.text), abs=1e-5)
    cosine = model.embed_text(best.text) @ model.embed_image(picture(1))
    assert best.similarity == pytest.approx(cosine, abs=1e-5)


def test_searching_a_folder_and_a_list_find_the_same(model: Model, tmp_path: Path) -> None:
    for seed in range(6):
        picture(seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    paths = [tmp_path / f"{seed}.png" for seed in range(6)]
    from_folder = model.search(tmp_path, "moon", top=4, rerank=5)
    from_list = model.search(paths, "moon", top=4, rerank=5)
    assert [hit.path for hit in from_folder] == [hit.path for hit in from_list]
    assert len(from_folder) == 4
    for hit in from_folder:
        assert hit.path is not None
        assert hit.match == pytest.approx(model.match(hit.path, "moon"), abs=1e-5)
    assert model.search([np.asarray(picture(1))], "moon")[0].path is None


def test_the_fingerprint_follows_what_makes_a_vector(saved: Path, tmp_path: Path) -> None:
    first = mplug.load(saved).fingerprint
    assert mplug.load(saved).fingerprint == first
    assert mplug.load(save_tiny(tmp_path / "other", seed=5)).fingerprint != first
    assert mplug.load(saved, image_size=32).fingerprint != first


def test_a_model_saves_itself_and_comes_back(model: Model, tmp_path: Path) -> None:
    again = Model.from_pretrained(model.save_pretrained(tmp_path / "again"))
    assert again.card == model.card
    assert again.caption(picture(1)) == model.caption(picture(1))


def test_a_run_gives_its_exported_model(saved: Path, tmp_path: Path) -> None:
    save_tiny(tmp_path / "run" / "model")
    expected = mplug.load(saved).caption(picture(1))
    assert mplug.load(tmp_path / "run").caption(picture(1)) == expected


def test_a_run_of_stages_gives_the_newest_stage(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "demo"
    for age, (stage, seed) in enumerate({"caption": 1, "pretrain": 2}.items()):
        folder = save_tiny(run / stage / "model", seed=seed)
        os.utime(folder / "config.json", (1000 - age, 1000 - age))
    fingerprint = mplug.load(run).fingerprint
    assert fingerprint == mplug.load(run / "caption").fingerprint
    assert fingerprint != mplug.load(run / "pretrain").fingerprint


def save_task(seed: int, path: Path) -> None:
    """What a pretraining run saves: the model among other things."""
    tensors = tiny_model(seed, skills=("entail",)).state_dict()
    parts = ("model", "teacher")
    save_file({f"{part}.{name}": tensors[name].clone() for part in parts for name in tensors}, path)


def test_a_run_without_an_exported_model_gives_its_newest_whole_checkpoint(tmp_path: Path) -> None:
    config = recipe("tiny-pretrain").model_copy(update={"model": tiny_config()})
    (tmp_path / "config.json").write_text(dump_json(config))
    tiny_tokenizer().save(tmp_path)
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=9)
    for step in (1, 2, 3):
        model = tiny_model(step, skills=("entail",))
        task = partial(save_task, step)
        checkpoints.save(step, writers={"task.safetensors": task} | model_file(model))
    damaged = tmp_path / "checkpoints" / "step-00000003" / "task.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    expected = tiny_model(2).state_dict()["vision.positions"]
    loaded = mplug.load(tmp_path)
    found = loaded.network.state_dict()["vision.positions"]
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    assert loaded.config.skills == ("entail",)


@pytest.mark.parametrize("name", ["runs/nothing", "nothing"])
def test_a_name_without_a_model_is_explained(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"{name}: no such folder.*mplug demo"):
        mplug.load(name)


def test_a_folder_without_a_model_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither a saved model nor a run that has one"):
        mplug.load(tmp_path)


def test_the_newest_run_is_the_default(tmp_path: Path) -> None:
    assert newest_model(tmp_path / "runs") is None
    for age, name in enumerate(("a", "c", "b")):
        folder = save_tiny(tmp_path / "runs" / name / "model")
        os.utime(folder / "config.json", (1000 + age, 1000 + age))
    (tmp_path / "runs" / "empty").mkdir()
    assert newest_model(tmp_path / "runs") == tmp_path / "runs" / "b"


def test_a_device_that_is_not_there_is_explained(saved: Path) -> None:
    with pytest.raises(ConfigError, match="not known"):
        mplug.load(saved, device="tpu")
