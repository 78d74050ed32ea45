"""The paper's runs hold the released settings, row by row (section 4 of the released facts)."""

from typing import NamedTuple

import pytest

from mplug.config.recipes import recipe


class Row(NamedTuple):
    """A row of the released configurations; rates at the end are of all but the image encoder."""

    name: str
    resolution: int
    batch_size: int
    epochs: int
    examples: int
    lr: float
    vision_lr: float
    min_lr: float


ROWS = [
    Row("base-pretrain", 256, 1024, 30, 4_000_000, 1e-4, 1e-5, 1e-6),
    Row("large-pretrain", 224, 1024, 30, 4_000_000, 5e-5, 5e-6, 2e-6),
    Row("base-answer", 384, 128 * 8, 8, 2_103_433, 3e-5, 5e-6, 1e-6),
    Row("large-answer", 336, 256 * 8, 8, 2_103_433, 3e-5, 5e-6, 1e-6),
    Row("base-caption", 384, 64 * 4 * 4, 5, 566_747, 1e-5, 5e-6, 1e-6),
    Row("large-caption", 336, 64 * 4 * 4, 5, 566_747, 1e-5, 5e-6, 1e-6),
    Row("base-caption-scst", 384, 32 * 4, 5, 566_747, 1e-6, 1e-6, 8e-8),
    Row("large-caption-scst", 336, 64 * 4, 5, 566_747, 1e-6, 1e-6, 8e-8),
    Row("large-retrieval-coco", 336, 128 * 8, 8, 566_747, 1e-5, 2e-6, 1e-6),
    Row("large-retrieval-flickr30k", 336, 128 * 8, 8, 145_000, 1e-5, 2e-6, 1e-6),
    Row("large-ground", 336, 24 * 8, 120, 375_454, 2e-5, 5e-6, 1e-6),
    Row("large-ground-refcoco", 336, 24 * 8, 120, 120_624, 2e-5, 5e-6, 1e-6),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_run_has_the_released_settings(row: Row) -> None:
    run = recipe(row.name)
    optim = run.optim
    assert run.model.vision.image_size == row.resolution
    assert optim.batch_size == row.batch_size
    assert (optim.lr, optim.vision_lr) == (row.lr, row.vision_lr)
    assert optim.lr * optim.final_lr_share == pytest.approx(row.min_lr)
    epochs = optim.steps * optim.batch_size / row.examples
    assert epochs == pytest.approx(row.epochs, rel=0.01)
    assert (optim.betas, optim.weight_decay) == ((0.9, 0.999), 0.02)


@pytest.mark.parametrize(
    ("name", "beams", "least", "most"),
    [
        ("base-answer", 5, 1, 10),
        ("base-caption", 5, 8, 25),
        ("large-caption-scst", 5, 8, 25),
        ("large-caption-vatex", 10, 15, 25),
    ],
)
def test_texts_are_written_as_released(name: str, beams: int, least: int, most: int) -> None:
    generation = recipe(name).generation
    assert (generation.beams, generation.min_tokens, generation.max_tokens) == (beams, least, most)


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        ("large-retrieval-msrvtt", 224),
        ("base-answer-msrvtt", 480),
        ("large-caption-vatex", 448),
    ],
)
def test_clips_are_read_at_the_released_resolution(name: str, resolution: int) -> None:
    assert recipe(name).model.vision.image_size == resolution


def test_warm_up_is_counted_in_updates_where_a_batch_comes_in_parts() -> None:
    assert recipe("base-caption").optim.warmup_steps == 100
    assert recipe("base-caption-scst").optim.warmup_steps == 400


def test_retrieval_learns_from_pairs_alone_with_the_long_queue_and_hard_negatives() -> None:
    objectives = recipe("large-retrieval-coco").objectives
    assert (objectives.mlm.weight, objectives.prefix_lm.weight) == (0, 0)
    assert (objectives.itc.weight, objectives.itm.weight) == (1, 1)
    assert (objectives.queue_size, objectives.momentum) == (65536, 0.995)
    assert objectives.hard_negatives_ramp_steps == 0


def test_pretraining_has_the_papers_objectives() -> None:
    run = recipe("base-pretrain")
    assert (run.optim.warmup_steps, run.objectives.queue_size) == (1000, 65536)
    assert (run.objectives.momentum, run.objectives.distillation) == (0.995, 0.4)


def test_each_expression_set_starts_from_the_joint_run() -> None:
    for name in ("refcoco", "refcoco-plus", "refcocog"):
        assert recipe(f"large-ground-{name}").start_from == "runs/large-ground"
