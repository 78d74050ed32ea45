"""The paper's runs of base and large: pretraining, retrieval, captions and answers.

Where the paper is silent its released configurations are followed, and `config/paper.py` says
where a run here differs from either. Both count epochs; a run counts steps, so each is the number
of examples that an epoch has there, times the epochs, by the batch size.
"""

from mplug.config import sizes
from mplug.config.edit import derive
from mplug.config.recipes_shared import finetuned, pairs_only, self_critical
from mplug.config.schema import DataConfig, OptimConfig, RunConfig

PRETRAINING_IMAGES = 4_000_000  # COCO, Visual Genome, Conceptual Captions, SBU
COCO_CAPTIONS = 566_747  # Karpathy's train and restval
FLICKR30K_CAPTIONS = 145_000  # Karpathy's train
QUESTIONS = 443_757 + 214_354 + 1_445_322  # VQA v2 train and val, Visual Genome


def epochs_of(epochs: int, *, examples: int, batch_size: int) -> dict[str, object]:
    """So many epochs, each with an evaluation at its end, the last partial batch dropped."""
    steps = examples // batch_size
    return {
        "optim.batch_size": batch_size,
        "optim.steps": epochs * steps,
        "train.evaluate_every": steps,
    }


def base_pretrain() -> RunConfig:
    """The paper's base pretraining; bring your pairs and a BERT vocab.txt (data.tokenizer=...)."""
    return RunConfig(
        name="base-pretrain",
        task="pretrain",
        model=sizes.base(),
        data=DataConfig(vocab_size=sizes.BERT_VOCABULARY, workers=8),
        optim=OptimConfig(
            steps=30 * PRETRAINING_IMAGES // 1024,
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


def base_caption() -> RunConfig:
    """The paper's caption fine-tuning of base: 384 px, cross-entropy."""
    return _captions(base_pretrain(), "base-caption", image_size=384)


def large_caption() -> RunConfig:
    """The paper's caption fine-tuning of large: 336 px, cross-entropy."""
    return _captions(large_pretrain(), "large-caption", image_size=336)


def _captions(start: RunConfig, name: str, *, image_size: int) -> RunConfig:
    batch_size, parts = 1024, 4
    return finetuned(
        start,
        name,
        "caption",
        changes={
            "model.vision.image_size": image_size,
            "data.max_words": 23,
            "optim.accumulate": parts,
            **epochs_of(5, examples=COCO_CAPTIONS, batch_size=batch_size),
            "optim.lr": 1e-5,
            "optim.vision_lr": 5e-6,
            "optim.final_lr_share": 0.1,
            "optim.warmup_steps": 400 // parts,  # the released schedule counts the parts
            "optim.precision": "float32",
            "generation.min_tokens": 8,
        },
    )


def base_caption_scst() -> RunConfig:
    """The paper's CIDEr optimisation of base (self-critical), from runs/base-caption."""
    return _rewarded(base_caption(), batch_size=128)


def large_caption_scst() -> RunConfig:
    """The paper's CIDEr optimisation of large (self-critical), from runs/large-caption."""
    return _rewarded(large_caption(), batch_size=256)


def _rewarded(start: RunConfig, *, batch_size: int) -> RunConfig:
    return self_critical(
        start,
        f"{start.name}-scst",
        {
            "self_critical.draw": "beam",
            "self_critical.baseline": "mean",
            "optim.accumulate": 1,
            **epochs_of(5, examples=COCO_CAPTIONS, batch_size=batch_size),
            "optim.lr": 1e-6,
            "optim.vision_lr": 1e-6,
            "optim.final_lr_share": 0.08,
            "optim.warmup_steps": 400,
        },
    )


def base_answer() -> RunConfig:
    """The paper's VQA fine-tuning of base: 384 px, VQA v2 and Visual Genome."""
    return _answers(base_pretrain(), "base-answer", image_size=384, batch_size=1024)


def large_answer() -> RunConfig:
    """The paper's VQA fine-tuning of large: 336 px, VQA v2 and Visual Genome."""
    return _answers(large_pretrain(), "large-answer", image_size=336, batch_size=2048)


def _answers(start: RunConfig, name: str, *, image_size: int, batch_size: int) -> RunConfig:
    return finetuned(
        start,
        name,
        "answer",
        changes={
            "model.vision.image_size": image_size,
            **epochs_of(8, examples=QUESTIONS, batch_size=batch_size),
            "optim.lr": 3e-5,
            "optim.vision_lr": 5e-6,
            "optim.final_lr_share": 1 / 30,
            "optim.warmup_steps": 400,
            "generation.max_tokens": 10,
        },
    )


def base_retrieval() -> RunConfig:
    """The paper's COCO retrieval with base: large's settings, since none of base are known."""
    return _retrieval(base_pretrain(), "base-retrieval", examples=COCO_CAPTIONS, image_size=384)


def large_retrieval_coco() -> RunConfig:
    """The paper's COCO retrieval with large: 336 px, ITC and ITM."""
    return _retrieval(
        large_pretrain(), "large-retrieval-coco", examples=COCO_CAPTIONS, image_size=336
    )


def large_retrieval_flickr30k() -> RunConfig:
    """The paper's Flickr30k retrieval with large: 336 px, ITC and ITM."""
    return _retrieval(
        large_pretrain(), "large-retrieval-flickr30k", examples=FLICKR30K_CAPTIONS, image_size=336
    )


def _retrieval(start: RunConfig, name: str, *, examples: int, image_size: int) -> RunConfig:
    batch_size = 1024
    return finetuned(
        start,
        name,
        "retrieval",
        changes={
            "model.vision.image_size": image_size,
            "objectives": pairs_only(
                queue_size=65536, momentum=0.995, ramp_steps=examples // batch_size
            ),
            **epochs_of(8, examples=examples, batch_size=batch_size),
            "optim.lr": 1e-5,
            "optim.vision_lr": 2e-6,
            "optim.final_lr_share": 0.1,
            "optim.warmup_steps": 100,
        },
    )
