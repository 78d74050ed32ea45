import pytest
import torch
from torch.testing import assert_close

from mplug.models.heads import ClassPooling, MaxPooling
from mplug.models.mplug import MPlug
from tests.models.small import (
    PATCHES,
    VOCABULARY,
    pixels,
    small_config,
    small_model,
    words,
)


@pytest.fixture(params=["replace", "add", "connected", "co_attention", "asymmetric"])
def model(request: pytest.FixtureRequest) -> MPlug:
    if request.param in ("replace", "add"):
        return small_model(small_config(image_update=request.param))
    return small_model(small_config(scheme=request.param))


def test_every_output_has_its_shape(model: MPlug) -> None:
    image = model.encode_image(pixels(2))
    ids, mask = words(5, 3)
    fused_image, text = model.fuse(model.encode_text(ids, mask), image, mask)
    assert image.shape == fused_image.shape == (2, PATCHES, 18)
    assert text.shape == (2, 5, 18)
    assert model.image_embedding(image).shape == model.text_embedding(text).shape == (2, 7)
    assert model.match(text).shape == (2, 2)
    assert model.masked_word_logits(text[mask]).shape == (8, VOCABULARY)
    assert model.decode(ids, mask, fused_image).shape == (2, 5, VOCABULARY)


def test_embeddings_have_unit_length(model: MPlug) -> None:
    image = model.image_embedding(model.encode_image(pixels(3)))
    text = model.text_embedding(model.encode_text(*words(5, 3)))
    assert_close(image.norm(dim=1), torch.ones(3))
    assert_close(text.norm(dim=1), torch.ones(2))


def test_the_image_is_projected_only_where_the_widths_differ() -> None:
    same = MPlug(small_config(vision_dim=18))
    assert list(same.visual_projection.parameters()) == []
    assert same.encode_image(pixels(2)).shape == (2, PATCHES, 18)


def test_other_pairs_in_the_batch_change_nothing(model: MPlug) -> None:
    images, (ids, mask) = pixels(3), words(6, 3, 5)

    def outputs(rows: slice, width: int) -> tuple[torch.Tensor, ...]:
        image, own = model.encode_image(images[rows]), mask[rows, :width]
        fused = model.fuse(model.encode_text(ids[rows, :width], own), image, own)
        logits = model.decode(ids[rows, :width], own, fused[0])
        return fused[0], fused[1][own], model.match(fused[1]), logits[own]

    image, text, matched, logits = outputs(slice(0, 3), 6)
    alone = outputs(slice(1, 2), 3)
    expected = (image[1:2], text[6:9], matched[1:2], logits[6:9])
    assert_close(alone, expected, atol=1e-5, rtol=1e-5)


def test_the_fused_text_can_be_had_without_the_fused_image(model: MPlug) -> None:
    image, (ids, mask) = model.encode_image(pixels(2)), words(5, 3)
    text = model.encode_text(ids, mask)
    whole = model.fuse(text, image, mask)[1]
    assert_close(model.fuse_text(text, image, mask), whole)
    first = model.fuse_text(text, image, mask, first=1)
    assert_close(first, whole[:, :1])
    assert_close(model.match(first), model.match(whole))


def projected_rows(model: MPlug) -> list[int]:
    """Rows that go through the key projections of the fusion layers, as they come."""
    rows: list[int] = []
    for name, module in model.fusion.named_modules():
        if name.endswith("attention.attention.key"):
            module.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[0]))
    return rows


def test_texts_that_share_an_image_are_fused_as_if_each_had_its_own(model: MPlug) -> None:
    image, (ids, mask) = model.encode_image(pixels(2)), words(5, 3, 4, 2, 5)
    text, places = model.encode_text(ids, mask), torch.tensor([1, 0, 1, 1, 0])
    seen = torch.arange(PATCHES) < torch.tensor([[7], [PATCHES]])
    shared = model.fuse_text(text, image, mask, seen, places=places)
    own = model.fuse_text(text, image[places], mask, seen[places])
    assert_close(shared, own, atol=1e-5, rtol=1e-5)
    memory = model.joint_memory(text, image, mask, seen, places=places)
    expected = model.joint_memory(text, image[places], mask, seen[places])
    assert_close(memory, expected, atol=1e-5, rtol=1e-5)


def test_an_image_is_projected_once_for_all_its_texts_until_it_reads_one() -> None:
    model = small_model(small_config(connected_at=(2,)))
    image, (ids, mask) = model.encode_image(pixels(1)), words(5, 3, 4)
    text = model.encode_text(ids, mask)
    rows = projected_rows(model)
    model.fuse_text(text, image, mask, places=torch.zeros(3, dtype=torch.long))
    # Self- and cross-attention in two layers, then image and texts of the connected layer, and
    # behind it every text has an image of its own.
    assert rows == [3, 1, 3, 1, 1, 3, 3, 3]


def test_a_joint_memory_is_the_fused_image_then_the_fused_text(model: MPlug) -> None:
    image, (ids, mask) = model.encode_image(pixels(2)), words(5, 3)
    text = model.encode_text(ids, mask)
    memory, memory_mask = model.joint_memory(text, image, mask)
    assert_close(memory, torch.cat(model.fuse(text, image, mask), dim=1))
    assert memory_mask is not None
    assert memory_mask.tolist() == [[True] * PATCHES + row for row in mask.tolist()]


def test_matching_depends_on_the_image(model: MPlug) -> None:
    ids, mask = words(5, 5)
    text = model.encode_text(ids[:1].expand(2, -1), mask)
    logits = model.match(model.fuse_text(text, model.encode_image(pixels(2)), mask))
    assert not torch.allclose(logits[0], logits[1])


def test_an_image_is_its_class_token_or_the_strongest_patch_of_each_feature() -> None:
    image = torch.tensor([[[9.0, 1.0], [2.0, 3.0], [4.0, 0.0]]])
    assert ClassPooling()(image).tolist() == [[9.0, 1.0]]
    assert MaxPooling()(image).tolist() == [[4.0, 3.0]]


def test_word_heads_share_the_word_embeddings(model: MPlug) -> None:
    names = [name for name, value in model.named_parameters() if VOCABULARY in value.shape]
    assert sorted(names) == [
        "decoder.embeddings.words.weight",
        "decoder.head.bias",
        "mlm_head.bias",
        "text_encoder.embeddings.words.weight",
    ]


def test_a_new_model_is_the_same_for_the_same_seed() -> None:
    first, second = small_model(seed=4).state_dict(), small_model(seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
