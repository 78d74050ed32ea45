"""What each recipe of base and large aims at, and where the paper's own run is another.

`recipes_paper*.py` hold the paper's settings as far as fields can say them. Here stands the rest:
settings that fields cannot express, that a recipe changes on purpose, or that nobody published.
Sources: the paper (arXiv 2205.12005 v2) and its released code and configurations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mplug.config.paper_results import Values, published
from mplug.config.recipes import recipe

UNKNOWN = "unknown"


class Aim(NamedTuple):
    """A published row that a run aims at; values in percent."""

    where: str  # the table
    on: str  # the data and their split
    row: str
    values: Values


class Aside(NamedTuple):
    """A setting that no field says: ours, and the paper's."""

    what: str
    ours: str
    paper: str


@dataclass(frozen=True)
class PaperRun:
    """The paper's run beside a recipe: the recipe's fields, but for these."""

    fields: Mapping[str, object]  # text where no value can be given
    vision_final_lr: float | None = None  # what the image encoder's rate falls to
    asides: tuple[Aside, ...] = ()
    aims: tuple[tuple[str, str, str], ...] = ()  # data, split and row, of `published`
    readme: tuple[Aim, ...] = field(default=())  # of the released code's page


def aims(name: str) -> tuple[Aim, ...]:
    """The published rows that the recipe called `name` aims at; none for runs of our own."""
    if name not in PAPER_RUNS:
        return ()
    run = PAPER_RUNS[name]
    tasks = recipe(name).tasks.chosen
    found = []
    for data, split, row in run.aims:
        candidates = (
            published(task, data=data, split=split) for task in (*tasks, "retrieval", "caption")
        )
        table = next(each for each in candidates if each is not None)
        found.append(Aim(table.where, f"{data} {split}", row, table.rows[row]))
    return (*found, *run.readme)


_ANY = (
    Aside("the rate from step to step", "falls with every step", "falls with every epoch"),
    Aside(
        "weight decay of embeddings, positions, temperature and CLIP's norms",
        "none",
        "as all others",
    ),
)
_MIRRORED = Aside(
    "mirrored and moved pictures", "only as far as the text stays true", "whatever the text says"
)
_LARGE_2 = Aside("pretraining", "once", "twice, the second time for VQA and captions (large v2)")


def _warm_up(*, start: float, above: str = "") -> Aside:
    return Aside("warm-up begins at", "0", f"{start:g}{above}")


_PRETRAINING = {
    "data.train": "COCO, Visual Genome, Conceptual Captions and SBU: 4 M pictures",
    "data.validation": UNKNOWN,
    **{f"objectives.{name}.weight": UNKNOWN for name in ("itc", "itm", "mlm", "prefix_lm")},
    "objectives.empty_prefix_share": UNKNOWN,
    "objectives.distillation_ramp_steps": UNKNOWN,
    "model.fusion.image_update": "add",
    "optim.clip_norm": UNKNOWN,
    "optim.precision": UNKNOWN,
    "train.seed": UNKNOWN,
}
_TEACHER = Aside("momentum in the first steps", "rises to its value", "its value")
_ALL_OF_OPTIM = (
    "steps",
    "batch_size",
    "accumulate",
    "lr",
    "vision_lr",
    "warmup_steps",
    "final_lr_share",
    "weight_decay",
    "betas",
    "clip_norm",
    "precision",
)
_NOBODY_SAYS = {
    **{f"optim.{name}": UNKNOWN for name in _ALL_OF_OPTIM},
    "model.vision.image_size": UNKNOWN,
    "data.augment": UNKNOWN,
    "train.seed": UNKNOWN,
}
_TUNED: Mapping[str, object] = {
    "model.fusion.image_update": "add",
    "optim.clip_norm": "none",
    "train.seed": "42",
}
_NOT_CONNECTED: Mapping[str, object] = {"model.fusion.connected_at": "[] (stride 6 of 6 layers)"}

_CAPTIONS = {**_TUNED, "data.train": "COCO, Karpathy's train and restval"}
_CAPTION_ASIDES = (
    *_ANY,
    _MIRRORED,
    Aside("captions that are cut", "end as all others", "lack their end"),
    Aside("the model is chosen on", "validation", "the test file"),
)
_REWARD_ASIDES = (
    *_CAPTION_ASIDES,
    _warm_up(start=1e-5, above=", above the rate it leads to"),
    Aside("captions are drawn", "without dropout", "with dropout"),
    Aside("a caption's score", "the mean of its tokens", "divided by its length twice"),
    Aside("document frequencies are of", "the training captions", UNKNOWN),
)
_QUESTIONS = {
    **_TUNED,
    "optim.clip_norm": "1",
    "data.train": "VQA v2's train and val, Visual Genome (how many of its questions: unknown)",
    "data.validation": "a part of VQA v2's val that is learned from too",
}
_QUESTION_ASIDES = (
    *_ANY,
    _MIRRORED,
    _warm_up(start=1e-5),
    Aside("text behind the question", "the records' own", "OCR words, then labels of objects"),
)
_PAIRS = {**_TUNED, "optim.precision": "float16", "train.choose": "the mean recall at 1, 5, 10"}
_PAIR_ASIDES = (
    *_ANY,
    _MIRRORED,
    _TEACHER,
    _warm_up(start=1e-5),
    Aside("temperature", "kept within 0.001 and 0.5", "free"),
    Aside("hard negatives are from", "the whole batch", "each GPU's part of it"),
)
_EXPRESSIONS = {**_TUNED, "data.augment": "several sizes, crops around the box, colours, padding"}
_BOX_ASIDES = (
    *_ANY,
    _warm_up(start=1e-6),
    Aside("pictures are", "stretched to a square", "padded to a square"),
    Aside("test pictures are normalised as", "CLIP's", "ImageNet's"),
    Aside("phrases are cut at", "80 tokens", "20 tokens"),
    Aside("weight of an exact coordinate", "a floor above 0", "0"),
    Aside("a box is weighted by", "its own overlap", "the overlaps of the whole batch"),
    Aside("batches between two updates", "all count", "three of four are thrown away"),
)
_JOINT_DATA = "ReferIt, RefCOCO, RefCOCO+ and RefCOCOg"
_PAIR_OF_PICTURES = (
    Aside("the head", "two layers on the first token", "an MLP, its size unknown"),
)
_PREMISES = (
    Aside("the premise's text", "read where the records have it", "read"),
    Aside("the head", "two layers on the first token", UNKNOWN),
)
_ZERO_SHOT = {"optim.steps": "0 (zero-shot)", "data.train": "none (zero-shot)"}


def _splits(data: str, *splits: str, row: str = "mPLUG") -> tuple[tuple[str, str, str], ...]:
    return tuple((data, split, row) for split in splits)


PAPER_RUNS: Mapping[str, PaperRun] = {
    "base-pretrain": PaperRun(_PRETRAINING, 1e-6, (*_ANY, _TEACHER, _warm_up(start=1e-6))),
    "large-pretrain": PaperRun(
        {**_PRETRAINING, **_NOT_CONNECTED, "optim.batch_size": UNKNOWN},
        2e-6,
        (*_ANY, _TEACHER, _warm_up(start=1e-6)),
        (
            *_splits("flickr30k", "test", row="mPLUG, zero-shot"),
            *_splits("nocaps", "val", row="mPLUG, zero-shot"),
        ),
    ),
    "base-caption": PaperRun(
        _CAPTIONS,
        1e-6,
        (*_CAPTION_ASIDES, _warm_up(start=1e-5)),
        readme=(
            Aim("released code's page", "coco-karpathy test", "mPLUG base", {"cider_d": 137.5}),
        ),
    ),
    "large-caption": PaperRun(
        {**_CAPTIONS, **_NOT_CONNECTED},
        1e-6,
        (*_CAPTION_ASIDES, _warm_up(start=1e-5), _LARGE_2),
        (
            *_splits("coco-karpathy", "test", row="mPLUG, cross-entropy"),
            *_splits("nocaps", "val", row="mPLUG, tuned on COCO"),
        ),
    ),
    "base-caption-scst": PaperRun(
        _CAPTIONS,
        8e-8,
        (*_REWARD_ASIDES, Aside("starts from", "the best epoch on validation", "epoch 3")),
        readme=(
            Aim("released code's page", "coco-karpathy test", "mPLUG base", {"cider_d": 150.4}),
        ),
    ),
    "large-caption-scst": PaperRun(
        {**_CAPTIONS, **_NOT_CONNECTED},
        8e-8,
        (*_REWARD_ASIDES, Aside("starts from", "the best epoch on validation", "epoch 4")),
        _splits("coco-karpathy", "test", row="mPLUG, CIDEr-optimised"),
    ),
    "base-answer": PaperRun(
        _QUESTIONS,
        1e-6,
        _QUESTION_ASIDES,
        (
            *_splits("vqav2", "testdev", "test", row="mPLUG-B, 4M"),
            *_splits("vqav2", "testdev", "test", row="mPLUG-B"),
        ),
    ),
    "large-answer": PaperRun(
        {**_QUESTIONS, **_NOT_CONNECTED},
        1e-6,
        (*_QUESTION_ASIDES, _LARGE_2),
        _splits("vqav2", "testdev", "test", row="mPLUG-L"),
    ),
    "base-retrieval": PaperRun(
        {**_PAIRS, **_NOBODY_SAYS, "data.train": "COCO, Karpathy's train and restval"},
        None,
        _PAIR_ASIDES,
    ),
    "large-retrieval-coco": PaperRun(
        {**_PAIRS, **_NOT_CONNECTED, "data.train": "COCO, Karpathy's train and restval"},
        1e-6,
        _PAIR_ASIDES,
        (
            *_splits("coco-karpathy", "test"),
            *_splits("flickr30k", "test", row="mPLUG, tuned on COCO"),
        ),
    ),
    "large-retrieval-flickr30k": PaperRun(
        {**_PAIRS, **_NOT_CONNECTED, "data.train": "Flickr30k, Karpathy's train"},
        1e-6,
        _PAIR_ASIDES,
        _splits("flickr30k", "test"),
    ),
    "base-ground": PaperRun(
        {**_EXPRESSIONS, **_NOBODY_SAYS, "data.train": _JOINT_DATA},
        None,
        (*_BOX_ASIDES, Aside("layers of the text encoder", "all", "the first three")),
    ),
    "large-ground": PaperRun(
        {**_EXPRESSIONS, **_NOT_CONNECTED, "data.train": _JOINT_DATA}, 1e-6, _BOX_ASIDES
    ),
    "large-ground-refcoco": PaperRun(
        {**_EXPRESSIONS, **_NOT_CONNECTED, "data.train": "RefCOCO, unc's train"},
        1e-6,
        _BOX_ASIDES,
        _splits("refcoco", "val-unc", "testA-unc", "testB-unc"),
    ),
    "large-ground-refcoco-plus": PaperRun(
        {**_EXPRESSIONS, **_NOT_CONNECTED, "data.train": "RefCOCO+, unc's train"},
        1e-6,
        _BOX_ASIDES,
        _splits("refcoco+", "val-unc", "testA-unc", "testB-unc"),
    ),
    "large-ground-refcocog": PaperRun(
        {**_EXPRESSIONS, **_NOT_CONNECTED, "data.train": "RefCOCOg, umd's train"},
        1e-6,
        _BOX_ASIDES,
        _splits("refcocog", "val-umd", "test-umd"),
    ),
    **{
        f"{size}-compare": PaperRun(
            {**_TUNED, **_NOBODY_SAYS, "data.train": "NLVR2's train"},
            None,
            (*_ANY, *_PAIR_OF_PICTURES),
            _splits("nlvr2", "dev", "test1"),
        )
        for size in ("base", "large")
    },
    **{
        f"{size}-entail": PaperRun(
            {**_TUNED, **_NOBODY_SAYS, "data.train": "SNLI-VE's train"},
            None,
            (*_ANY, *_PREMISES),
            _splits("snli-ve", "dev", "test"),
        )
        for size in ("base", "large")
    },
    "large-retrieval-msrvtt": PaperRun(
        {**_TUNED, **_NOT_CONNECTED, **_ZERO_SHOT},
        None,
        (Aside("frames", "8", "12 (its text: 8)"), Aside("texts and clips reranked", "all", "128")),
        (
            *_splits("msrvtt", "1k-A-test", row="mPLUG, zero-shot"),
            *_splits("msrvtt", "1k-A-test", row="mPLUG, tuned on COCO"),
        ),
    ),
    "base-answer-msrvtt": PaperRun(
        {**_TUNED, **_ZERO_SHOT},
        None,
        (
            Aside("frames", "8", "16"),
            Aside("answers", "written", "the 128 likeliest first words, ranked"),
        ),
        (("msrvtt", "qa-test", "mPLUG, zero-shot"), ("msvd", "qa-test", "mPLUG, zero-shot")),
    ),
    "large-caption-vatex": PaperRun(
        {**_TUNED, **_NOT_CONNECTED, **_ZERO_SHOT},
        None,
        (Aside("prompt in the paper's text", "", "A video of"),),
        _splits("vatex", "test", row="mPLUG, zero-shot"),
    ),
}
