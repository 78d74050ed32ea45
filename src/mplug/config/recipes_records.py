"""Runs on a user's own records: the demo's model for two cores, a larger one for one GPU.

Every fine-tuning run starts from its size's pretraining; `start_from=DIR` names another run.
"""

from mplug.config import sizes
from mplug.config.edit import derive
from mplug.config.recipes_scenes import demo_pretrain
from mplug.config.recipes_shared import finetuned, pairs_only, self_critical
from mplug.config.schema import (
    DataConfig,
    ObjectivesConfig,
    RunConfig,
    TasksConfig,
    Term,
    TrainConfig,
)

# What suits the tiny model on any task: enough for a few thousand records.
TINY_TASK = {
    "optim.steps": 2000,
    "optim.lr": 3e-4,
    "optim.warmup_steps": 100,
    "train.evaluate_every": 250,
}


def tiny_pretrain() -> RunConfig:
    """The demo's model on your own records (data.train=captions.jsonl); hours on two cores."""
    return derive(
        demo_pretrain(),
        {
            "name": "tiny-pretrain",
            "model.text.vocab_size": 4000,
            "data": DataConfig(vocab_size=4000, augment="pretrain"),
            "optim.steps": 10_000,
            "optim.lr": 1e-3,
            "optim.warmup_steps": 200,
            "objectives.prefix_lm": Term(),
            "objectives.itm": Term(every=2, start=200),
            "objectives.mlm": Term(every=2, offset=1, start=100),
            "objectives.empty_prefix_share": 0.5,
            "objectives.distillation_ramp_steps": 3000,
            "train": TrainConfig(),
        },
    )


def small_pretrain() -> RunConfig:
    """A 30 M model on tens of thousands of your own pictures: one GPU, or patience."""
    return derive(
        tiny_pretrain(),
        {
            "name": "small-pretrain",
            "model": sizes.small(),
            "data.vocab_size": 8000,
            "optim.steps": 50_000,
            "optim.batch_size": 256,
            "optim.lr": 3e-4,
            "optim.warmup_steps": 1000,
            "objectives": ObjectivesConfig(
                itm=Term(start=2000),
                hard_negatives_ramp_steps=10_000,
                queue_size=4096,
                distillation_ramp_steps=5000,
                empty_prefix_share=0.5,
            ),
        },
    )


def tiny_caption() -> RunConfig:
    """Captions on your records, from runs/tiny-pretrain (start_from=DIR for another)."""
    return finetuned(tiny_pretrain(), "tiny-caption", "caption", changes=TINY_TASK)


def small_caption() -> RunConfig:
    """Captions on your records, from runs/small-pretrain (start_from=DIR for another)."""
    return finetuned(
        small_pretrain(),
        "small-caption",
        "caption",
        changes={"optim.steps": 5000, "optim.lr": 1e-4, "optim.warmup_steps": 200},
    )


def tiny_caption_scst() -> RunConfig:
    """Captions that score higher in CIDEr-D (self-critical), from runs/tiny-caption.

    Drawing and scoring five captions of each picture takes most of a step, so a batch is small.
    """
    return self_critical(
        tiny_caption(),
        "tiny-caption-scst",
        {
            "optim.steps": 500,
            "optim.batch_size": 32,
            "optim.lr": 3e-5,
            "optim.warmup_steps": 20,
            "train.evaluate_every": 100,
            "train.save_every": 100,
        },
    )


def tiny_answer() -> RunConfig:
    """Answers to questions on your records, from runs/tiny-pretrain."""
    return finetuned(
        tiny_pretrain(),
        "tiny-answer",
        "answer",
        changes={**TINY_TASK, "generation.max_tokens": 10},
    )


def tiny_retrieval() -> RunConfig:
    """Finding pictures by text and texts by picture on your records, from runs/tiny-pretrain.

    The queue is short: it should not hold every picture of a small data set many times over.
    """
    return finetuned(
        tiny_pretrain(),
        "tiny-retrieval",
        "retrieval",
        changes={
            **TINY_TASK,
            "objectives": pairs_only(queue_size=1024, momentum=0.99, ramp_steps=200),
        },
    )


def tiny_ground() -> RunConfig:
    """Boxes of phrases on your records, from runs/tiny-pretrain."""
    return finetuned(tiny_pretrain(), "tiny-ground", "ground", changes=TINY_TASK)


def tiny_compare() -> RunConfig:
    """Statements about two pictures on your records, from runs/tiny-pretrain."""
    return finetuned(tiny_pretrain(), "tiny-compare", "compare", changes=TINY_TASK)


def tiny_entail() -> RunConfig:
    """Hypotheses about a picture on your records, from runs/tiny-pretrain."""
    return finetuned(tiny_pretrain(), "tiny-entail", "entail", changes=TINY_TASK)


def tiny_tasks() -> RunConfig:
    """All tasks at once on your records, from runs/tiny-pretrain; tasks.NAME=null drops one.

    `tasks.answer.train=questions.jsonl` gives a task records of its own.
    """
    return finetuned(
        tiny_pretrain(),
        "tiny-tasks",
        *TasksConfig.model_fields,
        changes={
            "optim.steps": 6000,
            "optim.lr": 5e-4,
            "optim.warmup_steps": 200,
            "objectives": pairs_only(queue_size=1024, momentum=0.99, ramp_steps=200),
        },
    )


def tiny_xray() -> RunConfig:
    """Long texts, such as an X-ray's findings, on your records; starts from nothing.

    A report is several times as long as what the other tiny runs have places for, and what it
    tells is small in the picture, so this model has more positions and more pixels than theirs.
    """
    return derive(
        tiny_caption(),
        {
            "name": "tiny-xray",
            "start_from": None,
            "model.vision.image_size": 128,
            "model.text.max_positions": 160,
            "data.vocab_size": 2000,
            "data.max_words": 150,
            "optim.steps": 4000,
            "optim.batch_size": 32,
            "optim.lr": 1e-3,
            "optim.warmup_steps": 200,
            "generation.max_tokens": 150,
        },
    )


def easy_vqa() -> RunConfig:
    """easy-VQA from nothing: `make easy-vqa` gets its records; minutes on two cores.

    A picture is one large plain shape, so patches are as large as the stem can make them, and a
    step takes half the time. What is right is a shape or a colour, which no change of the picture
    leaves alone, so pictures stay as they are. An answer is one of thirteen words, and what
    negation does to it is learned late: hence the many small steps, a dozen times through the
    questions, and no pretraining, for there are no captions.
    """
    return derive(
        tiny_answer(),
        {
            "name": "easy-vqa",
            "start_from": None,
            "model.vision.patch_size": 16,
            "model.vision.stem_channels": (32, 64, 128, 128),
            "data.augment": "none",
            "data.vocab_size": 600,
            "data.validation_examples": 1024,
            "optim.steps": 6500,
            "optim.batch_size": 64,
            "optim.lr": 1e-3,
            "optim.warmup_steps": 200,
            "train.blind_every": 500,
            "train.evaluate_every": 500,
            "train.save_every": 500,
            "generation.beams": 1,
            "generation.max_tokens": 4,
        },
    )
