"""What the passes of a step share, against twins that share nothing."""

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.models.mplug import MPlug
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


def test_matching_projects_every_image_once_until_images_read_texts() -> None:
    task, rows = little.pretraining(little.only("itm")), Counter[str]()
    for place, layer in enumerate(task.model.fusion):
        for name, part in layer.named_modules():
            if name.endswith("attention.key") and "self" not in name:
                part.register_forward_hook(
                    lambda _, given, __, place=place: rows.update({str(place): len(given[0])})
                )
    batch = little.batch()
    task.before_step(0)
    task(batch, 0)
    pairs = 3 * len(batch.pixels)
    assert rows == {"0": len(batch.pixels), "2": pairs}  # layer 1 is the connected one
