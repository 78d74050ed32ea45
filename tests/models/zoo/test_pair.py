"""Models from parts: padding and neighbours change nothing, and what is written is not foreseen."""

import pytest
import torch
from torch.testing import assert_close

from mplug.config.recipes_zoo import MODELS
from mplug.config.schema_zoo import PairConfig
from mplug.config.zoo import small
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.view import Text, View
from mplug.models.zoo.writer import WriterModel
from mplug.nn.regions import Regions
from tests.models.small import enliven

VOCAB, FEATURES = 37, 8
LENGTHS, COUNTS = torch.tensor([6, 4, 2]), torch.tensor([5, 1, 3])
PAIRS = [name for name in MODELS if isinstance(MODELS[name](), PairConfig)]
WRITERS = ["simvlm", "unified-vlp", "xgpt", "unimo"]


def model_of(name: str) -> PairModel | WriterModel:
    config = small(MODELS[name](), vocab_size=VOCAB, feature_size=FEATURES, classes=7, answers=5)
    torch.manual_seed(0)
    model = PairModel(config) if isinstance(config, PairConfig) else WriterModel(config)
    enliven(model)
    return model.double().eval()


def view(filler: float = 0.0) -> View:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(3, 5, FEATURES, generator=generator, dtype=torch.float64)
    boxes = torch.rand(3, 5, 4, generator=generator, dtype=torch.float64).sort(dim=2).values
    mask = torch.arange(5) < COUNTS[:, None]
    pixels = torch.randn(3, 3, 64, 64, generator=generator, dtype=torch.float64)
    return View(Regions(features.masked_fill(~mask[..., None], filler), boxes, mask), pixels)


def text(filler: int = 0, *, seed: int = 2) -> Text:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, VOCAB, (3, 6), generator=generator)
    mask = torch.arange(6) < LENGTHS[:, None]
    return Text(ids.masked_fill(~mask, filler), mask)


@torch.no_grad()
@pytest.mark.parametrize("name", PAIRS)
def test_padding_never_reaches_what_is_there(name: str) -> None:
    model = model_of(name)
    assert isinstance(model, PairModel)
    tags = model.config.words == "tagged"
    one, two = (
        model.encode(text(word), view(value), tags=text(word, seed=3) if tags else None)
        for word, value in ((0, 0.0), (9, 99.0))
    )
    assert_close(one.text[:, :6][text().mask], two.text[:, :6][text().mask])
    if model.config.image.kind == "regions":
        there = view().regions
        assert there is not None
        assert_close(one.regions[there.mask], two.regions[there.mask])


@torch.no_grad()
@pytest.mark.parametrize("name", WRITERS)
def test_a_word_is_written_without_those_after_it(name: str) -> None:
    model, prefix = model_of(name), text(seed=3)
    ids = text().ids
    changed = ids.clone()
    changed[:, 3:] = 7
    whole = torch.ones_like(ids, dtype=torch.bool)
    one, two = (model.write(Text(each, whole), view(), prefix=prefix) for each in (ids, changed))
    assert_close(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3:], two[:, 3:])


@torch.no_grad()
@pytest.mark.parametrize("name", WRITERS)
def test_a_word_is_written_from_picture_and_prefix(name: str) -> None:
    model, prefix = model_of(name), text(seed=3)
    one = model.write(text(), view(), prefix=prefix)
    assert not torch.allclose(one, model.write(text(), prefix=prefix))
    assert not torch.allclose(one, model.write(text(), view(), prefix=text(seed=4)))


@torch.no_grad()
@pytest.mark.parametrize("name", ["visualbert", "oscar", "vlbert", "vilbert", "lxmert", "unimo"])
def test_what_hidden_regions_show_is_not_seen(name: str) -> None:
    model = model_of(name)
    assert isinstance(model, PairModel)
    shown = view()
    assert shown.regions is not None
    hidden = torch.zeros(3, 5, dtype=torch.bool)
    hidden[:, 0] = True
    features = shown.regions.features.masked_fill(hidden[..., None], 50.0)
    other = View(shown.regions._replace(features=features))
    one, two = (model.encode(text(), each, hidden=hidden).text for each in (shown, other))
    assert_close(one[text().mask], two[text().mask])


@torch.no_grad()
def test_a_text_alone_and_a_picture_alone_are_read_by_the_same_stack() -> None:
    model = model_of("unimo")
    assert isinstance(model, PairModel)
    assert model.read_text(text()).shape == (3, 6, 64)
    alone = model.read_image(view())
    assert alone.regions.shape == (3, 5, 64)
    lengths = model.space.text_embedding(model.read_text(text())).norm(dim=1)
    assert_close(lengths, torch.ones_like(lengths))
