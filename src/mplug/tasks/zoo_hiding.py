"""What of a batch is hidden, and what is asked for."""

import json
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mplug.config.schema_zoo_run import JointObjectives
from mplug.data.joint_batch import PaddedText
from mplug.data.regions.batch import PaddedRegions
from mplug.data.tokenizer import Tokenizer
from mplug.objectives import groups, masked_lm, regions
from mplug.tasks.words import Words
from mplug.tasks.zoo_draws import ZooDraws

WORDS, REGIONS = 1, 2  # purposes of draws


class Vocabulary(NamedTuple):
    """What objectives must know of a vocabulary."""

    words: Words
    continues: Bool[Tensor, "vocab"]  # True at pieces that go on with the word before them


def vocabulary_of(tokenizer: Tokenizer, *, device: torch.device) -> Vocabulary:
    """The vocabulary of `tokenizer`."""
    pieces: dict[str, int] = json.loads(tokenizer.to_json())["model"]["vocab"]
    continues = torch.zeros(tokenizer.vocab_size, dtype=torch.bool)
    continues[[place for piece, place in pieces.items() if piece.startswith("##")]] = True
    return Vocabulary(Words.of(tokenizer, device=device), continues.to(device))


class HiddenWords(NamedTuple):
    """Corrupted ids, and where a word is asked for."""

    ids: Int[Tensor, "batch words"]
    asked: Bool[Tensor, "batch words"]


def hide_words(
    text: PaddedText, *, settings: JointObjectives, vocabulary: Vocabulary, draws: ZooDraws
) -> HiddenWords:
    """BERT's corruption of pieces, whole words or spans."""
    words = vocabulary.words
    uniforms = draws.uniform(WORDS, len(text.ids), text.ids.shape[1], 3)
    if settings.masked_words == "whole_words":
        uniforms = groups.as_words(uniforms, continues=vocabulary.continues[text.ids])
    elif settings.masked_words == "spans":
        uniforms = groups.as_spans(uniforms)
    maskable = words.is_ordinary[text.ids] & text.mask
    masked = masked_lm.mask_words(
        text.ids,
        maskable=maskable,
        share=settings.word_share,
        mask_id=words.mask_id,
        replacements=words.ordinary,
        uniforms=uniforms,
    )
    return HiddenWords(masked.ids, masked.asked)


def hide(
    pictured: PaddedRegions, *, settings: JointObjectives, draws: ZooDraws
) -> Bool[Tensor, "batch regions"]:
    """A share of each picture's regions, and at least one; what overlaps them too, if so set."""
    uniforms = draws.uniform(REGIONS, *pictured.mask.shape)
    hidden = regions.hide_regions(pictured.mask, share=settings.region_share, uniforms=uniforms)
    if settings.masked_regions == "single":
        return hidden
    return groups.with_overlapping(hidden, pictured.boxes, mask=pictured.mask)


def blind_words(asked: Int[Tensor, "asked"]) -> Tensor:
    """What a model pays on average that knows only how common each asked word is in the batch."""
    if not len(asked):
        return torch.zeros((), device=asked.device)
    counts = torch.bincount(asked)
    return torch.special.entr(counts / counts.sum()).sum()
