from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mplug.nn.co_attention import CoAttentionLayer
from mplug.nn.fusion import (
    UNIFORM,
    AsymmetricLayer,
    ConnectedLayer,
    FusionLayer,
    ImageSkip,
    skip_connected,
    uniform,
)
from tests.models.small import enliven

SIZES = {"dim": 12, "num_heads": 3, "hidden_dim": 17, "eps": 1e-12, "dropout": 0.0}
PLACES = [(), (1,), (0, 3), (0, 1, 2, 3)]


def network(connected_at: tuple[int, ...], *, add_image: bool = False) -> nn.ModuleList:
    torch.manual_seed(0)
    layers = skip_connected(4, connected_at=connected_at, add_image=add_image, **SIZES)  # type: ignore[arg-type]
    enliven(layers)
    return layers


def fuse(
    layers: nn.ModuleList, text: Tensor, image: Tensor, mask: Tensor, image_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    for layer in layers:
        text, image = layer(text, image, mask, image_mask)
    return text, image


@pytest.fixture(params=["skip", "skip_added", *UNIFORM])
def every_kind(request: pytest.FixtureRequest) -> nn.ModuleList:
    if request.param in UNIFORM:
        torch.manual_seed(0)
        layers = uniform(4, scheme=request.param, **SIZES)  # type: ignore[arg-type]
        enliven(layers)
        return layers
    return network((1, 3), add_image=request.param == "skip_added")


@pytest.mark.parametrize("places", [[0, 1, 1], [1, 1, 0], [0, 0, 0]])
@pytest.mark.parametrize("masked", [False, True])
def test_texts_that_share_images_read_them_as_if_each_had_its_own(
    every_kind: nn.ModuleList, places: list[int], masked: bool, words: Tensor, mask: Tensor
) -> None:
    images = torch.randn(max(places) + 1, 7, 12)
    seen = torch.arange(7) < torch.tensor([4, 7])[: len(images), None] if masked else None
    rows = torch.tensor(places)
    own = None if seen is None else seen[rows]
    for layer in every_kind:
        shared = layer(words, images, mask, seen, rows)
        text, image = layer(words, images[rows], mask, own)
        assert_close(shared[0], text)
        assert_close(shared[1][rows] if layer.keeps_image else shared[1], image)
        only = cast(FusionLayer, layer).text_only(words, images, mask, seen, rows)
        assert_close(only, text)
        for first in (1, 2):
            found = cast(FusionLayer, layer).text_only(words, images, mask, seen, rows, first=first)
            assert_close(found, text[:, :first])


@pytest.fixture
def words() -> Tensor:
    return torch.randn(3, 5, 12)


@pytest.fixture
def patches() -> Tensor:
    return torch.randn(3, 7, 12)


@pytest.fixture
def mask() -> Tensor:
    return torch.arange(5) < torch.tensor([5, 3, 1])[:, None]


def test_layers_connect_at_the_given_places() -> None:
    kinds = [type(layer) for layer in network((1, 3))]
    assert kinds == [AsymmetricLayer, ConnectedLayer, AsymmetricLayer, ConnectedLayer]
    assert type(network((1,), add_image=True)[1]) is ImageSkip


@pytest.mark.parametrize("add_image", [False, True])
@pytest.mark.parametrize("connected_at", PLACES)
def test_padding_never_reaches_a_real_token(
    connected_at: tuple[int, ...], add_image: bool, words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    layers = network(connected_at, add_image=add_image)
    noisy = words.masked_fill(~mask[..., None], 99.0)
    text, image = fuse(layers, words, patches, mask, None)
    other_text, other_image = fuse(layers, noisy, patches, mask, None)
    assert_close(text[mask], other_text[mask])
    assert_close(image, other_image)


@pytest.mark.parametrize("connected_at", PLACES)
def test_hidden_patches_never_reach_a_token(
    connected_at: tuple[int, ...], words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    layers = network(connected_at)
    seen = torch.arange(7) < torch.tensor([7, 4, 2])[:, None]
    noisy = patches.masked_fill(~seen[..., None], 99.0)
    text, image = fuse(layers, words, patches, mask, seen)
    other_text, other_image = fuse(layers, words, noisy, mask, seen)
    assert_close(text[mask], other_text[mask])
    assert_close(image[seen], other_image[seen])


def test_the_text_reads_the_image(words: Tensor, patches: Tensor, mask: Tensor) -> None:
    layers = network(())
    assert not torch.allclose(
        fuse(layers, words, patches, mask, None)[0], fuse(layers, words, -patches, mask, None)[0]
    )


def test_the_image_passes_asymmetric_layers_untouched(
    words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    assert fuse(network(()), words, patches, mask, None)[1] is patches


def test_the_image_reads_the_text_where_they_connect(
    words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    layers = network((1,))
    assert not torch.allclose(
        fuse(layers, words, patches, mask, None)[1], fuse(layers, -words, patches, mask, None)[1]
    )


def test_the_skip_adds_the_old_image_to_the_layers_new_one(
    words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    layer = ConnectedLayer(**SIZES)  # type: ignore[arg-type]
    text, image = layer(words, patches, mask, None)
    skip_text, skip_image = ImageSkip(layer)(words, patches, mask, None)
    assert_close(skip_text, text)
    assert_close(skip_image, patches + image)


@pytest.mark.parametrize("add_image", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_the_text_alone_is_the_text_of_the_whole_layer(
    place: int, add_image: bool, words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    layer = network((1,), add_image=add_image)[place]
    seen = torch.arange(7) < torch.tensor([7, 4, 2])[:, None]
    text, _ = layer(words, patches, mask, seen)
    alone = layer.text_only(words, patches, mask, seen)  # type: ignore[operator]
    assert_close(alone, text)
    for first in (1, 2):
        found = layer.text_only(words, patches, mask, seen, first=first)  # type: ignore[operator]
        assert_close(found, text[:, :first])
        with torch.no_grad():  # another way to the same
            found = layer.text_only(words, patches, mask, seen, first=first)  # type: ignore[operator]
        assert_close(found, text[:, :first].detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        ("connected", ConnectedLayer),
        ("co_attention", CoAttentionLayer),
        ("asymmetric", AsymmetricLayer),
    ],
)
def test_other_schemes_are_one_kind_of_layer_throughout(scheme: str, kind: type) -> None:
    layers = uniform(3, scheme=scheme, **SIZES)  # type: ignore[arg-type]
    assert [type(layer) for layer in layers] == [kind] * 3
    assert scheme in UNIFORM


@pytest.mark.parametrize(("scheme", "places"), [("asymmetric", ()), ("connected", (0, 1, 2))])
def test_skip_connected_holds_two_of_the_others(
    scheme: str, places: tuple[int, ...], words: Tensor, patches: Tensor, mask: Tensor
) -> None:
    same = uniform(3, scheme=scheme, **SIZES)  # type: ignore[arg-type]
    skip = skip_connected(3, connected_at=places, add_image=False, **SIZES)  # type: ignore[arg-type]
    skip.load_state_dict(same.state_dict())
    assert_close(fuse(skip, words, patches, mask, None), fuse(same, words, patches, mask, None))
