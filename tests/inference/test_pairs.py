"""Pairs matched together get the scores that each gets alone, for less work."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.inference import texts
from mplug.inference.pairs import match_pairs
from mplug.models.mplug import MPlug
from tests.models.small import PATCHES, pixels, small_config, small_model, words

LENGTHS = (5, 12, 3, 7, 2, 12, 9)
TEXT_ROWS = torch.tensor([6, 0, 1, 2, 3, 4, 5, 6, 0, 2, 1])
IMAGE_ROWS = torch.tensor([2, 0, 0, 2, 0, 1, 0, 0, 2, 1, 1])


@pytest.fixture(params=["replace", "add", "connected", "co_attention", "asymmetric"])
def model(request: pytest.FixtureRequest) -> MPlug:
    if request.param in ("replace", "add"):
        return small_model(small_config(image_update=request.param))
    return small_model(small_config(scheme=request.param))


def encoded(model: MPlug) -> tuple[Tensor, Tensor, Tensor]:
    ids, mask = words(*LENGTHS)
    return model.encode_text(ids, mask), model.encode_image(pixels(3)), mask


def one_by_one(
    model: MPlug, texts: Tensor, images: Tensor, mask: Tensor, image_mask: Tensor | None
) -> Tensor:
    """The slow twin: each pair by itself, its text without padding."""
    logits = []
    for text, image in zip(TEXT_ROWS.tolist(), IMAGE_ROWS.tolist(), strict=True):
        length, seen = LENGTHS[text], slice(image, image + 1)
        own = slice(text, text + 1)
        fused = model.fuse_text(
            texts[own, :length],
            images[seen],
            mask[own, :length],
            None if image_mask is None else image_mask[seen],
        )
        logits.append(model.match(fused))
    return torch.cat(logits)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("at_once", [4, 11])
def test_pairs_score_as_they_do_one_by_one(
    model: MPlug, masked: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "LEAST", 2)
    states = encoded(model)
    seen = torch.arange(PATCHES) < torch.tensor([[4], [PATCHES], [7]]) if masked else None
    together = match_pairs(
        model, *states, seen, text_rows=TEXT_ROWS, image_rows=IMAGE_ROWS, at_once=at_once
    )
    assert_close(together, one_by_one(model, *states, seen), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pictures_first", [True, False])
def test_each_picture_of_a_call_is_projected_once_whichever_comes_first(
    pictures_first: bool,
) -> None:
    model = small_model(small_config(connected_at=(3,)))
    states, rows = encoded(model), [0]
    model.get_submodule("fusion.0.cross_attention.attention.key").register_forward_pre_hook(
        lambda _, given: rows.append(given[0].shape[0])
    )
    every = torch.cartesian_prod(torch.arange(3), torch.arange(7))
    image_rows, text_rows = every.T if pictures_first else every[torch.randperm(21)].T
    match_pairs(model, *states, text_rows=text_rows, image_rows=image_rows, at_once=100)
    assert sum(rows) == 3


def test_progress_ends_with_everything_done() -> None:
    model, told = small_model(), list[tuple[int, int]]()
    match_pairs(
        model,
        *encoded(model),
        text_rows=TEXT_ROWS,
        image_rows=IMAGE_ROWS,
        at_once=4,
        progress=lambda *counts: told.append(counts),
    )
    assert told == [(4, 11), (8, 11), (11, 11)]
