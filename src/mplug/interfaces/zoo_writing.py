"""How a model of docs/zoo.md writes: as it has learned to."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from mplug.config.schema_zoo_run import JointObjective
from mplug.data.tokenizer import Tokenizer
from mplug.inference.generate import Search
from mplug.models.zoo.decoding import NextMasks, NextWords
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.view import Text, View
from mplug.models.zoo.writer import WriterModel

Write = Callable[[View, Sequence[int], Search], list[list[int]]]
"""From pictures, the words to begin with and a search to the ids of each picture's text."""


def writer_of(
    model: PairModel | WriterModel, learned: Sequence[JointObjective], *, tokenizer: Tokenizer
) -> Write:
    """The way of writing that a model learned: its own decoder, or its stack read again and again.

    Words to begin with are the prefix that is read, where prefixes were learned; else they are
    taken as written.
    """

    def write(view: View, words: Sequence[int], search: Search) -> list[list[int]]:
        shown = view.pixels if view.regions is None else view.regions.features
        assert shown is not None
        start = [tokenizer.cls_id, *words]
        begun = torch.tensor([start] * len(shown), device=shown.device)
        empty = begun[:, :1]
        if isinstance(model, WriterModel):
            prefix = Text(begun, torch.ones_like(begun, dtype=torch.bool))
            cache = model.decoder.start(*model.read(prefix, view))
            found = search(model.decoder, cache, empty, end_id=tokenizer.sep_id, best=1)
            return [[*words, *texts[0].ids] for texts in found]
        decoder: Any = NextWords(model)
        if "caption" in learned:
            found = search(decoder, decoder.start(view), begun, end_id=tokenizer.sep_id, best=1)
            return [texts[0].ids for texts in found]
        if "prefix_lm" in learned:
            prefix = Text(begun, torch.ones_like(begun, dtype=torch.bool))
            found = search(
                decoder, decoder.start(view, prefix), empty, end_id=tokenizer.sep_id, best=1
            )
            return [[*words, *texts[0].ids] for texts in found]
        decoder = NextMasks(model, mask_id=tokenizer.mask_id)
        found = search(decoder, decoder.start(view), begun, end_id=tokenizer.sep_id, best=1)
        return [texts[0].ids for texts in found]

    return write
