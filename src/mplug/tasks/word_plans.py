"""Which words a step hides, and where it cuts captions: decided on the host.

How many words are asked for says how large tensors are. Counted on a device, the host would have to
wait for all that the device has yet to do before it could go on.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.models.decoder import shifted
from mplug.objectives import masked_lm, prefix_lm
from mplug.tasks.words import Words


class HiddenWords(NamedTuple):
    """Corrupted texts, and which words were where they are asked for."""

    ids: Int[Tensor, "batch words"]
    places: Int[Tensor, "asked"]  # in all rows' words, one row behind the other
    words: Int[Tensor, "asked"]


def hide_words(
    ids: Int[Tensor, "batch words"],
    mask: Bool[Tensor, "batch words"],
    *,
    words: Words,
    share: float,
    uniforms: Float[Tensor, "batch words 3"],
) -> HiddenWords:
    """Hide `share` of the ordinary words of `[CLS] words`."""
    hidden = masked_lm.mask_words(
        ids,
        maskable=mask & words.is_ordinary[ids],
        share=share,
        mask_id=words.mask_id,
        replacements=words.ordinary,
        uniforms=uniforms,
    )
    places = hidden.asked.flatten().nonzero()[:, 0]
    return HiddenWords(hidden.ids, places, ids.flatten()[places])


class CutCaptions(NamedTuple):
    """Prefixes to be read, where there are any, and what the decoder is to write after them."""

    rows: Int[Tensor, "prefixes"]  # the captions that have a prefix
    prefix: Int[Tensor, "prefixes read"]
    prefix_mask: Bool[Tensor, "prefixes read"]
    seen: Bool[Tensor, "batch read"]  # which words of the prefixes the decoder sees
    ids: Int[Tensor, "batch inputs"]  # the decoder's
    mask: Bool[Tensor, "batch inputs"]
    places: Int[Tensor, "written"]  # in all rows' inputs, one row behind the other
    words: Int[Tensor, "written"]  # that follow there


def cut_captions(
    ids: Int[Tensor, "batch words"],
    mask: Bool[Tensor, "batch words"],
    *,
    words: Words,
    empty_share: float,
    uniforms: Float[Tensor, "batch 2"],
) -> CutCaptions:
    """Cut each `[CLS] words [SEP]` somewhere, and with `empty_share` before its first word."""
    lengths = prefix_lm.split_lengths(
        mask.sum(dim=1) - 2, empty_share=empty_share, uniforms=uniforms
    )
    cut = prefix_lm.split(ids, mask, prefix_words=lengths, pad_id=words.pad_id)
    inputs, inputs_mask, targets = shifted(cut.rest, cut.rest_mask)
    rows = (~cut.empty).nonzero()[:, 0]
    places = (targets.flatten() >= 0).nonzero()[:, 0]
    return CutCaptions(
        rows,
        cut.prefix[rows],
        cut.prefix_mask[rows],
        cut.prefix_mask & ~cut.empty[:, None],
        inputs,
        inputs_mask,
        places,
        targets.flatten()[places],
    )
