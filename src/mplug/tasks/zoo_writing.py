"""Objectives of writing: words that continue a picture, the words before, or words with holes."""

from collections.abc import Callable

from mplug.config.schema_zoo_run import JointObjective
from mplug.data.joint_batch import PaddedText
from mplug.models.decoder import shifted
from mplug.models.zoo.view import Text, View
from mplug.objectives import prefix_lm as prefixes
from mplug.tasks.uniter_objectives import Terms
from mplug.tasks.zoo_hiding import blind_words, hide_words
from mplug.tasks.zoo_step import Step

PREFIX = 6  # a purpose of draws
EMPTY = 0.25  # of the captions, those that are written without a prefix


def _written(step: Step, text: PaddedText, view: View | None, prefix: Text | None) -> Terms:
    """The next word after each of `text`; what is blind knows how common each word is."""
    ids, mask, targets = shifted(text.ids, text.mask)
    if prefix is None:
        states = step.pair.write(Text(ids, mask), view)
    else:
        states = step.model.write(Text(ids, mask), view, prefix=prefix)
    asked = targets >= 0
    logits = step.model.word_logits(states[asked])
    return Terms(prefixes.next_word_losses(logits, targets[asked]), blind_words(targets[asked]))


def _cut(step: Step, text: PaddedText) -> prefixes.PrefixSplit:
    """A caption in two: a prefix to be read, and the rest to be written."""
    words = text.mask.sum(dim=1) - 2  # without [CLS] and [SEP]
    lengths = prefixes.split_lengths(
        words, empty_share=EMPTY, uniforms=step.draws.uniform(PREFIX, len(words), 2)
    )
    return prefixes.split(
        text.ids, text.mask, prefix_words=lengths, pad_id=step.vocabulary.words.pad_id
    )


def caption(step: Step) -> Terms:
    """A caption from the picture alone."""
    batch = step.batch
    return _written(step, batch.captions, step.view(batch.pictures), None)


def denoise(step: Step) -> Terms:
    """The whole caption from the picture and the caption with holes (XGPT)."""
    batch = step.batch
    text = batch.captions
    masked = hide_words(text, settings=step.settings, vocabulary=step.vocabulary, draws=step.draws)
    return _written(step, text, step.view(batch.pictures), Text(masked.ids, text.mask))


def prefix_lm(step: Step) -> Terms:
    """The rest of a caption from the picture and its first words (SimVLM)."""
    batch = step.batch
    split = _cut(step, batch.captions)
    rest = PaddedText(split.rest, split.rest_mask)
    prefix = Text(split.prefix, split.prefix_mask)
    return _written(step, rest, step.view(batch.pictures), prefix)


def prefix_lm_text(step: Step) -> Terms:
    """The rest of a text that has no picture, from its first words."""
    split = _cut(step, step.batch.other_texts)
    rest = PaddedText(split.rest, split.rest_mask)
    return _written(step, rest, None, Text(split.prefix, split.prefix_mask))


WRITING: dict[JointObjective, Callable[[Step], Terms]] = {
    "caption": caption,
    "denoise": denoise,
    "prefix_lm": prefix_lm,
    "prefix_lm_text": prefix_lm_text,
}
