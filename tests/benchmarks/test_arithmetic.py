"""What the benchmarks count as needed arithmetic is what torch counts of a plain run."""

import pytest
import torch

from benchmarks import arithmetic, systems
from mplug.models.mplug import MPlug
from mplug.nn.cost import multiply_adds


@pytest.fixture(scope="module")
def model() -> MPlug:
    return systems.ours("quick").requires_grad_(False)


@torch.inference_mode()
def test_vision(model: MPlug) -> None:
    pixels = systems.pixels("quick", images=3)
    counted = 2e-9 * multiply_adds(lambda: model.encode_image(pixels))
    assert arithmetic.vision(model.config, images=3) == pytest.approx(counted)


@torch.inference_mode()
def test_texts_and_their_fusion_with_an_image_each(model: MPlug) -> None:
    ids, mask = systems.texts("quick", lengths=[7, 7])
    text = model.encode_text(ids, mask)
    image = torch.randn(2, arithmetic.image_tokens(model.config), 64)
    counted = 2e-9 * multiply_adds(lambda: model.encode_text(ids, mask))
    assert arithmetic.text_encoder(model.config, lengths=[7, 7]) == pytest.approx(counted)
    for both, fuse in ((False, model.fuse_text), (True, model.fuse)):
        counted = 2e-9 * multiply_adds(lambda fuse=fuse: fuse(text, image, mask))  # type: ignore[misc]
        told = arithmetic.fusion(model.config, lengths=[7, 7], images=2, with_image=both)
        assert told == pytest.approx(counted)


@torch.inference_mode()
def test_writing_word_by_word(model: MPlug) -> None:
    memory = torch.randn(1, 17, 64)
    rows = torch.full((5, 1), 200)

    def write() -> None:
        cache = model.decoder.start(memory)
        _, cache = model.decoder.step(rows[:1], cache)
        cache = cache.reorder(torch.zeros(5, dtype=torch.long))
        for _ in range(2):
            _, cache = model.decoder.step(rows, cache)

    told = arithmetic.writing(model.config, images=1, beams=5, written=3, tokens=17)
    assert told == pytest.approx(2e-9 * multiply_adds(write))
