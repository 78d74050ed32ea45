"""What validation says of a model on pairs: losses beside their blind values, verdicts, recall."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mplug.data.batch import Batch
from mplug.models.mplug import MPlug
from mplug.tasks.means import over_processes, summarise
from mplug.tasks.pair_objectives import PairObjectives
from mplug.tasks.recall import recall_at_1
from mplug.training.distributed import Processes

VERDICTS = {
    "itc": "at chance",
    "itm": "at chance",
    "mlm": "no better than blind",
    "prefix_lm": "no better than blind",
}
WORD_OBJECTIVES = ("mlm", "prefix_lm")
VALIDATION = 2**40  # a step that no training reaches, whose draws are validation's


@torch.no_grad()
def blind_pairs(
    objectives: PairObjectives,
    model: MPlug,
    batch: Batch,
    step: int,
    *,
    part: int,
    processes: Processes,
) -> dict[str, float]:
    """The word objectives, asked for the same words, of the same batch with blank images."""
    blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
    names = [name for name in WORD_OBJECTIVES if objectives.term(name).weight > 0]
    _, logs = objectives.losses(model, blank, step, names=names, part=part, remember=False)
    return {f"{name}_blind": over_processes(logs[name], processes=processes) for name in names}


@torch.no_grad()
def evaluate_pairs(
    objectives: PairObjectives, model: MPlug, batches: Sequence[Batch], *, processes: Processes
) -> dict[str, float]:
    """Losses on validation batches beside their blind values, verdicts, and recall."""
    names = [name for name in VERDICTS if objectives.term(name).weight > 0]
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    embeddings = []
    for part, batch in enumerate(batches):
        moved = batch.to(processes.device)
        _, logs = objectives.losses(
            model, moved, VALIDATION, names=names, part=part, remember=False
        )
        blind = blind_pairs(objectives, model, moved, VALIDATION, part=part, processes=processes)
        for name in names:
            value = over_processes(logs[name], processes=processes)
            pairs[name].append(
                (value, blind.get(f"{name}_blind", float(logs.get(f"{name}_blind", 0))))
            )
        embeddings.append(_embed(objectives, model, moved, processes=processes))
    recall = recall_at_1(*(torch.cat(parts) for parts in zip(*embeddings, strict=True)))
    figures = summarise(pairs, otherwise=VERDICTS)
    return figures | {f"validation_{name}": value for name, value in recall.items()}


def _embed(
    objectives: PairObjectives, model: MPlug, batch: Batch, *, processes: Processes
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vectors of everyone's images and texts, and which images and captions they are."""
    ids, mask = objectives.words.without_end(batch.ids, batch.mask)
    image = model.image_embedding(model.encode_image(batch.pixels))
    text = model.text_embedding(model.encode_text(ids, mask))
    gather = processes.gather
    return gather(image), gather(text), gather(batch.image_ids), gather(batch.caption_ids)
