"""A little model with every kind of part, and batches of ragged captions for it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mplug.config.schema import (
    DecoderConfig,
    FusionConfig,
    MPlugConfig,
    ObjectivesConfig,
    OptimConfig,
    Skill,
    Term,
    TextConfig,
    VisionConfig,
)
from mplug.data.batch import Batch, Example, collate
from mplug.data.items import Item, ItemBatch, Target, TaskBatch, TaskExample, collate_tasks
from mplug.data.tokenizer import Tokenizer
from mplug.models.mplug import MPlug
from mplug.tasks.answering import Answering
from mplug.tasks.captioning import Captioning
from mplug.tasks.comparing import Comparing
from mplug.tasks.entailment import Entailment
from mplug.tasks.finetune import Finetuning, Weighted
from mplug.tasks.grounding import Grounding
from mplug.tasks.pair_objectives import PairObjectives
from mplug.tasks.part import Part
from mplug.tasks.pretrain import Pretraining
from mplug.tasks.words import Words
from mplug.training.distributed import Processes

PICTURE, LONGEST = 16, 9  # pixels on a side; words of the longest caption
PATCHES = 1 + (PICTURE // 8) ** 2
ALONE = Processes()
OPTIM = OptimConfig(steps=10, batch_size=6, lr=0.01)
OFF = Term(weight=0.0)
ALL = ("itc", "itm", "mlm", "prefix_lm", "tags")


@lru_cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["one two three four five six seven eight nine ten"], vocab_size=700)


def words() -> Words:
    return Words.of(tokenizer(), device=torch.device("cpu"))


def config(**changes: Any) -> MPlugConfig:
    """Two image widths, so that there is a projection; a stem with batch statistics."""
    whole = MPlugConfig(
        vision=VisionConfig(
            image_size=PICTURE,
            patch_size=8,
            stem="convolution",
            stem_channels=(3, 4, 5),
            hidden_size=10,
            num_layers=1,
            num_heads=2,
            intermediate_size=14,
        ),
        text=TextConfig(
            vocab_size=tokenizer().vocab_size,
            hidden_size=12,
            num_layers=1,
            num_heads=3,
            intermediate_size=18,
            max_positions=LONGEST + 2,
        ),
        fusion=FusionConfig(num_layers=3, connected_at=(1,)),
        decoder=DecoderConfig(num_layers=2),
        embed_dim=7,
        image_pooling="max",
    )
    return whole.model_copy(update=changes)


def model(seed: int = 0, **changes: Any) -> MPlug:
    torch.manual_seed(seed)
    little = MPlug(config(**changes))
    with torch.no_grad():  # so large that no loss is the same for all pictures
        for parameter in little.vision.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return little


def objectives(**changes: Any) -> ObjectivesConfig:
    """All five on at every step, a queue that no batch divides, and full distillation at once."""
    known: dict[str, Any] = {"tags": Term(weight=0.3), "queue_size": 7}
    known |= {"distillation_ramp_steps": 0, "mask_share": 0.4}
    return ObjectivesConfig(**{**known, **changes})


def only(*names: str, **changes: Any) -> ObjectivesConfig:
    return objectives(**{name: OFF for name in ALL if name not in names}, **changes)


def pretraining(
    settings: ObjectivesConfig | None = None,
    *,
    seed: int = 0,
    processes: Processes = ALONE,
    validation: Sequence[Batch] = (),
    **changes: Any,
) -> Pretraining:
    return Pretraining(
        model(seed, **changes),
        objectives=settings or objectives(),
        optim=OPTIM,
        words=words(),
        longest=LONGEST + 2,
        seed=seed,
        processes=processes,
        validation=lambda: validation,
    )


def finetuning(
    *names: str,
    seed: int = 0,
    optim: OptimConfig = OPTIM,
    label_smoothing: float = 0.0,
    box_loss: Literal["cross_entropy", "weighted"] = "cross_entropy",
    settings: ObjectivesConfig | None = None,
    processes: Processes = ALONE,
    validation: Sequence[TaskBatch] = (),
) -> Finetuning:
    """A little model that learns the named tasks."""
    skills = tuple(name for name in get_args(Skill) if name in names)
    learner = model(seed, skills=skills)
    parts: dict[str, Part] = {
        "caption": Captioning(label_smoothing=label_smoothing),
        "answer": Answering(),
        "ground": Grounding(tokenizer().start_box_id, tokenizer().box_ids, box_loss=box_loss),
        "compare": Comparing(),
        "entail": Entailment(),
    }
    pairs = None
    if "retrieval" in names:
        pairs = PairObjectives(
            learner,
            objectives=settings or only("itc", "itm"),
            words=words(),
            longest=LONGEST + 2,
            seed=seed,
            processes=processes,
        )
    return Finetuning(
        learner,
        parts={name: Weighted(part, 1.0) for name, part in parts.items() if name in names},
        pairs=pairs,
        pairs_weight=1.0,
        optim=optim,
        processes=processes,
        validation=lambda: validation,
    )


def task_example(seed: int, *, length: int) -> TaskExample:
    """Two pictures, of which every task asks something."""
    one, other = (
        example(seed + place, length=length, image=seed, caption=-seed) for place in (0, 1)
    )
    text, caption = one.ids[:-1], Target(one.ids)
    answers = (Target(other.ids[:3] + other.ids[-1:], 0.6), Target(one.ids[:2] + one.ids[-1:], 0.3))
    box = (0.1, 0.2, 0.1 + 0.07 * length, 0.9)
    items = {
        "caption": (Item((0,), text[:1], (caption,)), Item((1,), text[:1], (Target(other.ids),))),
        "answer": (Item((1,), text, answers), Item((0,), text[:2], answers[:1])),
        "ground": (Item((0,), text, box=box),),
        "compare": (Item((0, 1), text, label=seed % 2),),
        "entail": (Item((1,), text, label=seed % 3),),
    }
    return TaskExample((one.pixels, other.pixels), items, (one,))


def task_batch(
    lengths: Sequence[int] = (3, 1, 9, 4, 6), *, seed: int = 0, names: Collection[str] = ()
) -> TaskBatch:
    """An example for each length; of every task, or of those named."""
    examples = [
        task_example(1000 * (seed + 1) + 2 * row, length=length)
        for row, length in enumerate(lengths)
    ]
    if names:
        examples = [
            replace(each, items={name: each.items[name] for name in names if name in each.items})
            for each in examples
        ]
    return collate_tasks(examples, pad_id=tokenizer().pad_id)


def example(seed: int, *, length: int, image: int, caption: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    ordinary = words().ordinary
    chosen = ordinary[torch.randint(len(ordinary), (length,), generator=generator)].tolist()
    pixels = torch.randn(3, PICTURE, PICTURE, generator=generator).numpy()
    ids = [tokenizer().cls_id, *chosen, tokenizer().sep_id]
    return Example(pixels, ids, image, caption)


def batch(lengths: Sequence[int] = (3, 1, 9, 4, 6), *, seed: int = 0) -> Batch:
    """One picture and one caption for each length, all different."""
    first = 1000 * (seed + 1)
    return collate(
        [
            example(first + row, length=length, image=first + row, caption=-first - row)
            for row, length in enumerate(lengths)
        ],
        pad_id=tokenizer().pad_id,
    )


def captions(batch: Batch) -> TaskBatch:
    """The pictures of `batch`, whose captions are to be written."""
    rows = torch.arange(len(batch.ids))
    alone = batch.ids[:, :1]
    items = ItemBatch(
        images=rows[:, None],
        text=alone,
        text_mask=torch.ones_like(alone, dtype=torch.bool),
        target_ids=batch.ids,
        target_mask=batch.mask,
        target_item=rows,
        target_weight=torch.ones(len(rows)),
        labels=torch.full((len(rows),), -1),
        boxes=torch.zeros(len(rows), 4),
    )
    return TaskBatch(batch.pixels, {"caption": items}, None, rows[:0])


def rows(whole: Batch, places: slice) -> Batch:
    """Some examples of a batch, padded to their own longest caption."""
    mask = whole.mask[places]
    width = int(mask.sum(dim=1).max())
    return Batch(
        whole.pixels[places],
        whole.ids[places, :width],
        mask[:, :width],
        whole.image_ids[places],
        whole.caption_ids[places],
    )


def gradients(task: torch.nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in task.named_parameters()
        if parameter.grad is not None
    }
