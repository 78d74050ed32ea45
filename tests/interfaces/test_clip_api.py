import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mplug
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.clip_api import ClipModel, LacksVerb
from mplug.tasks.clip_search import ClipSearcher
from mplug.weights.clip_folder import load_clip, save_clip
from mplug.weights.store import load_pretrained
from tests.models.small_clip import BAG, CAUSAL, RESNET, TRANSFORMER, clip_config, small_clip
from tests.tiny import CARD, picture, save_tiny, tiny_tokenizer


def save(folder: Path, *, vision=TRANSFORMER, text=CAUSAL) -> Path:  # type: ignore[no-untyped-def]
    sizes = {"vocab_size": tiny_tokenizer().vocab_size}
    words = text.model_copy(update=sizes | ({"max_positions": 26} if text is CAUSAL else {}))
    model = small_clip(clip_config(vision, words))
    return save_clip(folder, model=model, tokenizer=tiny_tokenizer(), card=CARD)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ClipModel:
    loaded = mplug.load(save(tmp_path_factory.mktemp("clip")), device="cpu")
    assert isinstance(loaded, ClipModel)
    return loaded


@pytest.mark.parametrize("vision", [TRANSFORMER, RESNET])
@pytest.mark.parametrize("text", [CAUSAL, BAG])
def test_what_is_saved_comes_back(tmp_path: Path, vision, text) -> None:  # type: ignore[no-untyped-def]
    loaded = load_clip(save(tmp_path, vision=vision, text=text))
    again = save_clip(
        tmp_path / "again", model=loaded.model, tokenizer=loaded.tokenizer, card=loaded.card
    )
    assert (again / "model.safetensors").read_bytes() == (
        tmp_path / "model.safetensors"
    ).read_bytes()
    assert json.loads((again / "config.json").read_text())["system"] == "clip"
    side = 2 * vision.image_size
    assert load_clip(again, image_size=side).config.vision.image_size == side


def test_a_model_of_another_system_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="of the system 'clip', where one of 'mplug'"):
        load_pretrained(save(tmp_path / "clip"))
    with pytest.raises(CheckpointError, match="of the system 'mplug', where one of 'clip'"):
        load_clip(save_tiny(tmp_path / "mplug"))


def test_a_folder_without_a_word_for_its_system_is_mplugs(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    header = json.loads((folder / "config.json").read_text())
    del header["system"]
    (folder / "config.json").write_text(json.dumps(header))
    assert isinstance(mplug.load(folder, device="cpu"), mplug.interfaces.api.Model)


@pytest.mark.parametrize("verb", ["caption", "answer", "ground", "compare", "entail", "match"])
def test_what_it_cannot_do_is_said(model: ClipModel, verb: str) -> None:
    with pytest.raises(LacksVerb, match=f"{verb}: a CLIP model cannot"):
        getattr(model, verb)
    assert not hasattr(model, verb)


def test_vectors_are_of_length_one_and_alone_as_in_company(model: ClipModel) -> None:
    images, texts = [picture(seed) for seed in range(3)], ["a boat", "a red trophy under a moon"]
    for together, alone in [
        (model.embed_image(images), [model.embed_image(image) for image in images]),
        (model.embed_text(texts), [model.embed_text(text) for text in texts]),
    ]:
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_classes_are_ranked_with_probabilities_that_sum_to_one(model: ClipModel) -> None:
    labels = ["boat", "trophy", "moon"]
    found = model.classify(picture(1), labels)
    assert sorted(found) == sorted(labels)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1)
    assert model.classify([picture(1)], labels) == [found]


def test_one_template_is_the_ranking_of_its_sentences(model: ClipModel) -> None:
    found = model.classify(picture(1), ["boat", "moon"], templates=["two {}"])
    ranked = model.rank(picture(1), ["two boat", "two moon"])
    assert list(found.values()) == pytest.approx([one.match for one in ranked], abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "templates", "message"),
    [([], ["{}"], "labels"), (["a"], [], "templates"), (["a"], ["a photo"], r"has no \{\}")],
)
def test_classes_that_cannot_be_told_are_refused(
    model: ClipModel, labels: list[str], templates: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        model.classify(picture(1), labels, templates=templates)


def test_a_folder_is_searched_and_not_reranked(model: ClipModel, tmp_path: Path) -> None:
    for seed in range(3):
        picture(seed).save(tmp_path / f"{seed}.png")
    hits = model.search(tmp_path, "a boat", top=2)
    everything = model.embed_image([tmp_path / f"{seed}.png" for seed in range(3)])
    expected = np.sort(everything @ model.embed_text("a boat"))[::-1][:2]
    np.testing.assert_allclose([hit.similarity for hit in hits], expected, atol=1e-5)
    with pytest.raises(CheckpointError, match="cannot rerank"):
        model.search(tmp_path, "a boat", rerank=2)


def test_a_text_that_is_too_long_is_refused(model: ClipModel) -> None:
    with pytest.raises(DataError, match="reads at most 24: shorten it"):
        model.embed_text("boat " * 25)


def test_nothing_learns_when_it_is_used(model: ClipModel) -> None:
    assert not model.network.training
    assert torch.is_inference_mode_enabled() is False


def test_a_text_is_read_as_training_and_evaluation_read_it(model: ClipModel) -> None:
    texts = ["A red circle, left of a box!", "a blue box"]
    searched = ClipSearcher(model.network, model.tokenizer).texts(texts)
    np.testing.assert_allclose(model.embed_text(texts), searched.numpy(), atol=1e-6)
    np.testing.assert_array_equal(
        model.embed_text(texts[0]), model.embed_text("a red circle left of a box")
    )
