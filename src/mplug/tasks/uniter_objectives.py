"""UNITER's pretraining objectives, applied to a batch of pairs: one of them at a time."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mplug.config.schema_uniter_run import RegionObjective, UniterObjectives
from mplug.data.regions.batch import PaddedRegions, RegionBatch
from mplug.errors import DataError
from mplug.models.uniter import Joint, Uniter
from mplug.nn.regions import Regions
from mplug.objectives import masked_lm, matching, regions, transport
from mplug.tasks.uniter_draws import RegionDraws
from mplug.tasks.words import Words


class Terms(NamedTuple):
    """Losses whose mean is the objective's loss, and what one pays that sees nothing.

    `more` are figures beside it, by name; `also` is added to the loss.
    """

    loss: Float[Tensor, "terms"]
    blind: Float[Tensor, ""] | None = None  # None: to be measured with blank regions
    also: Float[Tensor, ""] | None = None
    more: tuple[tuple[str, Float[Tensor, ""]], ...] = ()


class Hidden(NamedTuple):
    """A batch of which words or regions are hidden, and which are asked for."""

    ids: Int[Tensor, "batch words"]
    words: Bool[Tensor, "batch words"]
    regions: Bool[Tensor, "batch regions"]


def seen(padded: PaddedRegions) -> Regions:
    """Regions as the model takes them."""
    return Regions(padded.features, padded.boxes, padded.mask)


def terms(
    name: RegionObjective,
    model: Uniter,
    batch: RegionBatch,
    *,
    settings: UniterObjectives,
    words: Words,
    draws: RegionDraws,
) -> Terms:
    """The losses of one objective.

    Raises:
        DataError: classes are asked for, and the regions have no soft labels.
    """
    if name == "itm":
        return _matching(model, batch, settings=settings, draws=draws)
    hidden = _hide(name, batch, settings=settings, words=words, draws=draws)
    regions_hidden = hidden.regions if _hides_regions(name, settings) else None
    joint = model.encode(hidden.ids, batch.mask, seen(batch.regions), hidden=regions_hidden)
    if name == "mlm":
        logits = model.masked_word_logits(joint.text[hidden.words])
        return Terms(masked_lm.word_losses(logits, batch.ids[hidden.words]))
    return _recalled(name, model, batch, joint, hidden.regions)


def _hides_regions(name: RegionObjective, settings: UniterObjectives) -> bool:
    return name != "mlm" or settings.masking == "joint"


def _hide(
    name: RegionObjective,
    batch: RegionBatch,
    *,
    settings: UniterObjectives,
    words: Words,
    draws: RegionDraws,
) -> Hidden:
    """Both sides are drawn; the one that stays whole is not used, but where masking is joint."""
    masked = masked_lm.mask_words(
        batch.ids,
        maskable=words.is_ordinary[batch.ids] & batch.mask,
        share=settings.word_share,
        mask_id=words.mask_id,
        replacements=words.ordinary,
        uniforms=draws.words,
    )
    asked = regions.hide_regions(
        batch.regions.mask, share=settings.region_share, uniforms=draws.regions
    )
    whole = name != "mlm" and settings.masking == "conditional"
    return Hidden(batch.ids if whole else masked.ids, masked.asked, asked)


def _recalled(
    name: RegionObjective,
    model: Uniter,
    batch: RegionBatch,
    joint: Joint,
    asked: Bool[Tensor, "batch regions"],
) -> Terms:
    states = joint.regions[asked]
    if name == "mrfr":
        shown = batch.regions.features[asked]
        losses = regions.feature_losses(model.hidden_features(states), shown).mean(dim=1)
        return Terms(losses, blind_regions(name, batch.regions))
    if batch.regions.soft_labels is None:
        raise DataError(
            f"objectives.mix.{name}: the regions have no soft_labels: make regions that have, or "
            f"set objectives.mix.{name}=0"
        )
    labels, logits = batch.regions.soft_labels[asked], model.hidden_class_logits(states)
    if name == "mrc":
        return Terms(regions.class_losses(logits, labels), blind_regions(name, batch.regions))
    divergences = regions.class_divergences(logits, labels).sum(dim=1)
    return Terms(divergences, blind_regions(name, batch.regions))


def blind_regions(name: RegionObjective, *pictures: PaddedRegions) -> Float[Tensor, ""]:
    """What recalling regions costs on average, if one knows only how they are distributed.

    That is learned from all regions of these pictures: the more there are, the nearer it is to
    what a model pays that knows the whole data set.
    """
    if name == "mrfr":
        return regions.blind_feature_loss(
            torch.cat([each.features[each.mask] for each in pictures])
        )
    labels = [each.soft_labels[each.mask] for each in pictures if each.soft_labels is not None]
    blind = regions.blind_class_loss if name == "mrc" else regions.blind_divergence
    return blind(torch.cat(labels))


def _matching(
    model: Uniter, batch: RegionBatch, *, settings: UniterObjectives, draws: RegionDraws
) -> Terms:
    """Half of the texts are put beside another picture; alignment is judged on the same pairs."""
    partners, matched = _partners(batch, share=settings.wrong_share, draws=draws)
    shown = batch.regions.rows(partners)
    joint = model.encode(batch.ids, batch.mask, seen(shown))
    losses = matching.matching(model.match(joint.text), matched.long())
    blind = matching.blind_loss(matched.float().mean())
    if not settings.alignment:
        return Terms(losses, blind)
    distances = transport.transport_distance(
        joint.text, joint.regions, text_mask=batch.mask, region_mask=shown.mask
    )
    aligned = transport.alignment(distances, matched)
    also = settings.alignment * aligned.to(losses.dtype)
    return Terms(losses, blind, also=also, more=(("wra", aligned.detach()),))


def _partners(
    batch: RegionBatch, *, share: float, draws: RegionDraws
) -> tuple[Int[Tensor, "batch"], Bool[Tensor, "batch"]]:
    """The picture beside each text, and whether it is its own; where all are, it stays."""
    same = (batch.image_ids[:, None] == batch.image_ids) | (
        batch.caption_ids[:, None] == batch.caption_ids
    )
    found = matching.hard_negatives(
        torch.zeros(same.shape, device=same.device), forbidden=same, uniforms=draws.partner
    )
    wrong = (draws.wrong < share) & found.valid
    own = torch.arange(len(same), device=same.device)
    return torch.where(wrong, found.indices, own), ~wrong
