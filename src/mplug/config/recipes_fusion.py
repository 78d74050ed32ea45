"""Runs that compare fusion schemes on scenes: alike in all but `model.fusion.scheme`."""

from mplug.config import sizes
from mplug.config.edit import derive
from mplug.config.recipes_scenes import demo_pretrain
from mplug.config.schema import (
    ObjectivesConfig,
    RunConfig,
    TaskConfig,
    TasksConfig,
    Term,
)

FUSION_LAYERS = 6  # the paper's, so that its stride means the same


def fusion_encoders() -> RunConfig:
    """The encoders that all schemes share, from contrast and tags alone: no fusion takes part."""
    return derive(
        demo_pretrain(),
        {
            "name": "fusion-encoders",
            "model.fusion.num_layers": FUSION_LAYERS,
            "model.fusion.connected_at": sizes.connected_places(
                FUSION_LAYERS, stride=sizes.PAPER_STRIDE
            ),
            "objectives.itm": Term(weight=0.0),
            "objectives.mlm": Term(weight=0.0),
            "objectives.prefix_lm": Term(weight=0.0),
        },
    )


def fusion_scenes() -> RunConfig:
    """One scheme's pretraining on scenes, all four objectives; the image encoder stays as it is."""
    return derive(
        fusion_encoders(),
        {
            "name": "fusion-scenes",
            "start_from": "runs/fusion-encoders",
            "objectives": ObjectivesConfig(
                itm=Term(every=2),
                mlm=Term(every=2, offset=1),
                queue_size=0,
                momentum=0.97,
                distillation_ramp_steps=0,
                hard_negatives_ramp_steps=250,
                mask_share=0.4,
                empty_prefix_share=0.5,
            ),
            "optim.steps": 500,
            "optim.batch_size": 48,
            "optim.lr": 1e-3,
            "optim.vision_lr": 0.0,
            "train.evaluate_every": 500,
            "train.save_every": 250,
        },
    )


def fusion_scenes_tasks() -> RunConfig:
    """Questions and pairs of pictures, from that scheme's pretrained model."""
    return derive(
        fusion_scenes(),
        {
            "name": "fusion-scenes-tasks",
            "task": "finetune",
            "tasks": TasksConfig(answer=TaskConfig(), compare=TaskConfig()),
            "start_from": "runs/fusion-scenes",
            "objectives": ObjectivesConfig(queue_size=0),
            "optim.steps": 300,
            "optim.warmup_steps": 30,
            "train.evaluate_every": 300,
            "train.save_every": 150,
        },
    )
