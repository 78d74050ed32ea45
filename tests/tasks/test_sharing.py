"""What the passes of a step share, against twins that share nothing."""

from collections import Counter
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.config.schema import ObjectivesConfig
from mplug.models.mplug import MPlug
from mplug.tasks import pair_objectives
from mplug.tasks.fused_terms import FusedTerm, fused_losses
from mplug.tasks.pretrain import Pretraining
from tests.tasks import little


def learned(task: Pretraining) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a step logs, and its gradients."""
    task.before_step(0)
    loss, logs = task(little.batch(), 0)
    torch.autograd.backward(loss)
    return dict(logs), little.gradients(task)


def fuse_copies(
    model: MPlug, text: Tensor, image: Tensor, mask: Tensor, *, places: Tensor, **other: Any
) -> Tensor:
    """Each text with a copy of its image."""
    return MPlug.fuse_text(model, text, image[places], mask, **other)


def test_matching_with_shared_images_learns_the_same_as_with_copies() -> None:
    shared, copies = (little.pretraining(little.only("itc", "itm")) for _ in range(2))
    copies.model.fuse_text = partial(fuse_copies, copies.model)  # type: ignore[method-assign]
    (logs, gradients), (other_logs, other_gradients) = learned(shared), learned(copies)
    assert_close(logs, other_logs, rtol=1e-5, atol=1e-5)
    assert_close(gradients, other_gradients, rtol=1e-5, atol=1e-6)


def losses_apart(model: MPlug, images: Tensor, terms: dict[str, FusedTerm]) -> dict[str, Tensor]:
    """Each term's texts fused by a call of their own, with the images beside them."""
    found = {}
    for name, term in terms.items():
        met = images[: len(term.text)] if term.places is None else images[term.places]
        found[name] = term.loss(model.fuse_text(term.text, met, term.mask))
    return found


def read_apart(model: MPlug, texts: list[Tensor], mask: Tensor) -> tuple[Tensor, ...]:
    """Each kind of text by a call of its own."""
    return tuple(model.encode_text(ids, mask) for ids in texts)


@pytest.mark.parametrize("names", [("itc", "itm", "mlm"), ("itc",), ("mlm",)])
def test_texts_read_by_one_call_teach_what_a_call_for_each_does(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, gradients = learned(little.pretraining(little.only(*names)))
    monkeypatch.setattr(pair_objectives, "_read_together", read_apart)
    other_logs, other_gradients = learned(little.pretraining(little.only(*names)))
    assert_close(logs, other_logs, rtol=1e-5, atol=1e-5)
    assert_close(gradients, other_gradients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [little.objectives(), little.only("mlm", "itm")])
def test_one_fusion_for_matching_and_hidden_words_learns_the_same_as_one_each(
    settings: ObjectivesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, gradients = learned(little.pretraining(settings))
    monkeypatch.setattr(pair_objectives, "fused_losses", losses_apart)
    other_logs, other_gradients = learned(little.pretraining(settings))
    assert logs.keys() == other_logs.keys()
    assert_close(logs, other_logs, rtol=1e-5, atol=1e-5)
    assert_close(gradients, other_gradients, rtol=1e-5, atol=1e-5)


def test_texts_of_different_lengths_are_fused_together_as_they_are_apart() -> None:
    # As where several processes share a batch: the others' texts may be longer.
    model, batch = little.model().eval(), little.batch()
    images, short = model.encode_image(batch.pixels), slice(0, 2)
    text = model.encode_text(batch.ids, batch.mask)
    some = batch.mask[short, :5]
    terms = {
        "all": FusedTerm(text, batch.mask, torch.tensor([2, 0, 0, 4, 3]), Tensor.sum),
        "some": FusedTerm(model.encode_text(batch.ids[short, :5], some), some, None, Tensor.sum),
    }
    expected = losses_apart(model, images, terms)
    assert_close(fused_losses(model, images, terms), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("names", [("itm",), ("itm", "mlm"), ("mlm",)])
def test_every_image_is_projected_once_until_images_read_texts(names: tuple[str, ...]) -> None:
    task, rows = little.pretraining(little.only(*names)), Counter[str]()
    for place, layer in enumerate(task.model.fusion):
        for name, part in layer.named_modules():
            if name.endswith("attention.key") and "self" not in name:
                part.register_forward_hook(
                    lambda _, given, __, place=place: rows.update({str(place): len(given[0])})
                )
    batch = little.batch()
    task.before_step(0)
    task(batch, 0)
    images = len(batch.pixels)
    texts = sum({"itm": 3 * images, "mlm": images}[name] for name in names)
    assert rows == {"0": images, "2": texts}  # layer 1 is the connected one
