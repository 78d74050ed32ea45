"""The objectives of the family, each applied to a batch: a loss, and what one pays who is blind.

Every objective is a function of a `Step`; `OBJECTIVES` holds them by name.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from mplug.config.schema_zoo_run import JointObjective
from mplug.data.joint_batch import NO_ANSWER, PaddedPictures, PaddedText
from mplug.models.zoo.view import Joint, Text
from mplug.objectives import contrastive, masked_lm, matching, regions, transport
from mplug.tasks.uniter_objectives import Terms
from mplug.tasks.zoo_hiding import blind_words, hide, hide_words
from mplug.tasks.zoo_step import Step, text_of
from mplug.tasks.zoo_writing import WRITING

WRONG, PARTNER = 3, 4  # purposes of draws


def after(first: PaddedText, second: PaddedText) -> PaddedText:
    """Two texts in one; padding may stand between them."""
    return PaddedText(
        torch.cat([first.ids, second.ids], dim=1), torch.cat([first.mask, second.mask], dim=1)
    )


def _tags(step: Step) -> PaddedText | None:
    return step.batch.tags if step.pair.config.words == "tagged" else None


def _encode(
    step: Step,
    text: PaddedText,
    pictures: PaddedPictures,
    *,
    hidden: Bool[Tensor, "batch regions"] | None = None,
    tags: PaddedText | None = None,
) -> Joint:
    return step.pair.encode(
        text_of(text),
        step.view(pictures),
        hidden=hidden,
        tags=None if tags is None else text_of(tags),
    )


def _partners(step: Step) -> tuple[Int[Tensor, "batch"], Bool[Tensor, "batch"]]:
    """A row to be put beside each row, and whether it is its own."""
    batch, rows = step.batch, len(step.batch)
    same = (batch.image_ids[:, None] == batch.image_ids) | (
        batch.caption_ids[:, None] == batch.caption_ids
    )
    found = matching.hard_negatives(
        torch.zeros(same.shape, device=same.device),
        forbidden=same,
        uniforms=step.draws.uniform(PARTNER, rows),
    )
    wrong = (step.draws.uniform(WRONG, rows) < step.settings.wrong_share) & found.valid
    own = torch.arange(rows, device=same.device)
    return torch.where(wrong, found.indices, own), ~wrong


def _matched(step: Step, joint: Joint, matched: Bool[Tensor, "batch"]) -> Terms:
    losses = matching.matching(step.pair.match(joint), matched.long())
    return Terms(losses, matching.blind_loss(matched.float().mean()))


def itm(step: Step) -> Terms:
    """Half of the texts stand beside another picture; alignment is judged on the same pairs."""
    rows, matched = _partners(step)
    pictures, captions = step.batch.pictures.rows(rows), step.batch.captions
    tags = _tags(step)
    joint = _encode(step, captions, pictures, tags=None if tags is None else tags.rows(rows))
    found = _matched(step, joint, matched)
    if not step.settings.alignment:
        return found
    there = torch.ones(joint.regions.shape[:2], dtype=torch.bool, device=matched.device)
    distances = transport.transport_distance(
        joint.text,
        joint.regions,
        text_mask=captions.mask,
        region_mask=there if pictures.regions is None else pictures.regions.mask,
    )
    aligned = transport.alignment(distances, matched)
    also = step.settings.alignment * aligned.to(found.loss.dtype)
    return found._replace(also=also, more=(("wra", aligned.detach()),))


def itm_captions(step: Step) -> Terms:
    """Two captions of a picture, or one and another picture's (VisualBERT)."""
    rows, matched = _partners(step)
    both = after(step.batch.captions, step.batch.second_captions.rows(rows))
    return _matched(step, _encode(step, both, step.batch.pictures), matched)


def itm_tags(step: Step) -> Terms:
    """The names of what a picture shows, or of what another shows (OSCAR)."""
    rows, matched = _partners(step)
    batch = step.batch
    joint = _encode(step, batch.captions, batch.pictures, tags=batch.tags.rows(rows))
    return _matched(step, joint, matched)


def itc(step: Step) -> Terms:
    """Texts alone and pictures alone, compared with all others of the batch."""
    batch, space = step.batch, step.pair.space
    texts = space.text_embedding(step.pair.read_text(text_of(batch.captions)))
    images = space.image_embedding(step.pair.read_image(step.view(batch.pictures)).image)
    scores = contrastive.similarity(images, texts, temperature=space.temperature)
    same = contrastive.positives(
        batch.image_ids,
        batch.caption_ids,
        bank_image_ids=batch.image_ids,
        bank_caption_ids=batch.caption_ids,
    )
    targets = contrastive.equal_shares(same)
    ways = [F.cross_entropy(each, targets, reduction="none") for each in (scores, scores.T)]
    candidates = torch.tensor(len(batch), device=texts.device)
    return Terms(torch.stack(ways).mean(dim=0), contrastive.blind_loss(candidates))


def answer(step: Step) -> Terms:
    """A question about the picture, where there is one."""
    batch = step.batch
    logits = step.pair.answer(_encode(step, batch.questions, batch.pictures))
    asked = batch.answers != NO_ANSWER
    losses = F.cross_entropy(logits[asked], batch.answers[asked], reduction="none")
    return Terms(losses, blind_words(batch.answers[asked]))


def _hidden_regions(step: Step) -> Bool[Tensor, "batch regions"]:
    shown = step.batch.pictures.regions
    assert shown is not None
    return hide(shown, settings=step.settings, draws=step.draws)


def _recalled_words(step: Step, *, written: bool) -> Terms:
    """Masked words of the caption, and of the tags where there are some."""
    batch, tags = step.batch, _tags(step)
    whole = batch.captions if tags is None else after(batch.captions, tags)
    masked = hide_words(whole, settings=step.settings, vocabulary=step.vocabulary, draws=step.draws)
    joint_masking = step.settings.masking == "joint" and batch.pictures.regions is not None
    width = batch.captions.ids.shape[1]
    joint = step.pair.encode(
        Text(masked.ids[:, :width], batch.captions.mask),
        step.view(batch.pictures),
        hidden=_hidden_regions(step) if joint_masking else None,
        tags=None if tags is None else Text(masked.ids[:, width:], tags.mask),
        written=batch.captions.mask if written else None,
    )
    return _words(step, joint.text, masked.asked, whole.ids)


def _words(
    step: Step, states: Tensor, asked: Bool[Tensor, "batch words"], ids: Int[Tensor, "batch words"]
) -> Terms:
    losses = masked_lm.word_losses(step.pair.word_logits(states[asked]), ids[asked])
    return Terms(losses, blind_words(ids[asked]))


def mlm(step: Step) -> Terms:
    """Masked words are read off the picture and the rest of the text."""
    return _recalled_words(step, written=False)


def mlm_written(step: Step) -> Terms:
    """Masked words are read off the picture and the words before (Unified VLP)."""
    return _recalled_words(step, written=True)


def mlm_text(step: Step) -> Terms:
    """Masked words of texts that have no picture."""
    text = step.batch.other_texts
    masked = hide_words(text, settings=step.settings, vocabulary=step.vocabulary, draws=step.draws)
    states = step.pair.read_text(Text(masked.ids, text.mask))
    return _words(step, states, masked.asked, text.ids)


def _recalled_regions(step: Step) -> tuple[Tensor, Bool[Tensor, "batch regions"]]:
    batch, hidden = step.batch, _hidden_regions(step)
    text = batch.captions
    if step.settings.masking == "joint":
        masked = hide_words(
            text, settings=step.settings, vocabulary=step.vocabulary, draws=step.draws
        )
        text = PaddedText(masked.ids, text.mask)
    joint = _encode(step, text, batch.pictures, hidden=hidden, tags=_tags(step))
    return joint.regions[hidden], hidden


def mrfr(step: Step) -> Terms:
    """The features of hidden regions, of which the caption speaks."""
    states, hidden = _recalled_regions(step)
    return _features(step, states, step.batch.pictures, hidden)


def mrfr_image(step: Step) -> Terms:
    """The features of hidden regions of pictures that have no text."""
    pictures = step.batch.other_pictures
    assert pictures.regions is not None
    hidden = hide(pictures.regions, settings=step.settings, draws=step.draws)
    joint = step.pair.read_image(step.view(pictures), hidden=hidden)
    return _features(step, joint.regions[hidden], pictures, hidden)


def _features(
    step: Step, states: Tensor, pictures: PaddedPictures, hidden: Bool[Tensor, "batch regions"]
) -> Terms:
    assert pictures.regions is not None
    shown = pictures.regions.features[hidden]
    losses = regions.feature_losses(step.pair.hidden_features(states), shown).mean(dim=1)
    return Terms(losses, regions.blind_feature_loss(shown))


def _classes(step: Step) -> tuple[Tensor, Tensor]:
    """Logits of hidden regions, and what they are."""
    states, hidden = _recalled_regions(step)
    shown = step.batch.pictures.regions
    assert shown is not None
    assert shown.soft_labels is not None
    return step.pair.hidden_class_logits(states), shown.soft_labels[hidden]


def mrc(step: Step) -> Terms:
    """The likeliest class of hidden regions."""
    logits, labels = _classes(step)
    return Terms(regions.class_losses(logits, labels), regions.blind_class_loss(labels))


def mrc_kl(step: Step) -> Terms:
    """How likely each class of hidden regions is."""
    logits, labels = _classes(step)
    divergences = regions.class_divergences(logits, labels).sum(dim=1)
    return Terms(divergences, regions.blind_divergence(labels))


OBJECTIVES: dict[JointObjective, Callable[[Step], Terms]] = {
    "itm": itm,
    "itm_captions": itm_captions,
    "itm_tags": itm_tags,
    "itc": itc,
    "answer": answer,
    "mlm": mlm,
    "mlm_written": mlm_written,
    "mlm_text": mlm_text,
    "mrfr": mrfr,
    "mrfr_image": mrfr_image,
    "mrc": mrc,
    "mrc_kl": mrc_kl,
    **WRITING,
}
