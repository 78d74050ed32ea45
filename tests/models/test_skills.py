import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.testing import assert_close

from mplug.config.schema import Skill
from mplug.models.mplug import MPlug
from mplug.models.skills import with_skills
from mplug.objectives.momentum import averaged_copy, update_average
from tests.models.small import pixels, small_config, small_model, words

CLASSIFYING: tuple[Skill, ...] = ("compare", "entail")


@pytest.fixture(params=["skip", "connected", "co_attention", "asymmetric"])
def model(request: pytest.FixtureRequest) -> MPlug:
    return small_model(small_config(scheme=request.param, skills=CLASSIFYING))


def read(model: MPlug, *lengths: int) -> tuple[Tensor, Tensor]:
    ids, mask = words(*lengths)
    return model.encode_text(ids, mask), mask


def compare(model: MPlug, images: Tensor, others: Tensor, *lengths: int) -> Tensor:
    text, mask = read(model, *lengths)
    return model.compare(text, model.encode_image(images), model.encode_image(others), mask)


def test_a_statement_has_two_classes_and_a_hypothesis_three(model: MPlug) -> None:
    text, mask = read(model, 5, 3)
    assert compare(model, pixels(2), pixels(2, seed=5), 5, 3).shape == (2, 2)
    assert model.entail(model.fuse_text(text, model.encode_image(pixels(2)), mask)).shape == (2, 3)


def test_other_pairs_in_the_batch_and_padding_change_nothing(model: MPlug) -> None:
    together = compare(model, pixels(3), pixels(3, seed=5), 4, 6, 2)
    text, mask = read(model, 4, 6, 2)
    for row, length in enumerate((4, 6, 2)):
        one = slice(row, row + 1)
        alone = model.compare(
            text[one, :length],
            model.encode_image(pixels(3)[one]),
            model.encode_image(pixels(3, seed=5)[one]),
            mask[one, :length],
        )
        assert_close(alone, together[one], atol=1e-5, rtol=1e-5)


def test_either_image_and_their_order_matter(model: MPlug) -> None:
    first, second, other = pixels(1), pixels(1, seed=5), pixels(1, seed=6)
    expected = compare(model, first, second, 4)
    for pair in ((other, second), (first, other), (second, first)):
        assert not torch.allclose(compare(model, *pair, 4), expected, atol=1e-4)


@pytest.mark.parametrize("scheme", ["skip", "co_attention", "asymmetric"])
def test_a_pair_of_the_same_image_is_first_read_like_the_image_alone(scheme: str) -> None:
    plain = small_model(small_config(connected_at=(), scheme=scheme))
    model = with_skills(plain, ["compare"])
    image = model.encode_image(pixels(2))
    text, mask = read(model, 5, 3)
    assert model.second_image is not None
    fused = model.second_image(model.fusion, text, image, image, mask)
    assert_close(fused, model.fuse_text(text, image, mask))


@pytest.mark.parametrize("connected_at", [(), (1,), (3,)])
@pytest.mark.parametrize("image_update", ["replace", "add"])
def test_every_fusion_network_can_learn_to_compare(
    connected_at: tuple[int, ...], image_update: str
) -> None:
    config = small_config(connected_at=connected_at, image_update=image_update, skills=("compare",))
    model = small_model(config)
    loss = compare(model, pixels(2), pixels(2, seed=5), 5, 3).logsumexp(dim=1).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.second_image is not None
    assert model.compare_head is not None
    for part in (model.second_image, model.compare_head):
        assert all(value.grad is not None for value in part.parameters())


def test_images_that_no_layer_could_tell_apart_are_refused() -> None:
    with pytest.raises(ValidationError, match="cannot tell the first image from the second"):
        small_config(connected_at=(0, 1, 2, 3), skills=("compare",))


def test_layers_that_read_both_images_at_once_are_told_which_is_the_second() -> None:
    plain = small_model(small_config(scheme="connected"))
    model = with_skills(plain, ["compare"])
    assert model.second_image is not None
    assert [name for name, _ in model.second_image.named_parameters()] == ["mark"]
    first, second = pixels(2), pixels(2, seed=5)
    unmarked = compare(model, first, second, 5, 3)
    assert_close(unmarked, compare(model, second, first, 5, 3))
    with torch.no_grad():
        model.second_image.mark.fill_(0.5)  # type: ignore[operator]
    marked = compare(model, first, second, 5, 3)
    assert not torch.allclose(marked, compare(model, second, first, 5, 3), atol=1e-4)


def test_only_the_second_images_attention_and_the_heads_are_new() -> None:
    plain = small_model()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    grown = with_skills(plain, CLASSIFYING)
    after = grown.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {
        "second_image",
        "compare_head",
        "entail_head",
    }
    for place in (0, 2, 3):  # layer 1 is connected
        for name, value in plain.fusion[place].cross_attention.state_dict().items():  # type: ignore[union-attr]
            assert torch.equal(after[f"second_image.cross_attentions.{place}.{name}"], value)


def test_the_model_that_is_taught_stays_as_it_was() -> None:
    plain = small_model()
    names = list(plain.state_dict())
    with_skills(plain, CLASSIFYING)
    assert list(plain.state_dict()) == names
    assert plain.config.skills == ()


def test_skills_add_up_in_one_order() -> None:
    first = with_skills(small_model(), ["entail", "caption"])
    assert first.config.skills == ("caption", "entail")
    both = with_skills(first, ["compare", "entail"])
    assert both.config.skills == ("caption", "compare", "entail")
    assert first.entail_head is not None
    assert both.entail_head is not None
    old, new = first.entail_head.state_dict(), both.entail_head.state_dict()
    assert all(torch.equal(new[name], value) for name, value in old.items())


def test_new_heads_come_from_the_seed_and_nothing_else_depends_on_them() -> None:
    torch.manual_seed(3)
    first = MPlug(small_config(skills=CLASSIFYING)).state_dict()
    torch.manual_seed(3)
    second = MPlug(small_config(skills=CLASSIFYING)).state_dict()
    torch.manual_seed(3)
    without = MPlug(small_config()).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(first[name], without[name]) for name in without)


def test_a_model_without_the_skill_says_so() -> None:
    model = small_model()
    text, mask = read(model, 5, 3)
    image = model.encode_image(pixels(2))
    with pytest.raises(ValueError, match='do not name "compare"'):
        model.compare(text, image, image, mask)
    with pytest.raises(ValueError, match='do not name "entail"'):
        model.entail(text)


@pytest.mark.parametrize("skills", [(), CLASSIFYING])
def test_a_teacher_can_go_without_the_parts_of_a_skill(skills: tuple[Skill, ...]) -> None:
    model = small_model(small_config(skills=skills))
    parts = ("second_image", "compare_head", "entail_head")
    teacher = averaged_copy(model, without=parts)
    assert not {name.split(".")[0] for name in teacher.state_dict()}.intersection(parts)
    update_average(teacher, model, momentum=0.5)
