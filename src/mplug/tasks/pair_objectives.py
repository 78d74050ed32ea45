"""The objectives of image-caption pairs, from one visual pass (mPLUG paper, section 3.3).

ITC aligns the two encoders, ITM judges fused pairs against hard negatives, MLM fills in words,
prefix LM continues captions. A momentum teacher gives ITC its candidates and softens ITC and MLM.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema import ObjectivesConfig, Term
from mplug.data.batch import Batch
from mplug.data.host import send, send_all
from mplug.models.mplug import Image, MPlug, Text
from mplug.objectives import contrastive, masked_lm, matching, momentum, prefix_lm
from mplug.tasks.bank import Bank, gather_bank
from mplug.tasks.draws import Draws, draw
from mplug.tasks.fused_terms import FusedTerm, fused_losses
from mplug.tasks.means import global_mean
from mplug.tasks.tagging import Tagging
from mplug.tasks.word_plans import CutCaptions, HiddenWords, cut_captions, hide_words
from mplug.tasks.words import Words
from mplug.training.distributed import Processes

# No target of any objective comes from these.
NOT_TAUGHT = ("decoder", "itm_head")
OBJECTIVES = ("itc", "itm", "mlm", "prefix_lm", "tags")
Logs = dict[str, Tensor]


class Encoded(NamedTuple):
    """A batch after the one visual pass of the model, and the one of its teacher."""

    image: Float[Tensor, "batch patches dim"]
    teacher_image: Float[Tensor, "batch patches dim"]
    ids: Int[Tensor, "batch words"]  # [CLS] words
    mask: Bool[Tensor, "batch words"]


class Contrast(NamedTuple):
    """What ITC leaves to ITM: scores within the global batch, and pairs that are no negatives."""

    text: Float[Tensor, "batch words dim"]
    image_to_text: Float[Tensor, "batch everyone"]
    text_to_image: Float[Tensor, "batch everyone"]
    same: Bool[Tensor, "batch everyone"]


class PairObjectives(nn.Module):
    """The teacher, the queues and the losses of pairs; the model that learns is handed in."""

    def __init__(
        self,
        model: MPlug,
        *,
        objectives: ObjectivesConfig,
        words: Words,
        longest: int,
        seed: int,
        processes: Processes,
    ) -> None:
        super().__init__()
        self.teacher = momentum.averaged_copy(model, without=NOT_TAUGHT)
        self.queue = momentum.FeatureQueue(
            objectives.queue_size,
            embed_dim=model.config.embed_dim,
            generator=torch.Generator().manual_seed(seed),
        )
        text = model.config.text
        if objectives.tags.weight > 0:
            self.tagging = Tagging(
                text.hidden_size, vocab_size=text.vocab_size, processes=processes
            )
        self.objectives, self.words, self.longest = objectives, words, longest
        self.seed, self.processes = seed, processes

    def follow(self, model: MPlug, step: int) -> None:
        """Let the teacher follow the model."""
        share = momentum.warmed_up(self.objectives.momentum, step=step)
        momentum.update_average(self.teacher, model, momentum=share)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the teacher, whose targets carry no dropout."""
        super().train(mode)
        self.teacher.eval()
        return self

    def weighted(self, losses: Logs) -> Float[Tensor, ""]:
        """The sum of the losses, each with its weight."""
        return torch.stack([self.term(name).weight * loss for name, loss in losses.items()]).sum()

    def active(self, step: int) -> tuple[str, ...]:
        """The objectives that count at this step."""
        terms = {name: self.term(name) for name in OBJECTIVES}
        return tuple(
            name
            for name, term in terms.items()
            if term.weight > 0
            and step >= term.start
            and step % term.every == term.offset % term.every
        )

    def term(self, name: str) -> Term:
        """The settings of one objective."""
        term: Term = getattr(self.objectives, name)
        return term

    def losses(
        self,
        model: MPlug,
        batch: Batch,
        step: int,
        *,
        names: Collection[str],
        part: int,
        remember: bool = True,
        image: Image | None = None,
    ) -> tuple[Logs, Logs]:
        """The named losses, each a mean over the global batch, and what to log of them.

        `remember` is for training: ITC compares with the queue and extends it, and the teacher
        softens targets. Without it ITC's candidates are the batch alone, so that what is measured
        is not which data a pair is from, and targets are what is true.

        `image` is what the model has made of the pictures already. Softened losses are logged
        without the softening, which their blind values know nothing of.
        """
        taught = self._taught_share(step) if remember else 0.0
        encoded = self._encode(model, batch, image)
        draws = self._draw(batch, step, part)
        losses: Logs = {}
        logs: Logs = {}
        images, fused = encoded.image, dict[str, FusedTerm]()
        # First: gradients come backwards, so that the fused texts, whose states are the most, are
        # let go before the decoder's gradients fill their place.
        if "prefix_lm" in names:
            losses["prefix_lm"] = self._continue(model, batch, encoded, draws)
        hidden = self._hide(batch, encoded, draws) if "mlm" in names else None
        contrasted = "itc" in names or "itm" in names
        read = _read_together(
            model,
            [encoded.ids] * contrasted + ([] if hidden is None else [hidden.ids]),
            encoded.mask,
        )
        if contrasted:
            contrast, loss = self._contrast(
                model, read[0], batch, encoded, logs, taught=taught, remember=remember
            )
            if "itc" in names:
                losses["itc"] = loss
            if "itm" in names:
                images, fused["itm"] = self._match(
                    model, encoded, contrast, draws, logs, hardness=self._hardness(step)
                )
        if hidden is not None:
            fused["mlm"] = self._fill_in(model, read[-1], hidden, encoded, logs, taught=taught)
        losses |= fused_losses(model, images, fused)
        if "tags" in names:
            losses["tags"] = self._tag(batch, encoded)
        losses = {name: losses[name] for name in OBJECTIVES if name in losses}
        return losses, {**{name: loss.detach() for name, loss in losses.items()}, **logs}

    def _encode(self, model: MPlug, batch: Batch, image: Image | None) -> Encoded:
        ids, mask = self.words.without_end(batch.ids, batch.mask)
        if image is None:
            image = model.encode_image(batch.pixels)
        if not _sight_learns(model):  # then the teacher's would be the same again
            return Encoded(image, image.detach(), ids, mask)
        with torch.no_grad():
            teacher_image = self.teacher.encode_image(batch.pixels)
        return Encoded(image, teacher_image, ids, mask)

    def _draw(self, batch: Batch, step: int, part: int) -> Draws:
        rows, words = batch.ids.shape
        return draw(
            seed=self.seed,
            step=step,
            part=part,
            rows=rows,
            words=words,
            longest=self.longest,
            processes=self.processes,
        )

    def _contrast(
        self,
        model: MPlug,
        text: Text,
        batch: Batch,
        encoded: Encoded,
        logs: Logs,
        *,
        taught: float,
        remember: bool,
    ) -> tuple[Contrast, Float[Tensor, ""]]:
        """ITC against the teacher's features of the global batch and of the queue."""
        bank = gather_bank(
            self.teacher,
            self.queue if remember else None,
            image=encoded.teacher_image,
            ids=encoded.ids,
            mask=encoded.mask,
            batch=batch,
            processes=self.processes,
        )
        compare = partial(contrastive.similarity, temperature=model.temperature)
        image_to_text = compare(model.image_embedding(encoded.image), bank.texts)
        text_to_image = compare(model.text_embedding(text), bank.images)
        loss_against = partial(contrastive.contrastive, image_to_text, text_to_image)
        true = contrastive.equal_shares(bank.positive)
        loss = loss_against(text_targets=true, image_targets=true)
        logs["itc"] = loss.detach()
        if taught > 0:
            with torch.no_grad():
                taught_texts = compare(bank.own_images, bank.texts)
                taught_images = compare(bank.own_texts, bank.images)
            soften = partial(contrastive.soften, true, share=taught)
            loss = loss_against(
                text_targets=soften(teacher_similarity=taught_texts),
                image_targets=soften(teacher_similarity=taught_images),
            )
        everyone = batch.ids.shape[0] * self.processes.world
        if remember:
            self._extend_queue(bank, everyone)
        logs["itc_blind"] = contrastive.blind_loss((bank.image_ids != momentum.NO_ID).sum())
        logs["itc_accuracy"] = contrastive.accuracy(image_to_text.detach(), bank.positive)
        logs["temperature"] = model.temperature.detach().clone()  # the update changes it in place
        return Contrast(
            text,
            image_to_text[:, :everyone],
            text_to_image[:, :everyone],
            bank.positive[:, :everyone],
        ), loss

    def _extend_queue(self, bank: Bank, everyone: int) -> None:
        """Keep what the bank holds of the global batch, which comes first."""
        new = slice(everyone)
        self.queue.push(
            bank.images[new],
            bank.texts[new],
            image_ids=bank.image_ids[new],
            caption_ids=bank.caption_ids[new],
        )

    def _match(
        self,
        model: MPlug,
        encoded: Encoded,
        contrast: Contrast,
        draws: Draws,
        logs: Logs,
        *,
        hardness: float,
    ) -> tuple[Float[Tensor, "images patches dim"], FusedTerm]:
        """ITM on every pair, and for its image and its text one hard negative each.

        Also the images that are met, this process's own first.
        """
        choose = partial(matching.hard_negatives, forbidden=contrast.same, hardness=hardness)
        device = encoded.ids.device
        wrong_image, wrong_text = (
            choose(scores, uniforms=send(uniforms, device))
            for scores, uniforms in (
                (contrast.text_to_image, draws.negative_images),
                (contrast.image_to_text, draws.negative_texts),
            )
        )
        images = self.processes.gather_with_gradient(encoded.image)
        texts, masks = self._gather_texts(contrast.text, encoded.mask)
        rows = contrast.text.shape[0]
        own = torch.arange(rows, device=device) + self.processes.rank * rows
        text_rows = torch.cat([own, own, wrong_text.indices])
        image_rows = torch.cat([own, wrong_image.indices, own])
        if self.processes.world > 1:  # of everyone's images only those met here
            images = images[image_rows[: 2 * rows]]
            places = torch.arange(2 * rows, device=device)
            image_rows = torch.cat([places, places[:rows]])
        labels = matching.labels(wrong_image.valid, wrong_text.valid)
        counted = labels >= 0
        matched_share = rows * self.processes.world / self.processes.all_sum(counted.sum())
        logs["itm_blind"] = matching.blind_loss(matched_share)
        wrong = (wrong_image, wrong_text)
        entropies = torch.cat([each.entropy for each in wrong])
        valid = torch.cat([each.valid for each in wrong])
        logs["hard_negative_entropy"] = self._mean(entropies, valid)

        def loss(fused: Text) -> Float[Tensor, ""]:
            logits = model.match(fused)
            right = (logits.detach().argmax(dim=1) == labels).float()
            logs["itm_accuracy"] = self._mean(right, counted)
            return self._mean(matching.matching(logits, labels), counted)

        return images, FusedTerm(texts[text_rows], masks[text_rows], image_rows, loss)

    def _gather_texts(
        self, text: Float[Tensor, "batch words dim"], mask: Bool[Tensor, "batch words"]
    ) -> tuple[Float[Tensor, "everyone longest dim"], Bool[Tensor, "everyone longest"]]:
        """The texts of all processes, which may be padded to different lengths."""
        if self.processes.world > 1:
            missing = self.longest - text.shape[1]
            text, mask = F.pad(text, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        return self.processes.gather_with_gradient(text), self.processes.gather(mask)

    def _hide(self, batch: Batch, encoded: Encoded, draws: Draws) -> HiddenWords:
        ids, mask = self.words.without_end(*batch.text())
        chosen = hide_words(
            ids,
            mask,
            words=self.words,
            share=self.objectives.mask_share,
            uniforms=draws.masking[:, : ids.shape[1]],
        )
        return send_all(chosen, encoded.ids.device)

    def _fill_in(
        self,
        model: MPlug,
        text: Text,
        hidden: HiddenWords,
        encoded: Encoded,
        logs: Logs,
        *,
        taught: float,
    ) -> FusedTerm:
        """MLM: hidden words, read off the fused text; the teacher reads the same hidden text."""

        def word_logits(reader: MPlug, fused: Text) -> Float[Tensor, "asked vocab"]:
            return reader.masked_word_logits(fused.flatten(0, 1).index_select(0, hidden.places))

        def loss(fused: Text) -> Float[Tensor, ""]:
            logits = word_logits(model, fused)
            plain = self._mean(masked_lm.word_losses(logits, hidden.words))
            logs["mlm"] = plain.detach()
            if taught == 0.0:
                return plain
            with torch.no_grad():
                taught_text = self.teacher.encode_text(hidden.ids, encoded.mask)
                read = self.teacher.fuse_text(taught_text, encoded.teacher_image, encoded.mask)
                teacher_logits = word_logits(self.teacher, read)
            softened = masked_lm.distilled_word_losses(
                logits, hidden.words, teacher_logits=teacher_logits, share=taught
            )
            return self._mean(softened)

        return FusedTerm(text, encoded.mask, None, loss)

    def _continue(
        self, model: MPlug, batch: Batch, encoded: Encoded, draws: Draws
    ) -> Float[Tensor, ""]:
        """Prefix LM: the rest of a caption, from the fused image and prefix.

        Where the prefix is empty the memory is the unfused image, as it is in captioning.
        """
        chosen = cut_captions(
            *batch.text(),
            words=self.words,
            empty_share=self.objectives.empty_prefix_share,
            uniforms=draws.prefix,
        )
        cut = send_all(chosen, encoded.ids.device)
        memory, memory_mask = _prefix_memory(model, encoded.image, cut)
        states = model.decoder.states(cut.ids, cut.mask, memory, memory_mask)
        logits = model.decoder.logits(states.flatten(0, 1).index_select(0, cut.places))
        return self._mean(prefix_lm.next_word_losses(logits, cut.words))

    def _tag(self, batch: Batch, encoded: Encoded) -> Float[Tensor, ""]:
        """Tags: the caption's telling words, each asked of some image token."""
        ids, mask = self.words.without_end(*batch.text())
        counted = send(mask & self.words.is_ordinary[ids], encoded.ids.device)
        return self._mean(self.tagging(encoded.image, encoded.ids, counted))

    def _mean(
        self, terms: Float[Tensor, "terms"], counted: Bool[Tensor, "terms"] | None = None
    ) -> Float[Tensor, ""]:
        return global_mean(terms, processes=self.processes, counted=counted)

    def _taught_share(self, step: int) -> float:
        """How much of a target is the teacher's: nothing at first, for it knows nothing yet."""
        ramp = self.objectives.distillation_ramp_steps
        return self.objectives.distillation * (min(1.0, step / ramp) if ramp else 1.0)

    def _hardness(self, step: int) -> float:
        """How hard ITM's negatives are: any at first, where a run asks for that."""
        ramp = self.objectives.hard_negatives_ramp_steps
        return min(1.0, (step - self.objectives.itm.start) / ramp) if ramp else 1.0


def _read_together(
    model: MPlug, texts: Sequence[Int[Tensor, "batch words"]], mask: Bool[Tensor, "batch words"]
) -> tuple[Text, ...]:
    """Texts of one mask by one call of the encoder: its weights' gradients are made once."""
    if not texts:
        return ()
    states = model.encode_text(torch.cat([*texts]), mask.repeat(len(texts), 1))
    return states.chunk(len(texts))


def _prefix_memory(
    model: MPlug, image: Image, cut: CutCaptions
) -> tuple[Float[Tensor, "batch keys dim"], Bool[Tensor, "batch keys"]]:
    """[image; prefix] after fusion; where there is no prefix, the image as it came."""
    seen = torch.ones(image.shape[:2], dtype=torch.bool, device=image.device)
    mask = torch.cat([seen, cut.seen], dim=1)
    memory = F.pad(image, (0, 0, 0, cut.seen.shape[1]))
    if len(cut.rows) == 0:
        return memory, mask
    text = model.encode_text(cut.prefix, cut.prefix_mask)
    fused = torch.cat(model.fuse(text, image[cut.rows], cut.prefix_mask), dim=1)
    return memory.index_copy(0, cut.rows, fused.to(memory.dtype)), mask


def _sight_learns(model: MPlug) -> bool:
    sight = (model.vision, model.visual_projection)
    return any(parameter.requires_grad for part in sight for parameter in part.parameters())
