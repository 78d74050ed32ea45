"""Runs on composed scenes: what the demo does, and longer ones."""

from typing import get_args

from mplug.config import sizes
from mplug.config.edit import derive
from mplug.config.recipes_shared import self_critical
from mplug.config.schema import (
    DataConfig,
    ObjectivesConfig,
    OptimConfig,
    RunConfig,
    ScenesConfig,
    Skill,
    TaskConfig,
    TasksConfig,
    Term,
    TrainConfig,
)


def demo_pretrain() -> RunConfig:
    """What `mplug demo` learns first: sixty concepts, one or two a scene, all four objectives.

    ITC and tags run at every step. Of the other three each step has one at most: prefix LM every
    second one, ITM and MLM by turns in between and from later on, for at first there is nothing to
    match, and ITM's negatives become hard little by little. There is no queue: features of so young
    a teacher age faster than a queue of them fills.
    """
    return RunConfig(
        name="demo-pretrain",
        task="pretrain",
        model=sizes.tiny(),
        data=DataConfig(scenes=ScenesConfig(), vocab_size=1000, max_words=16, augment="none"),
        objectives=ObjectivesConfig(
            prefix_lm=Term(every=2),
            itm=Term(every=4, offset=1, start=300),
            mlm=Term(every=4, offset=3, start=200),
            tags=Term(),
            queue_size=0,
            momentum=0.97,
            distillation_ramp_steps=500,
            hard_negatives_ramp_steps=500,
            mask_share=0.4,
            empty_prefix_share=0.75,
        ),
        optim=OptimConfig(
            steps=700,
            batch_size=64,
            lr=2e-3,
            warmup_steps=60,
            weight_decay=0.05,
            betas=(0.9, 0.98),
            final_lr_share=0.02,
        ),
        train=TrainConfig(blind_every=100, evaluate_every=350, save_every=350),
    )


def demo_tasks() -> RunConfig:
    """What `mplug demo` does next: all tasks at once on the same scenes, from its pretrained model.

    Captions, answers, boxes, pairs of pictures and entailment. Both encoders stay as pretraining
    left them, and with them search: in so few steps they would lose more of what they know than
    the tasks could gain.
    """
    return derive(
        demo_pretrain(),
        {
            "name": "demo-tasks",
            "task": "finetune",
            "tasks": TasksConfig(**{task: TaskConfig() for task in get_args(Skill)}),
            "start_from": "runs/demo-pretrain",
            "objectives": ObjectivesConfig(),
            "optim.steps": 200,
            "optim.batch_size": 32,
            "optim.lr": 1e-3,
            "optim.vision_lr": 0.0,
            "optim.text_lr": 0.0,
            "optim.warmup_steps": 30,
            "train.evaluate_every": 200,
            "train.save_every": 100,
        },
    )


def scenes_200() -> RunConfig:
    """A longer run on scenes, over an hour on two cores: 200 concepts, up to three a scene."""
    return derive(
        demo_pretrain(),
        {
            "name": "scenes-200",
            "model.vision.num_layers": 2,
            "model.vision.intermediate_size": 512,
            "model.text.intermediate_size": 512,
            "model.text.num_layers": 2,
            "model.fusion.num_layers": 3,
            "model.fusion.connected_at": sizes.connected_places(3, stride=2),
            "data.scenes.concepts": 200,
            "data.scenes.max_objects": 3,
            "data.scenes.object_scale": 1.2,
            "data.scenes.artists": ("noto", "noto-v1", "twemoji", "fxemoji"),
            "data.vocab_size": 2000,
            "optim.steps": 3200,
            "optim.batch_size": 96,
            "optim.lr": 1.5e-3,
            "optim.warmup_steps": 200,
            "objectives.prefix_lm": Term(),
            "objectives.itm": Term(every=2, start=800),
            "objectives.mlm": Term(every=2, offset=1, start=400),
            "objectives.momentum": 0.99,
            "objectives.empty_prefix_share": 0.5,
            "objectives.distillation_ramp_steps": 3000,
            "objectives.hard_negatives_ramp_steps": 2400,
            "train.evaluate_every": 1000,
            "train.save_every": 250,
        },
    )


def scenes_200_tasks() -> RunConfig:
    """All tasks at once on the same scenes, from runs/scenes-200; an hour on two cores.

    Captions, answers, boxes, pairs of pictures and entailment are new; ITC and ITM go on, or the
    model would forget to search. What it leaves ships with the package as mplug-tiny.
    """
    return derive(
        scenes_200(),
        {
            "name": "scenes-200-tasks",
            "task": "finetune",
            **{f"tasks.{name}": TaskConfig() for name in TasksConfig.model_fields},
            "start_from": "runs/scenes-200",
            "objectives": ObjectivesConfig(
                itm=Term(every=2),
                mlm=Term(weight=0.0),
                prefix_lm=Term(weight=0.0),
                queue_size=0,
                momentum=0.99,
                distillation_ramp_steps=0,
            ),
            "optim.steps": 2800,
            "optim.batch_size": 48,
            "optim.lr": 1e-3,
            "optim.warmup_steps": 100,
        },
    )


def scenes_200_scst() -> RunConfig:
    """Captions of the same scenes that score higher in CIDEr-D, from mplug-tiny; minutes.

    Every step draws scenes anew and five captions of each; nothing else that the model can do is
    trained, so the image encoder stays as it is.
    """
    return self_critical(
        scenes_200_tasks(),
        "scenes-200-scst",
        {
            "tasks": TasksConfig(caption=TaskConfig()),
            "start_from": "mplug-tiny",
            "optim.steps": 750,
            "optim.batch_size": 32,
            "optim.lr": 4e-4,
            "optim.vision_lr": 0.0,
            "optim.warmup_steps": 20,
            "train.evaluate_every": 150,
            "train.save_every": 150,
        },
    )
