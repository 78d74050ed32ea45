"""The runs that ship with mplug: one small function each, derived from one another.

`mplug recipes list` prints them; `mplug recipes copy NAME FILE` writes one out to be changed.
Prose here holds reasons; the numbers are the code's.
"""

from collections.abc import Callable

from mplug.config import sizes
from mplug.config.edit import derive, did_you_mean
from mplug.config.schema import (
    DataConfig,
    ObjectivesConfig,
    OptimConfig,
    RunConfig,
    ScenesConfig,
    Term,
    TrainConfig,
)
from mplug.errors import ConfigError

# The paper pretrains on 4 M images (COCO, Visual Genome, Conceptual Captions, SBU) for 30 epochs,
# 1,024 at a time; COCO's caption split has 566,747 captions, which it sees five times.
PAPER_PRETRAIN_STEPS = 30 * 4_000_000 // 1024
PAPER_CAPTION_STEPS = 5 * 566_747 // 1024


def demo_pretrain() -> RunConfig:
    """What `mplug demo` learns first: sixty concepts, one or two a scene, all four objectives.

    MLM and ITM start late and take turns, for at first there is nothing to match, and ITM's
    negatives become hard little by little. There is no queue: features of so young a teacher age
    faster than a queue of them fills.
    """
    return RunConfig(
        name="demo-pretrain",
        task="pretrain",
        model=sizes.tiny(),
        data=DataConfig(scenes=ScenesConfig(), vocab_size=1000, max_words=16, augment="none"),
        objectives=ObjectivesConfig(
            itm=Term(every=2, start=200),
            mlm=Term(every=2, offset=1, start=100),
            tags=Term(),
            queue_size=0,
            momentum=0.97,
            distillation_ramp_steps=500,
            hard_negatives_ramp_steps=500,
            mask_share=0.4,
            empty_prefix_share=0.5,
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


def demo_caption() -> RunConfig:
    """What `mplug demo` does next: captions on the same scenes, from its pretrained model."""
    return derive(
        demo_pretrain(),
        {
            "name": "demo-caption",
            "task": "caption",
            "start_from": "runs/demo-pretrain",
            "optim.steps": 250,
            "optim.lr": 5e-4,
            "optim.warmup_steps": 20,
            "train.evaluate_every": 250,
            "train.save_every": 250,
        },
    )


def scenes_200() -> RunConfig:
    """A longer run on scenes, over an hour on two cores: 200 concepts, up to three a scene."""
    return derive(
        demo_pretrain(),
        {
            "name": "scenes-200",
            "model.vision.num_layers": 2,
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
            "objectives.itm.start": 800,
            "objectives.mlm.start": 400,
            "objectives.momentum": 0.99,
            "objectives.distillation_ramp_steps": 3000,
            "objectives.hard_negatives_ramp_steps": 2400,
            "train.evaluate_every": 1000,
            "train.save_every": 250,
        },
    )


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


def base_pretrain() -> RunConfig:
    """The paper's base pretraining; bring your pairs and a BERT vocab.txt (data.tokenizer=...)."""
    return RunConfig(
        name="base-pretrain",
        task="pretrain",
        model=sizes.base(),
        data=DataConfig(vocab_size=sizes.BERT_VOCABULARY, workers=8),
        optim=OptimConfig(
            steps=PAPER_PRETRAIN_STEPS,
            batch_size=1024,
            lr=1e-4,
            vision_lr=1e-5,
            precision="bfloat16",
        ),
    )


def large_pretrain() -> RunConfig:
    """The paper's large pretraining: ViT-L/14, half the learning rates."""
    return derive(
        base_pretrain(),
        {
            "name": "large-pretrain",
            "model": sizes.large(),
            "optim.lr": 5e-5,
            "optim.vision_lr": 5e-6,
            "optim.final_lr_share": 0.04,
        },
    )


def tiny_caption() -> RunConfig:
    """Captions on your records, from runs/tiny-pretrain (start_from=DIR for another)."""
    return _captions(
        tiny_pretrain(), {"optim.steps": 2000, "optim.lr": 3e-4, "optim.warmup_steps": 100}
    )


def small_caption() -> RunConfig:
    """Captions on your records, from runs/small-pretrain (start_from=DIR for another)."""
    return _captions(
        small_pretrain(), {"optim.steps": 5000, "optim.lr": 1e-4, "optim.warmup_steps": 200}
    )


def base_caption() -> RunConfig:
    """The paper's caption fine-tuning of base: 384 px, cross-entropy."""
    return _captions(base_pretrain(), {"model.vision.image_size": 384, **_paper_captions()})


def large_caption() -> RunConfig:
    """The paper's caption fine-tuning of large: 336 px, cross-entropy."""
    return _captions(large_pretrain(), {"model.vision.image_size": 336, **_paper_captions()})


def _paper_captions() -> dict[str, object]:
    return {
        "optim.steps": PAPER_CAPTION_STEPS,
        "optim.accumulate": 4,
        "optim.lr": 1e-5,
        "optim.vision_lr": 5e-6,
        "optim.final_lr_share": 0.1,
        "optim.warmup_steps": 400,
        "generation.min_tokens": 8,
    }


def _captions(pretraining: RunConfig, changes: dict[str, object]) -> RunConfig:
    """Caption fine-tuning that starts from where `pretraining` is left by default."""
    return derive(
        pretraining,
        {
            "name": pretraining.name.replace("pretrain", "caption"),
            "task": "caption",
            "start_from": f"runs/{pretraining.name}",
            "data.augment": "finetune",
            **changes,
        },
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        demo_pretrain,
        demo_caption,
        scenes_200,
        tiny_pretrain,
        tiny_caption,
        small_pretrain,
        small_caption,
        base_pretrain,
        base_caption,
        large_pretrain,
        large_caption,
    )
}


def recipe(name: str) -> RunConfig:
    """The recipe called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in RECIPES:
        raise ConfigError(
            f"no recipe is called {name!r}{did_you_mean(name, list(RECIPES))} "
            f"(recipes: {', '.join(RECIPES)})"
        )
    return RECIPES[name]()


def summary(name: str) -> str:
    """What a recipe is for, in one line."""
    return (RECIPES[name].__doc__ or "").strip().splitlines()[0]
