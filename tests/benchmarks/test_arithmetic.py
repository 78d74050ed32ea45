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


@torch.inference_mode()
@pytest.mark.parametrize(("connected_at", "side"), [((1,), 64), ((0,), 64), ((0,), 256), ((), 256)])
@pytest.mark.parametrize("first", [None, 1])
def test_pairs_by_the_shorter_way(
    connected_at: tuple[int, ...], side: int, first: int | None
) -> None:
    sized = systems.config("quick", side=side)
    config = sized.model_copy(
        update={"fusion": sized.fusion.model_copy(update={"connected_at": connected_at})}
    )
    model = MPlug(config).eval().requires_grad_(False)
    text, mask = torch.randn(3, 2, 64), torch.ones(3, 2, dtype=torch.bool)
    image = torch.randn(1, arithmetic.image_tokens(config), 64)
    for places in (torch.zeros(3, dtype=torch.long), None):
        own = image if places is not None else image.expand(3, -1, -1)
        counted = 2e-9 * multiply_adds(
            lambda own=own, places=places: model.fuse_text(  # type: ignore[misc]
                text, own, mask, places=places, first=first
            )
        )
        told = arithmetic.fusion(config, lengths=[2] * 3, images=len(own), first=first)
        assert told == pytest.approx(counted)
