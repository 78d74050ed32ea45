import warnings

import pytest

from mplug.config.sizes import SIZES, connected_places


@pytest.mark.parametrize(
    ("num_layers", "stride", "paper", "released"),
    [
        (6, 3, (3,), (3,)),
        (6, 2, (2, 5), (2, 4)),
        (6, 1, (1, 3, 5), (1, 2, 3, 4, 5)),
        (12, 3, (3, 7, 11), (3, 6, 9)),
        (2, 1, (1,), (1,)),
    ],
)
def test_connected_places_follow_their_rule(
    num_layers: int, stride: int, paper: tuple[int, ...], released: tuple[int, ...]
) -> None:
    assert connected_places(num_layers, stride=stride, rule="paper") == paper
    assert connected_places(num_layers, stride=stride, rule="released") == released


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_a_stride_that_connects_nothing_warns(rule: str) -> None:
    with pytest.warns(UserWarning, match="connects none of 6 fusion layers"):
        assert connected_places(6, stride=6, rule=rule) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_connects_text_and_image(size: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SIZES[size]().fusion.connected_at


@pytest.mark.parametrize(
    ("size", "millions"), [("tiny", 1.6), ("small", 32.7), ("base", 345.5), ("large", 563.6)]
)
def test_parameters_are_as_documented(size: str, millions: float) -> None:
    import torch

    from mplug.models.mplug import MPlug

    with torch.device("meta"):
        model = MPlug(SIZES[size]())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.005)
