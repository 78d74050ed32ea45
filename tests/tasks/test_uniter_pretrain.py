from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from mplug.config.schema_uniter_run import Mix, UniterObjectives, UniterOptim
from mplug.errors import DataError
from mplug.tasks.uniter_draws import draw_objective, draw_regions
from mplug.tasks.uniter_objectives import terms
from mplug.tasks.uniter_pretrain import UniterPretraining, blank
from mplug.training.distributed import Processes
from tests.tasks.regional import CPU, random_pairs, uniter, words

MIX = Mix(itm=2, mlm=2, mrfr=1, mrc=1, mrc_kl=1)
OPTIM = UniterOptim(steps=3, batch_size=6)
ALL = tuple(MIX.shares)


def pretraining(objectives: UniterObjectives | None = None) -> UniterPretraining:
    batches = [random_pairs(6, seed=seed) for seed in (1, 2)]
    return UniterPretraining(
        uniter(),
        objectives=objectives or UniterObjectives(mix=MIX),
        optim=OPTIM,
        words=words(),
        most=(12, 5),
        seed=4,
        processes=Processes(),
        validation=lambda: batches,
    )


def draws(part: int = 0, *, words: int = 9, regions: int = 4, rows: int = 6):  # type: ignore[no-untyped-def]
    return draw_regions(
        seed=1,
        step=2,
        part=part,
        shape=(rows, words, regions),
        most=(12, 5),
        processes=Processes(),
        device=CPU,
    )


def test_each_step_learns_one_objective_as_often_as_the_mix_says() -> None:
    shares = Mix(itm=2, mlm=2, mrfr=1, mrc_kl=1).shares
    drawn = Counter(draw_objective(shares, seed=0, step=step) for step in range(6000))
    assert set(drawn) == {"itm", "mlm", "mrfr", "mrc_kl"}
    for name, share in shares.items():
        assert drawn[name] / 6000 == pytest.approx(share, abs=0.02)


def test_numbers_do_not_depend_on_padding_or_on_the_number_of_processes() -> None:
    one, longer = draws(), draws(words=11, regions=5)
    assert_close(one.words, longer.words[:, :9])
    assert_close(one.regions, longer.regions[:, :4])
    halves = [
        draw_regions(
            seed=1,
            step=2,
            part=0,
            shape=(3, 9, 4),
            most=(12, 5),
            processes=Processes(rank=rank, world=2),
            device=CPU,
        )
        for rank in (0, 1)
    ]
    assert_close(torch.cat([half.regions for half in halves]), one.regions)
    assert not torch.equal(draws(1).wrong, one.wrong)


@pytest.mark.parametrize("name", ALL)
def test_every_objective_has_a_loss_that_reaches_the_model(name: str) -> None:
    model = uniter()
    settings = UniterObjectives(mix=MIX, word_share=0.5)
    found = terms(name, model, random_pairs(6), settings=settings, words=words(), draws=draws())  # type: ignore[arg-type]
    found.loss.mean().backward()  # type: ignore[no-untyped-call]
    query = dict(model.named_parameters())["stack.layers.0.self_attention.attention.query.weight"]
    assert query.grad is not None
    assert (found.blind is None) == (name == "mlm")


def seen_by(model, name: str, masking: str):  # type: ignore[no-untyped-def]
    """What the model is given: the ids, and which regions are hidden."""
    given: dict[str, Any] = {}
    encode = model.encode

    def spy(ids, mask, regions, *, hidden=None):  # type: ignore[no-untyped-def]
        given.update(ids=ids, hidden=hidden)
        return encode(ids, mask, regions, hidden=hidden)

    model.encode = spy
    settings = UniterObjectives(mix=MIX, word_share=0.9, masking=masking)  # type: ignore[arg-type]
    terms(name, model, random_pairs(6), settings=settings, words=words(), draws=draws())  # type: ignore[arg-type]
    return given


@pytest.mark.parametrize("name", ["mrfr", "mrc", "mrc_kl"])
def test_conditional_masking_leaves_the_words_whole_where_regions_are_asked_for(name: str) -> None:
    given = seen_by(uniter(), name, "conditional")
    assert torch.equal(given["ids"], random_pairs(6).ids)
    assert given["hidden"].any()
    assert not torch.equal(seen_by(uniter(), name, "joint")["ids"], random_pairs(6).ids)


def test_conditional_masking_leaves_the_regions_whole_where_words_are_asked_for() -> None:
    assert seen_by(uniter(), "mlm", "conditional")["hidden"] is None
    assert seen_by(uniter(), "mlm", "joint")["hidden"].any()


def test_matching_puts_texts_beside_other_pictures_and_never_beside_the_same() -> None:
    batch = random_pairs(6)
    twins = replace(batch, image_ids=torch.zeros(6, dtype=torch.int64))
    settings = UniterObjectives(alignment=0.0)
    model = uniter().eval()
    all_matched = terms("itm", model, twins, settings=settings, words=words(), draws=draws())
    assert all_matched.blind == 0
    found = terms("itm", model, batch, settings=settings, words=words(), draws=draws())
    assert found.blind is not None
    assert found.blind > 0.4


def test_alignment_is_added_to_matching_alone_at_its_weight() -> None:
    model = uniter().eval()
    with_it, half, without = (
        terms(
            "itm",
            model,
            random_pairs(6),
            settings=UniterObjectives(alignment=weight),
            words=words(),
            draws=draws(),
        )
        for weight in (0.1, 0.05, 0.0)
    )
    assert with_it.also is not None
    assert half.also is not None
    assert_close(with_it.also, 2 * half.also)
    assert_close(dict(with_it.more)["wra"] * 0.1, with_it.also.detach())
    assert without.also is None


def test_regions_without_labels_cannot_be_classed() -> None:
    batch = random_pairs(6)
    unlabelled = replace(batch, regions=replace(batch.regions, soft_labels=None))
    with pytest.raises(DataError, match=r"mix\.mrc_kl"):
        terms(
            "mrc_kl",
            uniter(),
            unlabelled,
            settings=UniterObjectives(),
            words=words(),
            draws=draws(),
        )


def test_what_is_not_seen_is_one_region_of_zeros() -> None:
    nothing = blank(random_pairs(6).regions)
    assert not nothing.features.any()
    assert not nothing.boxes.any()
    assert nothing.mask.sum(dim=1).tolist() == [1] * 6


def test_evaluation_stands_beside_blind_values() -> None:
    figures = pretraining().eval().evaluate()
    for name in ALL:
        assert {f"validation_{name}", f"validation_{name}_blind", f"learned_{name}"} <= set(figures)


def test_it_learns_a_batch_by_heart() -> None:
    """Every objective falls below half of what a blind model pays for it."""
    torch.manual_seed(0)
    task = pretraining(UniterObjectives(mix=MIX, word_share=0.3, region_share=0.3))
    batch = random_pairs(6, seed=1)
    # One step of each, so that the same draws come again and again.
    steps = {name: next(s for s in range(99) if task.objective(s) == name) for name in ALL}
    optimizer = torch.optim.AdamW(task.parameters(), lr=4e-3)
    task.train()
    for _ in range(45):
        for step in steps.values():
            task.before_step(step)
            optimizer.zero_grad()
            task(batch, step).loss.backward()
            optimizer.step()
    task.eval()
    with torch.no_grad():
        for name, step in steps.items():
            value, blind = task._losses(name, batch, step, part=0)
            assert value < blind / 2, name


def test_all_parameters_are_in_a_group_once() -> None:
    task = pretraining()
    names = [name for group in task.parameter_groups() for name, _ in group.parameters]
    assert sorted(names) == sorted(name for name, _ in task.named_parameters())
