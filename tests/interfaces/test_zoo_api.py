"""The field's models as people use them: each does what it has learned, and no more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mplug
from mplug.config.recipes_zoo import MODELS, OBJECTIVES
from mplug.config.schema_zoo import RegionsPart
from mplug.data.joint_batch import pad_texts
from mplug.data.regions.stored import Regions
from mplug.errors import CheckpointError, ConfigError, DataError
from mplug.interfaces.lacking import LacksVerb
from mplug.interfaces.zoo_api import ZooModel
from mplug.models.zoo.view import Text
from mplug.tasks.zoo_pretrain import make_model
from mplug.weights.zoo_folder import LoadedZoo, ZooKnows, load_zoo, save_zoo
from tests.models.small import enliven
from tests.tasks.zoo_batches import FEATURES, answers, tiny, tokenizer
from tests.tiny import CARD, picture

VERBS = {
    "visualbert": ("match", "fill"),
    "oscar": ("match", "fill"),
    "pixelbert": ("match", "fill"),
    "vilt": ("match", "fill"),
    "vlbert": ("fill",),
    "simvlm": ("caption",),
    "vilbert": ("match", "fill"),
    "lxmert": ("match", "fill", "answer"),
    "interbert": ("match", "fill"),
    "unified-vlp": ("fill", "caption"),
    "xgpt": ("fill", "caption"),
    "unimo": ("fill", "caption", "embed"),
}
BESIDE = {"visualbert": {"caption": "a boat"}, "oscar": {"tags": "boat moon"}}


def loaded(name: str) -> LoadedZoo:
    torch.manual_seed(0)
    model = make_model(tiny(MODELS[name]())).eval()
    enliven(model, seed=0)
    learned = tuple(OBJECTIVES[name].chosen)
    return LoadedZoo(model, tokenizer(), ZooKnows(learned=learned, answer_list=tuple(answers())))


def images(model: ZooModel, count: int) -> list[Any]:
    """Pictures, or regions of unlike number."""
    if not isinstance(model.config.image, RegionsPart):
        return [picture(place) for place in range(count)]
    random = np.random.default_rng(0)
    made = []
    for place in range(count):
        regions = place + 2
        corners = np.sort(random.random((regions, 2, 2)), axis=1).reshape(regions, 4)
        features = random.standard_normal((regions, FEATURES))
        made.append(
            Regions(
                features.astype(np.float32),
                corners.astype(np.float32),
                np.ones(regions, dtype=np.float32),
            )
        )
    return made


@pytest.mark.parametrize("name", MODELS)
def test_each_does_what_it_has_learned_alone_as_in_company(name: str) -> None:
    model = ZooModel(loaded(name))
    assert model.verbs == VERBS[name]
    seen, texts = images(model, 3), ["a boat", "a boat left of a moon", "two"]
    beside: dict[str, Any] = BESIDE.get(name, {})
    if "match" in model.verbs:
        table = model.match(seen, texts, **beside)
        assert table.shape == (3, 3)
        assert len(np.unique(table.round(6))) > 3
        for row, image in zip(table, seen, strict=True):
            np.testing.assert_allclose(model.match(image, texts, **beside), row, atol=1e-4)
        ranked = model.rank(seen[1], texts, **beside)
        assert [each.text for each in ranked] == [texts[place] for place in np.argsort(-table[1])]
    if "fill" in model.verbs:
        holed = ["a [MASK]", "a [MASK] left of a [MASK]", "two [MASK]"]
        together = model.fill(seen, holed)
        assert [len(each) for each in together] == [1, 2, 1]
        for image, text, found in zip(seen, holed, together, strict=True):
            for one, other in zip(model.fill(image, text), found, strict=True):
                assert one == pytest.approx(other, abs=1e-4)
    if "caption" in model.verbs:
        options: dict[str, Any] = {"min_tokens": 2, "max_tokens": 5}
        together = model.caption(seen, **options)
        assert together == [model.caption(image, **options) for image in seen]
        assert model.caption(seen[0], prompt="a boat", **options).startswith("a boat")
        assert model.caption(seen, seed=1, **options) == model.caption(seen, seed=1, **options)
        with pytest.raises(ConfigError, match="no option 'beam'"):
            model.caption(seen, beam=3)
    if "answer" in model.verbs:
        assert set(model.answer(seen, "what is it?")) <= set(model.answers)
        assert model.answer(seen[0], "what is it?", answers=["red"]) == "red"
    if "embed" in model.verbs:
        for vectors in (model.embed_image(seen), model.embed_text(texts)):
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        together = model.embed_image(seen)
        np.testing.assert_allclose(model.embed_image(seen[0]), together[0], atol=1e-4)
    for verb in {"match", "fill", "answer"} - set(model.verbs):
        with pytest.raises(CheckpointError, match=f"has not learned to {verb}"):
            getattr(model, verb)(seen[0], "a boat")
    if "caption" not in model.verbs:
        with pytest.raises(CheckpointError, match="has not learned to caption; it has learned"):
            model.caption(seen[0])


@pytest.mark.parametrize(("name", "prefix"), [("xgpt", False), ("unimo", True), ("simvlm", True)])
def test_greedy_captions_are_the_likeliest_next_words(name: str, prefix: bool) -> None:
    """Each word is the best that the training's own way of writing gives after those before."""
    model = ZooModel(loaded(name))
    (image,) = images(model, 1)
    said = model.caption(image, beams=1, min_tokens=0, max_tokens=4)
    words = tokenizer()
    view = model._reader.view([(image, None)])
    ids = [words.cls_id]
    for _ in range(4):
        text = pad_texts([ids], pad_id=words.pad_id)
        start = pad_texts([[words.cls_id]], pad_id=words.pad_id)
        read: dict[str, Any] = {"prefix": Text(start.ids, start.mask)} if prefix else {}
        with torch.no_grad():
            states = model.network.write(Text(text.ids, text.mask), view, **read)
            ids.append(int(model.network.word_logits(states[:, -1]).argmax()))
        if ids[-1] == words.sep_id:
            break
    assert said == words.decode(ids)


def test_a_written_word_is_what_a_mask_behind_the_others_says() -> None:
    model = ZooModel(loaded("unified-vlp"))
    (image,) = images(model, 1)
    said = model.caption(image, beams=1, min_tokens=1, max_tokens=1, prompt="a boat")
    words = tokenizer()
    ids = torch.tensor([[words.cls_id, *words.encode("a boat"), words.mask_id]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    view = model._reader.view([(image, None)])
    with torch.no_grad():
        pair = model._pair
        logits = pair.word_logits(pair.encode(Text(ids, mask), view, written=mask).text[:, -1])
    logits[:, words.sep_id] = -torch.inf
    assert said == words.decode([*ids[0, :-1].tolist(), int(logits.argmax())])


def test_what_a_matching_model_needs_beside_a_text_is_asked_for() -> None:
    for name, word in (("visualbert", "caption="), ("oscar", "tags=")):
        model = ZooModel(loaded(name))
        (image,) = images(model, 1)
        with pytest.raises(DataError, match=word):
            model.match(image, "a boat")
    vilt = ZooModel(loaded("vilt"))
    for beside in ({"caption": "a boat"}, {"tags": "boat"}):
        with pytest.raises(DataError):
            vilt.match(picture(0), "a boat", **beside)


def test_pixels_and_regions_are_not_taken_for_each_other() -> None:
    vilt, lxmert = ZooModel(loaded("vilt")), ZooModel(loaded("lxmert"))
    with pytest.raises(DataError, match="looks at pixels, not at regions"):
        vilt.match(images(lxmert, 1)[0], "a boat")
    with pytest.raises(DataError, match="looks at pixels, not at boxes"):
        vilt.read(picture(0), boxes=[(0, 0, 9, 9)])
    with pytest.raises(CheckpointError, match="looks at pixels"):
        vilt.describe_with("mplug-tiny")
    with pytest.raises(CheckpointError, match="describe_with"):
        lxmert.match(picture(0), "a boat")


def test_too_long_texts_and_captions_are_refused() -> None:
    model = ZooModel(loaded("xgpt"))
    (image,) = images(model, 1)
    with pytest.raises(DataError, match="reads at most 128"):
        model.fill(image, "boat " * 30 + "[MASK]" * 99)
    with pytest.raises(ConfigError, match="exceed the 128 positions"):
        model.caption(image, max_tokens=127)


def test_what_is_saved_comes_back_with_what_it_knows(tmp_path: Path) -> None:
    for name in ("lxmert", "simvlm"):
        one = loaded(name)
        folder = tmp_path / name
        save_zoo(folder, one.model, tokenizer=one.tokenizer, card=CARD, knows=one.knows)
        model = mplug.load(folder, device="cpu")
        assert isinstance(model, ZooModel)
        assert model.knows == one.knows
        assert model.card == CARD.render()
        again = load_zoo(model.save_pretrained(tmp_path / "again" / name))
        assert (again.knows, again.card) == (one.knows, CARD.render())


def test_a_model_that_does_not_say_what_it_learned_is_asked_nothing() -> None:
    model = ZooModel(replace(loaded("vilt"), knows=ZooKnows()))
    assert model.verbs == ()
    with pytest.raises(CheckpointError, match="nothing that can be asked"):
        model.match(picture(0), "a boat")
    for verb in ("ground", "compare", "entail", "search"):
        with pytest.raises(LacksVerb, match=verb):
            getattr(model, verb)
