"""From pictures' features to texts': a ridge map, and contrastive training that starts from it."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mplug.data.records import Record
from mplug.interfaces.experiments.stamp_features import Sentences, Vectors, read
from mplug.metrics.retrieval import grades, hits
from mplug.objectives.contrastive import contrastive, equal_shares, positives

AT = (1, 5, 10)  # places that recall looks at
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # the one that is best on validation is taken
BATCH = 128
MAP_LR, TEXT_LR, WEIGHT_DECAY = 1e-3, 3e-5, 0.05
TEMPERATURE = 0.05
DROPOUT = 0.05  # of features
Floats = npt.NDArray[np.float64]
Similarity = Float[Tensor, "pictures texts"]


class Split(NamedTuple):
    """Records, and what pictures of theirs look like, perhaps mirrored too."""

    records: Sequence[Record]
    pictures: Float[Tensor, "views items dim"]


def ridge(pictures: Vectors, texts: Vectors, *, strength: float) -> nn.Linear:
    """The linear map that brings pictures nearest to their texts, held back by `strength`."""
    middle, goal = pictures.mean(dim=0), texts.mean(dim=0)
    centred = (pictures - middle).double()
    held = centred.T @ centred + strength * torch.eye(pictures.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(held, centred.T @ (texts - goal).double()).float()
    made = nn.Linear(*weight.shape)
    with torch.no_grad():
        made.weight.copy_(weight.T)
        made.bias.copy_(goal - middle @ weight)
    return made


def best_ridge(train: Split, validation: Split, sentences: Sentences) -> nn.Linear:
    """The ridge map, of the strengths tried, that finds most of validation's texts."""
    known, asked = read(sentences, train.records), read(sentences, validation.records)
    maps = [ridge(train.pictures[0], known, strength=strength) for strength in RIDGES]
    found = [_found(similarities(one, validation, asked)) for one in maps]
    return maps[int(np.argmax(found))]


@torch.no_grad()
def similarities(mapped: nn.Linear, split: Split, texts: Vectors) -> Similarity:
    """How well each text fits each picture, whose views are taken together."""
    pictures = F.normalize(mapped(F.normalize(split.pictures.mean(dim=0), dim=-1)), dim=-1)
    return pictures @ texts.T


def recalls(scores: Similarity) -> dict[int, Floats]:
    """For each of `AT`, the chance of every picture that its text is among the first."""
    right = np.eye(len(scores), dtype=np.bool_)
    graded = grades(scores.numpy())
    return {k: hits(graded, right, k=k) for k in AT}


def fine_tune(
    mapped: nn.Linear,
    sentences: Sentences,
    train: Split,
    validation: Split,
    *,
    epochs: int,
    seed: int,
) -> tuple[nn.Linear, Sentences]:
    """Both trained contrastively, as they were after the epoch that was best on validation."""
    torch.manual_seed(seed)
    groups = [
        {"params": list(sentences.parameters()), "lr": TEXT_LR},
        {"params": list(mapped.parameters()), "lr": MAP_LR},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(train.records) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / (steps + 1))
    captions = caption_numbers(train.records)
    best, kept = -1.0, (copy.deepcopy(mapped), copy.deepcopy(sentences))
    for epoch in range(epochs + 1):
        found = _found(similarities(mapped, validation, read(sentences, validation.records)))
        if found > best:
            best, kept = found, (copy.deepcopy(mapped), copy.deepcopy(sentences))
        if epoch == epochs:
            break
        sentences.train()
        for chosen in torch.split(torch.randperm(len(train.records)), BATCH):
            optimiser.zero_grad()
            torch.autograd.backward(_loss(mapped, sentences, train, chosen, captions[chosen]))
            optimiser.step()
            schedule.step()
    return kept


def caption_numbers(records: Sequence[Record]) -> Int[Tensor, "records"]:
    """A number for each record's caption: the same caption, the same number."""
    texts = [record.caption[0].lower() for record in records]
    return torch.from_numpy(np.unique(texts, return_inverse=True)[1])


def _loss(
    mapped: nn.Linear,
    sentences: Sentences,
    train: Split,
    chosen: Int[Tensor, "batch"],
    captions: Int[Tensor, "batch"],
) -> Float[Tensor, ""]:
    views = torch.randint(len(train.pictures), (len(chosen),))
    features = F.dropout(train.pictures[views, chosen], DROPOUT)
    pictures = F.normalize(mapped(features), dim=-1)
    texts = sentences([train.records[place].caption[0] for place in chosen.tolist()])
    scores = pictures @ texts.T / TEMPERATURE
    same = positives(chosen, captions, bank_image_ids=chosen, bank_caption_ids=captions)
    targets = equal_shares(same)
    return contrastive(scores, scores.T, text_targets=targets, image_targets=targets)


def _found(scores: Similarity) -> float:
    """One figure to choose by: the mean of the recalls."""
    return float(np.mean([one.mean() for one in recalls(scores).values()]))
