"""The paper's runs of base and large on boxes, pairs of pictures, entailment and clips.

What the paper does not say is taken from ALBEF, which its code builds on, or from the nearest
run; `config/paper.py` lists those settings as unknown.
"""

from mplug.config.edit import derive
from mplug.config.recipes_paper import (
    base_answer,
    base_caption,
    base_pretrain,
    epochs_of,
    large_caption,
    large_pretrain,
    large_retrieval_coco,
)
from mplug.config.recipes_shared import finetuned
from mplug.config.schema import RunConfig

# Expressions to learn from.
REFCOCO, REFCOCO_PLUS, REFCOCOG, REFERIT = 120_624, 120_191, 80_512, 54_127
NLVR2_STATEMENTS, SNLI_VE_HYPOTHESES = 86_373, 529_527
MSRVTT_CAPTIONS, MSRVTT_QUESTIONS, VATEX_CAPTIONS = 9_000 * 20, 158_581, 25_991 * 10
REPORTS = 5_229  # seven in ten of IU X-Ray's pictures


def base_ground() -> RunConfig:
    """The paper's joint grounding with base: large's settings, since none of base are known."""
    return _joint_grounding(base_pretrain(), "base-ground", image_size=384)


def large_ground() -> RunConfig:
    """The paper's joint grounding with large: ReferIt and RefCOCO, RefCOCO+, RefCOCOg at once.

    Its records are those of all four in one file, without any picture of their tests.
    """
    return _joint_grounding(large_pretrain(), "large-ground", image_size=336)


def large_ground_refcoco() -> RunConfig:
    """The paper's grounding on RefCOCO alone, from runs/large-ground."""
    return _grounding_on(large_ground(), "large-ground-refcoco", examples=REFCOCO)


def large_ground_refcoco_plus() -> RunConfig:
    """The paper's grounding on RefCOCO+ alone, from runs/large-ground."""
    return _grounding_on(large_ground(), "large-ground-refcoco-plus", examples=REFCOCO_PLUS)


def large_ground_refcocog() -> RunConfig:
    """The paper's grounding on RefCOCOg (umd) alone, from runs/large-ground."""
    return _grounding_on(large_ground(), "large-ground-refcocog", examples=REFCOCOG)


def _joint_grounding(start: RunConfig, name: str, *, image_size: int) -> RunConfig:
    return finetuned(
        start,
        name,
        "ground",
        changes={
            "tasks.ground.box_loss": "weighted",
            "model.vision.image_size": image_size,
            **_grounding_epochs(REFCOCO + REFCOCO_PLUS + REFCOCOG + REFERIT),
            "optim.lr": 2e-5,
            "optim.vision_lr": 5e-6,
            "optim.final_lr_share": 0.05,
            "optim.warmup_steps": 2000,
            "optim.precision": "float32",
        },
    )


def _grounding_on(joint: RunConfig, name: str, *, examples: int) -> RunConfig:
    return derive(
        joint,
        {
            "name": name,
            "start_from": f"runs/{joint.name}",
            **_grounding_epochs(examples),
        },
    )


def _grounding_epochs(examples: int) -> dict[str, object]:
    return epochs_of(120, examples=examples, batch_size=192)


def base_compare() -> RunConfig:
    """NLVR2 with base: ALBEF's epochs and learning rate; the paper's settings are unknown."""
    return _comparing(base_pretrain(), "base-compare", image_size=384)


def large_compare() -> RunConfig:
    """NLVR2 with large: ALBEF's epochs and learning rate; the paper's settings are unknown."""
    return _comparing(large_pretrain(), "large-compare", image_size=336)


def _comparing(start: RunConfig, name: str, *, image_size: int) -> RunConfig:
    changes = _albef(10, examples=NLVR2_STATEMENTS, batch_size=128, image_size=image_size)
    return finetuned(start, name, "compare", changes=changes)


def base_entail() -> RunConfig:
    """SNLI-VE with base: ALBEF's epochs and learning rate; the paper's settings are unknown."""
    return _entailing(base_pretrain(), "base-entail", image_size=384)


def large_entail() -> RunConfig:
    """SNLI-VE with large: ALBEF's epochs and learning rate; the paper's settings are unknown."""
    return _entailing(large_pretrain(), "large-entail", image_size=336)


def _entailing(start: RunConfig, name: str, *, image_size: int) -> RunConfig:
    changes = _albef(5, examples=SNLI_VE_HYPOTHESES, batch_size=256, image_size=image_size)
    return finetuned(start, name, "entail", changes=changes)


def _albef(epochs: int, *, examples: int, batch_size: int, image_size: int) -> dict[str, object]:
    """The learning rate is ALBEF's; the image encoder's is lower by as much as VQA's is."""
    return {
        "model.vision.image_size": image_size,
        **epochs_of(epochs, examples=examples, batch_size=batch_size),
        "optim.lr": 2e-5,
        "optim.vision_lr": 5e-6,
        "optim.final_lr_share": 0.05,
        "optim.warmup_steps": 400,
    }


def large_retrieval_msrvtt() -> RunConfig:
    """Finding clips with large, 224 px; the paper only tests it so, without training.

    Its zero-shot row is `mplug evaluate runs/large-retrieval-coco` on the 1k test list. This run
    goes on from there by the settings that it had on COCO; pairs are learned from single pictures,
    so its records name a frame of each clip.
    """
    return _on_clips(
        large_retrieval_coco(),
        "large-retrieval-msrvtt",
        examples=MSRVTT_CAPTIONS,
        changes={"model.vision.image_size": 224, "data.max_words": 33},
    )


def base_answer_msrvtt() -> RunConfig:
    """Answers about clips with base, 480 px; the paper only tests it so, without training.

    Its zero-shot rows are `mplug evaluate runs/base-answer` on MSRVTT-QA and MSVD-QA; this run
    goes on from there on clips, by the settings that it had on pictures.
    """
    return _on_clips(
        base_answer(),
        "base-answer-msrvtt",
        examples=MSRVTT_QUESTIONS,
        changes={"model.vision.image_size": 480},
    )


def large_caption_vatex() -> RunConfig:
    """Captions of clips with large, 448 px; the paper only tests it so, without training.

    Its zero-shot row is `mplug evaluate runs/large-caption` on VATEX with these settings of
    generation and this prompt (the paper's text says "A video of"); this run goes on from there.
    """
    return _on_clips(
        large_caption(),
        "large-caption-vatex",
        examples=VATEX_CAPTIONS,
        changes={
            "model.vision.image_size": 448,
            "tasks.caption.prompt": "a picture of",
            "generation.beams": 10,
            "generation.min_tokens": 15,
            "generation.max_tokens": 25,
        },
    )


def _on_clips(
    start: RunConfig, name: str, *, examples: int, changes: dict[str, object]
) -> RunConfig:
    """A clip's frames cost as much as as many pictures, so a batch has an eighth of them."""
    batch_size = start.optim.batch_size // 8
    return derive(
        start,
        {
            "name": name,
            "start_from": f"runs/{start.name}",
            **epochs_of(5, examples=examples, batch_size=batch_size),
            **changes,
        },
    )


def base_xray() -> RunConfig:
    """X-ray reports (IU X-Ray: findings, impression), from runs/base-caption; not in the paper.

    A report is long and there are few of them, so the texts may be long and the epochs many.
    """
    batch_size = 64
    return derive(
        base_caption(),
        {
            "name": "base-xray",
            "start_from": "runs/base-caption",
            "data.max_words": 200,
            "optim.accumulate": 1,
            **epochs_of(30, examples=REPORTS, batch_size=batch_size),
            "optim.lr": 3e-5,
            "generation.max_tokens": 200,
        },
    )
