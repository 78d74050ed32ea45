from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.config.schema_uniter import UniterConfig
from mplug.models.uniter import Uniter, with_skills
from mplug.models.uniter_heads import PairAttentionHead, PairHead, TripletHead
from mplug.nn.regions import Regions
from tests.models.small import VOCABULARY, words
from tests.models.small_uniter import (
    ALL_SKILLS,
    ANSWERS,
    CLASSES,
    DIM,
    FEATURES,
    small_uniter,
    small_uniter_config,
    some_regions,
    spoilt,
)

COMPARISONS = ("triplet", "pair", "pair_attention")


@pytest.fixture(scope="module")
def model() -> Uniter:
    return small_uniter(skills=ALL_SKILLS, answers=ANSWERS)


def outputs(model: Uniter, ids: Tensor, mask: Tensor, regions: Regions) -> dict[str, Tensor]:
    """Everything the model says, a row for each pair, at places that are there."""
    joint = model.encode(ids, mask, regions)
    assert regions.mask is not None
    return {
        "text": joint.text.masked_fill(~mask[..., None], 0.0).sum(dim=1),
        "regions": joint.regions.masked_fill(~regions.mask[..., None], 0.0).sum(dim=1),
        "match": model.match(joint.text),
        "answer": model.answer(joint.text),
        "rank": model.rank(joint.text),
        "refer": model.refer(joint.regions, regions.mask).softmax(dim=1).amax(dim=1),
        "entail": model.entail(joint.text),
        "compare": model.compare(ids, mask, regions, regions),
    }


def test_every_output_has_its_shape(model: Uniter) -> None:
    (ids, mask), regions = words(6, 4), some_regions(5, 3)
    joint = model.encode(ids, mask, regions)
    assert (joint.text.shape, joint.regions.shape) == ((2, 6, DIM), (2, 5, DIM))
    assert model.match(joint.text).shape == (2, 2)
    assert model.masked_word_logits(joint.text[mask]).shape == (10, VOCABULARY)
    assert model.hidden_features(joint.regions[regions.mask]).shape == (8, FEATURES)
    assert model.hidden_class_logits(joint.regions[regions.mask]).shape == (8, CLASSES)
    assert model.answer(joint.text).shape == (2, ANSWERS)
    assert model.rank(joint.text).shape == (2,)
    assert model.refer(joint.regions, regions.mask).shape == (2, 5)
    assert model.entail(joint.text).shape == (2, 3)


def test_nothing_is_read_at_padding(model: Uniter) -> None:
    (ids, mask), regions = words(6, 3), some_regions(2, 5)
    assert_close(
        outputs(model, ids.masked_fill(~mask, 7), mask, spoilt(regions)),
        outputs(model, ids, mask, regions),
    )


def test_other_pairs_and_longer_padding_change_nothing(model: Uniter) -> None:
    (ids, mask), regions = words(6, 3, 4), some_regions(2, 4, 5)
    whole = outputs(model, ids, mask, regions)
    assert regions.mask is not None
    alone = Regions(regions.features[1:2, :4], regions.boxes[1:2, :4], None)
    shorter = alone._replace(mask=regions.mask[1:2, :4])
    row = outputs(model, ids[1:2, :3], mask[1:2, :3], shorter)
    expected = {name: value[1:2] for name, value in whole.items()}
    assert_close(row, expected, atol=1e-5, rtol=1e-5)
    unmasked = model.encode(ids[1:2, :3], mask[1:2, :3], alone)
    assert_close(unmasked.text.sum(dim=1), expected["text"], atol=1e-5, rtol=1e-5)


def test_words_and_regions_read_each_other(model: Uniter) -> None:
    (ids, mask), regions = words(5, 5), some_regions(4, 4)
    joint = model.encode(ids, mask, regions)
    other_words = model.encode(ids.roll(1, dims=0), mask, regions)
    moved = model.encode(ids, mask, regions._replace(boxes=regions.boxes.flip(1)))
    assert not torch.allclose(other_words.regions, joint.regions, atol=1e-2)
    assert not torch.allclose(moved.text, joint.text, atol=1e-2)


def test_the_order_of_regions_means_nothing(model: Uniter) -> None:
    (ids, mask), regions = words(5, 3), some_regions(4, 4)
    joint = model.encode(ids, mask, regions)
    flipped = Regions(regions.features.flip(1), regions.boxes.flip(1), regions.mask)
    other = model.encode(ids, mask, flipped)
    assert_close(other.text, joint.text, atol=1e-5, rtol=1e-5)
    assert_close(other.regions.flip(1), joint.regions, atol=1e-5, rtol=1e-5)


def test_what_a_hidden_region_shows_is_withheld_but_not_where_it_lies(model: Uniter) -> None:
    (ids, mask), regions = words(5, 3), some_regions(4, 3)
    hidden = torch.tensor([[False, True, False, False], [True, False, False, False]])
    joint = model.encode(ids, mask, regions, hidden=hidden)
    changed = regions.features + 5 * hidden[..., None]
    assert_close(model.encode(ids, mask, regions._replace(features=changed), hidden=hidden), joint)
    moved = regions._replace(boxes=regions.boxes + 0.3 * hidden[..., None])
    assert not torch.allclose(model.encode(ids, mask, moved, hidden=hidden).text, joint.text)
    assert not torch.allclose(model.encode(ids, mask, regions).text, joint.text)


def test_features_are_recalled_through_their_own_projection(model: Uniter) -> None:
    states = torch.randn(3, DIM)
    head, projection = model.feature_head, model.region_embeddings.feature_linear.weight
    transformed = head.norm(torch.nn.functional.gelu(head.transform(states)))
    assert_close(model.hidden_features(states), transformed @ projection + head.bias)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_a_comparison_reads_both_pictures_and_no_padding(comparison: str) -> None:
    model = small_uniter(skills=("compare",), comparison=comparison)
    (ids, mask), first, second = words(5, 3), some_regions(4, 2), some_regions(2, 3, seed=8)
    logits = model.compare(ids, mask, first, second)
    spoiled = model.compare(ids, mask, spoilt(first), spoilt(second))
    assert logits.shape == (2, 2)
    assert_close(spoiled, logits)
    for pictures in ((second, first), (first, first), (second, second)):
        assert not torch.allclose(model.compare(ids, mask, *pictures), logits, atol=1e-2)
    whole = first._replace(mask=None)
    counted = first._replace(mask=torch.ones(2, 4, dtype=torch.bool))
    assert_close(model.compare(ids, mask, whole, second), model.compare(ids, mask, counted, second))


def test_a_comparison_is_chosen_by_name() -> None:
    heads = [
        type(small_uniter(skills=("compare",), comparison=name).compare_head)
        for name in COMPARISONS
    ]
    assert heads == [TripletHead, PairHead, PairAttentionHead]


def test_a_second_picture_is_at_first_embedded_as_the_first() -> None:
    model, taught = small_uniter(), with_skills(small_uniter(), ["compare"])
    assert taught.second_segment is not None
    assert_close(taught.second_segment.detach(), model.region_embeddings.segment.detach())


def test_a_rank_starts_as_the_matching_heads_yes() -> None:
    model = with_skills(small_uniter(), ["retrieve"])
    joint = model.encode(*words(5, 3), some_regions(4, 2))
    assert_close(model.rank(joint.text), model.match(joint.text)[:, 1])


def test_teaching_more_changes_nothing_that_is_there() -> None:
    model = small_uniter(skills=("entail",))
    taught = with_skills(model, ["answer", "compare"], answers=ANSWERS)
    assert taught.config.skills == ("answer", "compare", "entail")
    assert model.config.skills == ("entail",)
    old, new = model.state_dict(), taught.state_dict()
    assert_close({name: new[name] for name in old}, old)
    again = with_skills(taught, ["ground"])
    assert_close({name: again.state_dict()[name] for name in new}, new)
    with pytest.raises(ValueError, match="chooses among 11 answers, not 12"):
        with_skills(taught, ["answer"], answers=12)


def test_a_skill_that_was_not_taught_is_named() -> None:
    model, text = small_uniter(), torch.zeros(1, 2, DIM)
    ids, mask = words(2)
    asks: dict[str, Callable[[], Tensor]] = {
        "answer": lambda: model.answer(text),
        "retrieve": lambda: model.rank(text),
        "compare": lambda: model.compare(ids, mask, some_regions(2), some_regions(2)),
        "ground": lambda: model.refer(text),
        "entail": lambda: model.entail(text),
    }
    for name, ask in asks.items():
        with pytest.raises(ValueError, match=f'do not name "{name}"'):
            ask()


def test_answers_must_be_counted() -> None:
    with pytest.raises(ValueError, match="needs answers"):
        small_uniter_config(skills=("answer",))


def test_a_region_that_is_not_there_is_never_meant(model: Uniter) -> None:
    regions = some_regions(4, 2)
    logits = model.refer(torch.randn(2, 4, DIM), regions.mask)
    assert (logits == -torch.inf).tolist() == [[False] * 4, [False, False, True, True]]


def test_every_parameter_learns_from_some_objective() -> None:
    model = small_uniter(skills=ALL_SKILLS, answers=ANSWERS).train()
    (ids, mask), regions = words(6, 4), some_regions(5, 3)
    hidden = torch.zeros(2, 5, dtype=torch.bool)
    hidden[:, 1] = True
    joint = model.encode(ids, mask, regions, hidden=hidden)
    states = joint.regions[hidden]
    said = [
        model.match(joint.text),
        model.masked_word_logits(joint.text[mask]),
        model.hidden_features(states),
        model.hidden_class_logits(states),
        model.answer(joint.text),
        model.rank(joint.text),
        model.compare(ids, mask, regions, regions),
        model.refer(joint.regions),
        model.entail(joint.text),
    ]
    torch.stack([one.square().sum() for one in said]).sum().backward()  # type: ignore[no-untyped-call]
    silent = [name for name, value in model.named_parameters() if value.grad is None]
    assert silent == []


def test_the_same_seed_draws_the_same_model_whatever_it_is_taught() -> None:
    torch.manual_seed(5)
    plain = Uniter(small_uniter_config()).state_dict()
    torch.manual_seed(5)
    skilled = Uniter(small_uniter_config(skills=ALL_SKILLS, answers=ANSWERS)).state_dict()
    assert_close({name: skilled[name] for name in plain}, plain, atol=0.0, rtol=0.0)


def test_a_config_is_read_back_from_json() -> None:
    config = small_uniter_config(skills=ALL_SKILLS, answers=ANSWERS)
    assert UniterConfig.model_validate_json(config.model_dump_json()) == config
