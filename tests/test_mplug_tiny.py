"""The model inside the package: it is small, whole, and does something sensible at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import mplug
from mplug.config.load import load_config
from mplug.config.schema import RunConfig, ScenesConfig
from mplug.data.scenes.phrases import with_article
from mplug.data.scenes.questions import questions
from mplug.data.scenes.stream import SceneExamples
from mplug.interfaces.api import Model
from mplug.metrics.grounding import iou
from mplug.metrics.objects import names_in, object_f1
from mplug.models.graphs import GraphedDecoder
from mplug.models.mplug import MPlug
from mplug.tasks.evaluation import Gallery
from mplug.weights import shipped
from mplug.weights.layout import WEIGHTS
from tests.models.recorded import Recorder

LARGEST_BYTES = 12_000_000
SCENES = 30  # of the artists it trained on, of pairs it never saw


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_config(shipped.stages(shipped.folder())[-1])


@pytest.fixture(scope="module")
def world(config: RunConfig) -> ScenesConfig:
    assert config.data.scenes is not None
    return config.data.scenes


@pytest.fixture(scope="module")
def gallery(config: RunConfig, world: ScenesConfig) -> Gallery:
    size = config.model.vision.image_size
    return Gallery.held_out(world, split="training_artists", image_size=size, count=SCENES)


@pytest.fixture(scope="module")
def model() -> Model:
    return mplug.load(shipped.folder())


def pictures(gallery: Gallery) -> list[np.ndarray]:
    return [each.scene.image for each in gallery.scenes]


def test_it_is_at_most_12_mb_with_card_scores_and_the_log_of_every_stage() -> None:
    files = [path for path in shipped.folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_BYTES
    assert {shipped.SCORES, shipped.ABOUT, "README.md"} <= {path.name for path in files}
    assert all(stage.with_suffix(".jsonl").is_file() for stage in shipped.stages(shipped.folder()))


def test_it_is_stored_in_half_and_computed_with_in_float32(model: Model) -> None:
    stored = load_file(shipped.folder() / WEIGHTS)
    assert {one.dtype for one in stored.values() if one.ndim > 1} == {torch.float16}
    assert {one.dtype for one in model.network.state_dict().values()} == {torch.float32}


def test_it_knows_at_least_200_things_and_says_so(world: ScenesConfig) -> None:
    assert world.concepts >= 200
    assert shipped.introduction().startswith(f"mplug-tiny: {world.concepts} drawn things, 1-3 a")


def test_its_captions_name_what_is_there(model: Model, gallery: Gallery) -> None:
    said = [names_in(text, gallery.names) for text in model.caption(pictures(gallery))]
    assert object_f1(said, gallery.objects).f1 > 0.6


def test_its_answers_are_right_more_often_than_not(
    model: Model, gallery: Gallery, world: ScenesConfig
) -> None:
    random, known = np.random.default_rng(0), SceneExamples(world, image_size=64).world
    posed = [
        (each.scene.image, question)
        for each in gallery.scenes
        for question in questions(each.scene, random=random, world=known, train=False)
    ]
    said = model.answer([image for image, _ in posed], [question.text for _, question in posed])
    right = [text == question.answer for text, (_, question) in zip(said, posed, strict=True)]
    assert np.mean(right) > 0.6


def test_it_finds_most_things_that_are_named(model: Model, gallery: Gallery) -> None:
    placed = [(each.scene.image, one) for each in gallery.scenes for one in each.scene.objects]
    found = model.ground(
        [image for image, _ in placed], [with_article(one.name) for _, one in placed]
    )
    boxes = np.array([box[:4] for box in found], dtype=np.float64)
    true = np.array([one.box for _, one in placed], dtype=np.float64)
    assert np.mean(np.diag(iou(boxes, true)) >= 0.5) > 0.5


def test_its_search_finds_most_pictures_by_their_captions(
    model: Model, gallery: Gallery, tmp_path: Path
) -> None:
    for place, image in enumerate(pictures(gallery)):
        Image.fromarray(image).save(tmp_path / f"{place:02}.png")
    index = model.index(tmp_path)
    first = [model.search(index, text, top=1, rerank=4)[0].path for text in gallery.captions]
    right = [path == tmp_path / f"{place:02}.png" for place, path in enumerate(first)]
    assert np.mean(right) > 0.6


def test_by_graphs_it_says_the_same(gallery: Gallery) -> None:
    model, recorder = mplug.load(shipped.folder()), Recorder()
    shown = pictures(gallery)[:5]
    named = [with_article(each.scene.objects[0].name) for each in gallery.scenes[:5]]
    asked = [f"what is beside {name}?" for name in named]
    choices = ["red", "a dog", "two"]

    def said() -> list[object]:
        answers = [model.answer(shown, asked), model.answer(shown, asked, answers=choices)]
        boxes = np.array([box[:4] for box in model.ground(shown, named)])
        return [model.caption(shown), *answers, boxes.round(4).tolist()]

    plain = said()
    assert isinstance(model.network, MPlug)
    model.network.graphed = GraphedDecoder(model.network.decoder, capture=recorder)
    assert said() == plain
    assert recorder.captured > 0
