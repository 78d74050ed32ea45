"""Recipes of CLIP: for whole emoji sets on two cores, and two of the published sizes."""

from mplug.config.edit import derive
from mplug.config.schema import DataConfig, TrainConfig
from mplug.config.schema_clip_run import ClipOptim, ClipRun
from mplug.config.sizes_clip import CONTEXT, clip_size


def clip_emoji() -> ClipRun:
    """CLIP on whole emoji sets, for one core in half an hour.

    `mplug data emoji DIR` makes the records: other artists' pictures to learn from and to validate
    on, and one artist's, never seen, to test on.
    """
    return ClipRun(
        name="clip-emoji",
        model=clip_size("tiny"),
        data=DataConfig(
            train="emoji/train.jsonl",
            validation="emoji/validation.jsonl",
            vocab_size=6000,
            max_words=60,  # keywords are many, and a bag of them has no positions
            augment="recolour",
        ),
        optim=ClipOptim(
            steps=1300,
            batch_size=256,
            lr=1e-3,
            warmup_steps=130,
            weight_decay=0.1,
        ),
        train=TrainConfig(
            evaluate_every=260,
            save_every=520,
            blind_every=520,
            choose="validation_recall_at_1_image_to_text",
        ),
    )


def clip_vit_b32() -> ClipRun:
    """CLIP's ViT-B/32 as the paper trained it: 32 epochs of 400 million pairs.

    It reads the original vocabulary, `data.tokenizer=bpe_simple_vocab_16e6.txt.gz`.
    """
    return ClipRun(
        name="clip-vit-b32",
        model=clip_size("vit-b32"),
        data=DataConfig(
            vocab_size=clip_size("vit-b32").text.vocab_size,
            max_words=CONTEXT - 2,
            workers=8,
        ),
        optim=ClipOptim(steps=390_000, batch_size=32_768, cached_parts=8, precision="bfloat16"),
    )


def clip_rn50() -> ClipRun:
    """CLIP's ResNet-50 as the paper trained it: with ResNets' betas, and otherwise alike."""
    return derive(
        clip_vit_b32().model_copy(update={"model": clip_size("rn50")}),
        {
            "name": "clip-rn50",
            "optim.betas": (0.9, 0.999),
            "optim.eps": 1e-8,
            "optim.cached_parts": 1,  # statistics of a batch are those of the whole batch
        },
    )
