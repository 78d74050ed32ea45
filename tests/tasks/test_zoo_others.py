"""UNITER, CLIP and ALBEF, which have tasks of their own, learn the same batch by heart."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mplug.config.edit import derive
from mplug.config.recipes import recipe
from mplug.config.schema import FusionConfig, MPlugConfig, OptimConfig
from mplug.config.schema_clip_run import ClipOptim
from mplug.config.schema_uniter import RegionsConfig, UniterConfig
from mplug.config.schema_uniter_run import UniterObjectives, UniterOptim
from mplug.config.sizes import SIZES
from mplug.config.sizes_clip import clip_size
from mplug.config.zoo import SMALL, bert
from mplug.data.batch import Batch
from mplug.data.regions.batch import RegionBatch
from mplug.models.clip import Clip
from mplug.models.mplug import MPlug
from mplug.models.uniter import Uniter
from mplug.tasks.contrastive import ContrastivePretraining
from mplug.tasks.pretrain import Pretraining
from mplug.tasks.uniter_pretrain import UniterPretraining
from mplug.tasks.zoo_hiding import blind_words
from mplug.training.distributed import Processes
from tests.tasks.zoo_batches import CLASSES, FEATURES, MOST, PAIRS, batch, tokenizer, vocabulary

STEPS, EVERY, WARM, RATE = 150, 15, 30, 2e-3
ALONE = Processes()
Losses = Callable[[], dict[str, tuple[Tensor, Tensor]]]  # of each objective: loss, blind value


def learn_by_heart(model: nn.Module, losses: Losses, *, rate: float = RATE) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98))
    shares: dict[str, float] = {}
    for step in range(STEPS):
        found = losses()
        shares = {name: float(loss.detach() / blind) for name, (loss, blind) in found.items()}
        if step % EVERY == 0 and max(shares.values()) < 0.5:
            return
        optimizer.zero_grad()
        torch.autograd.backward([loss for loss, _ in found.values()])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / WARM)
        optimizer.step()
    pytest.fail(f"of the blind value, {shares} are left after {STEPS} steps")


def words() -> dict[str, int]:
    return {"vocab_size": tokenizer().vocab_size, "max_positions": 128}


def pixels() -> Batch:
    shown = batch(as_regions=False)
    assert shown.pictures.pixels is not None
    captions = shown.captions
    return Batch(
        shown.pictures.pixels, captions.ids, captions.mask, shown.image_ids, shown.caption_ids
    )


@pytest.mark.slow
def test_uniter() -> None:
    torch.manual_seed(0)
    text = bert().model_copy(update={**SMALL, **words(), "dropout": 0.0})
    regions = RegionsConfig(feature_size=FEATURES, classes=CLASSES)
    task = UniterPretraining(
        Uniter(UniterConfig(text=text, regions=regions)),
        objectives=UniterObjectives(),
        optim=UniterOptim(steps=1, batch_size=PAIRS, lr=RATE),
        words=vocabulary().words,
        most=(MOST, MOST),
        seed=0,
        processes=ALONE,
        validation=list,
    )
    shown = batch(as_regions=True)
    assert shown.pictures.regions is not None
    pairs = RegionBatch(
        shown.pictures.regions,
        shown.captions.ids,
        shown.captions.mask,
        shown.image_ids,
        shown.caption_ids,
    )
    asked = blind_words(pairs.ids[pairs.mask & vocabulary().words.is_ordinary[pairs.ids]])

    def losses() -> dict[str, tuple[Tensor, Tensor]]:
        found = {name: task._terms(name, pairs, 0, part=0) for name in task.objectives.mix.shares}
        return {
            name: (terms.loss.mean(), asked if terms.blind is None else terms.blind)
            for name, terms in found.items()
        }

    learn_by_heart(task, losses)


@pytest.mark.slow
def test_clip() -> None:
    torch.manual_seed(0)
    config = clip_size("tiny")
    text = config.text.model_copy(update={"vocab_size": tokenizer().vocab_size})
    task = ContrastivePretraining(
        Clip(config.model_copy(update={"text": text})),
        optim=ClipOptim(steps=1, batch_size=PAIRS),
        processes=ALONE,
        validation=list,
    )

    def losses() -> dict[str, tuple[Tensor, Tensor]]:
        result = task(pixels(), 0)
        return {"itc": (result.loss, result.logs["itc_blind"])}

    learn_by_heart(task, losses)


@pytest.mark.slow
def test_albef() -> None:
    torch.manual_seed(0)
    published = recipe("albef-pretrain")
    tiny: MPlugConfig = SIZES["tiny"]()
    fusion = FusionConfig(scheme=published.model.fusion.scheme, num_layers=2, connected_at=())
    text = tiny.text.model_copy(update={**words(), "hidden_size": 128})
    run = derive(
        published,
        {
            "model": tiny.model_copy(update={"fusion": fusion, "text": text}),
            "objectives.queue_size": 0,
            "objectives.distillation": 0.0,
        },
    )
    task = Pretraining(
        MPlug(run.model),
        objectives=run.objectives,
        optim=OptimConfig(steps=1, batch_size=PAIRS, lr=RATE),
        words=vocabulary().words,
        longest=MOST,
        seed=0,
        processes=ALONE,
        validation=list,
    )
    shown = pixels()
    asked = blind_words(shown.ids[shown.mask & vocabulary().words.is_ordinary[shown.ids]])

    def losses() -> dict[str, tuple[Tensor, Tensor]]:
        task.before_step(0)
        names = task.pairs.active(0)
        found, logs = task.pairs.losses(task.model, shown, 0, names=names, part=0)
        assert set(found) == {"itc", "itm", "mlm"}
        return {
            name: (loss, asked if name == "mlm" else logs[f"{name}_blind"])
            for name, loss in found.items()
        }

    learn_by_heart(task.model, losses, rate=1e-3)
