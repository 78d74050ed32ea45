"""Pretraining: four objectives in one step, from one visual pass (mPLUG paper, section 3.3).

ITC aligns the two encoders, ITM judges fused pairs against hard negatives, MLM fills in words,
prefix LM continues captions. A momentum teacher gives ITC its candidates and softens ITC and MLM.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema import ObjectivesConfig, OptimConfig, Term
from mplug.data.batch import Batch
from mplug.models.decoder import shifted
from mplug.models.mplug import MPlug
from mplug.objectives import contrastive, masked_lm, matching, momentum, prefix_lm
from mplug.tasks.bank import Bank, gather_bank
from mplug.tasks.draws import Draws, draw
from mplug.tasks.groups import parameter_groups
from mplug.tasks.means import global_mean, over_processes, summarise
from mplug.tasks.recall import recall_at_1
from mplug.tasks.tagging import Tagging
from mplug.tasks.words import Words
from mplug.training.distributed import Processes
from mplug.training.task import Group, StepResult

NOT_TAUGHT = ("decoder", "itm_head")  # no target of any objective comes from these
VERDICTS = {
    "itc": "at chance",
    "itm": "at chance",
    "mlm": "no better than blind",
    "prefix_lm": "no better than blind",
}
VALIDATION = 2**40  # a step that no training reaches, whose draws are validation's
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


class Pretraining(nn.Module):
    """The model, its teacher and queues, and the losses of one step."""

    def __init__(
        self,
        model: MPlug,
        *,
        objectives: ObjectivesConfig,
        optim: OptimConfig,
        words: Words,
        longest: int,
        seed: int,
        processes: Processes,
        validation: Callable[[], Sequence[Batch]],
    ) -> None:
        super().__init__()
        self.model = model
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
        self.optim, self.seed, self.processes = optim, seed, processes
        self.validation = validation
        self._part = 0

    def before_step(self, step: int) -> None:
        """Let the teacher follow the student."""
        self._part = 0
        share = momentum.warmed_up(self.objectives.momentum, step=step)
        momentum.update_average(self.teacher, self.model, momentum=share)

    def after_step(self) -> None:
        """Keep the temperature in bounds."""
        contrastive.clamp_temperature(self.model.temperature)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the teacher, whose targets carry no dropout."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Batch, step: int) -> StepResult:
        """The weighted sum of the objectives that are on at this step, and what to log."""
        losses, logs = self.losses(batch, step, names=self.active(step), part=self._part)
        self._part += 1
        terms = [self._term(name).weight * loss for name, loss in losses.items()]
        return StepResult(torch.stack(terms).sum(), logs)

    def active(self, step: int) -> tuple[str, ...]:
        """The objectives that count at this step."""
        terms = {name: self._term(name) for name in OBJECTIVES}
        return tuple(
            name
            for name, term in terms.items()
            if term.weight > 0
            and step >= term.start
            and step % term.every == term.offset % term.every
        )

    def _term(self, name: str) -> Term:
        term: Term = getattr(self.objectives, name)
        return term

    def losses(
        self, batch: Batch, step: int, *, names: Collection[str], part: int, remember: bool = True
    ) -> tuple[Logs, Logs]:
        """The named losses, each a mean over the global batch, and what to log of them.

        `remember` is for training: ITC compares with the queue and extends it, and the teacher
        softens targets. Without it ITC's candidates are the batch alone, so that what is measured
        is not which data a pair is from, and targets are what is true.

        Softened losses are logged without the softening, which their blind values know nothing of.
        """
        taught = self._taught_share(step) if remember else 0.0
        encoded, draws = self._encode(batch), self._draw(batch, step, part)
        losses: Logs = {}
        logs: Logs = {}
        if "itc" in names or "itm" in names:
            contrast, loss = self._contrast(batch, encoded, logs, taught=taught, remember=remember)
            if "itc" in names:
                losses["itc"] = loss
            if "itm" in names:
                losses["itm"] = self._match(
                    encoded, contrast, draws, logs, hardness=self._hardness(step)
                )
        if "mlm" in names:
            losses["mlm"] = self._fill_in(encoded, draws, logs, taught=taught)
        if "prefix_lm" in names:
            losses["prefix_lm"] = self._continue(batch, encoded, draws)
        if "tags" in names:
            losses["tags"] = self._tag(encoded)
        return losses, {**{name: loss.detach() for name, loss in losses.items()}, **logs}

    @torch.no_grad()
    def blind(self, batch: Batch, step: int, *, part: int = 0) -> dict[str, float]:
        """The word objectives, asked for the same words, of the same batch with blank images."""
        blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
        names = [name for name in ("mlm", "prefix_lm") if self._term(name).weight > 0]
        _, logs = self.losses(blank, step, names=names, part=part, remember=False)
        return {
            f"{name}_blind": over_processes(logs[name], processes=self.processes) for name in names
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Losses on validation batches beside their blind values, verdicts, and recall."""
        names = [name for name in VERDICTS if self._term(name).weight > 0]
        pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        embeddings = []
        for part, batch in enumerate(self.validation()):
            moved = batch.to(self.processes.device)
            _, logs = self.losses(moved, VALIDATION, names=names, part=part, remember=False)
            blind = self.blind(moved, VALIDATION, part=part)
            for name in names:
                value = over_processes(logs[name], processes=self.processes)
                pairs[name].append(
                    (value, blind.get(f"{name}_blind", float(logs.get(f"{name}_blind", 0))))
                )
            embeddings.append(self._embed(moved))
        recall = recall_at_1(*(torch.cat(parts) for parts in zip(*embeddings, strict=True)))
        figures = summarise(pairs, otherwise=VERDICTS)
        return figures | {f"validation_{name}": value for name, value in recall.items()}

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors of everyone's images and texts, and which images and captions they are."""
        ids, mask = self.words.without_end(batch.ids, batch.mask)
        image = self.model.image_embedding(self.model.encode_image(batch.pixels))
        text = self.model.text_embedding(self.model.encode_text(ids, mask))
        gather = self.processes.gather
        return gather(image), gather(text), gather(batch.image_ids), gather(batch.caption_ids)

    def parameter_groups(self) -> list[Group]:
        """Everything but the teacher."""
        return parameter_groups(self, model=self.model, optim=self.optim)

    def files(self) -> dict[str, Callable[[Path], None]]:
        """Nothing beside the state."""
        return {}

    def _encode(self, batch: Batch) -> Encoded:
        ids, mask = self.words.without_end(batch.ids, batch.mask)
        image = self.model.encode_image(batch.pixels)
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
            device=batch.ids.device,
        )

    def _contrast(
        self, batch: Batch, encoded: Encoded, logs: Logs, *, taught: float, remember: bool
    ) -> tuple[Contrast, Float[Tensor, ""]]:
        """ITC against the teacher's features of the global batch and of the queue."""
        model = self.model
        bank = gather_bank(
            self.teacher,
            self.queue if remember else None,
            image=encoded.teacher_image,
            ids=encoded.ids,
            mask=encoded.mask,
            batch=batch,
            processes=self.processes,
        )
        text = model.encode_text(encoded.ids, encoded.mask)
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
        encoded: Encoded,
        contrast: Contrast,
        draws: Draws,
        logs: Logs,
        *,
        hardness: float,
    ) -> Float[Tensor, ""]:
        """ITM on every pair, and for its image and its text one hard negative each."""
        choose = partial(matching.hard_negatives, forbidden=contrast.same, hardness=hardness)
        wrong_image = choose(contrast.text_to_image, uniforms=draws.negative_images)
        wrong_text = choose(contrast.image_to_text, uniforms=draws.negative_texts)
        images = self.processes.gather_with_gradient(encoded.image)
        texts, masks = self._gather_texts(contrast.text, encoded.mask)
        rows = contrast.text.shape[0]
        own = torch.arange(rows, device=texts.device) + self.processes.rank * rows
        text_rows = torch.cat([own, own, wrong_text.indices])
        image_rows = torch.cat([own, wrong_image.indices, own])
        fused = self.model.fuse_text(texts[text_rows], images[image_rows], masks[text_rows])
        logits = self.model.match(fused)
        labels = matching.labels(wrong_image.valid, wrong_text.valid)
        counted = labels >= 0
        matched_share = images.shape[0] / self.processes.all_sum(counted.sum())
        logs["itm_blind"] = matching.blind_loss(matched_share)
        right = (logits.detach().argmax(dim=1) == labels)[counted]
        logs["itm_accuracy"] = self._mean(right.float())
        entropies = torch.cat([each.entropy[each.valid] for each in (wrong_image, wrong_text)])
        logs["hard_negative_entropy"] = self._mean(entropies)
        return self._mean(matching.matching(logits, labels)[counted])

    def _gather_texts(
        self, text: Float[Tensor, "batch words dim"], mask: Bool[Tensor, "batch words"]
    ) -> tuple[Float[Tensor, "everyone longest dim"], Bool[Tensor, "everyone longest"]]:
        """The texts of all processes, which may be padded to different lengths."""
        if self.processes.world > 1:
            missing = self.longest - text.shape[1]
            text, mask = F.pad(text, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        return self.processes.gather_with_gradient(text), self.processes.gather(mask)

    def _fill_in(
        self, encoded: Encoded, draws: Draws, logs: Logs, *, taught: float
    ) -> Float[Tensor, ""]:
        """MLM: hidden words, read off the fused text; the teacher reads the same hidden text."""
        hidden = masked_lm.mask_words(
            encoded.ids,
            maskable=encoded.mask & self.words.is_ordinary[encoded.ids],
            share=self.objectives.mask_share,
            mask_id=self.words.mask_id,
            replacements=self.words.ordinary,
            uniforms=draws.masking[:, : encoded.ids.shape[1]],
        )

        def word_logits(model: MPlug, image: Tensor) -> Tensor:
            text = model.encode_text(hidden.ids, encoded.mask)
            fused = model.fuse_text(text, image, encoded.mask)
            return model.masked_word_logits(fused[hidden.asked])

        logits, words = word_logits(self.model, encoded.image), encoded.ids[hidden.asked]
        plain = self._mean(masked_lm.word_losses(logits, words))
        logs["mlm"] = plain.detach()
        if taught == 0.0:
            return plain
        with torch.no_grad():
            teacher_logits = word_logits(self.teacher, encoded.teacher_image)
        return self._mean(
            masked_lm.distilled_word_losses(
                logits, words, teacher_logits=teacher_logits, share=taught
            )
        )

    def _continue(self, batch: Batch, encoded: Encoded, draws: Draws) -> Float[Tensor, ""]:
        """Prefix LM: the rest of a caption, from the fused image and prefix.

        Where the prefix is empty the memory is the unfused image, as it is in captioning.
        """
        model = self.model
        cut = prefix_lm.split(
            batch.ids,
            batch.mask,
            prefix_words=prefix_lm.split_lengths(
                batch.mask.sum(dim=1) - 2,
                empty_share=self.objectives.empty_prefix_share,
                uniforms=draws.prefix,
            ),
            pad_id=self.words.pad_id,
        )
        memory, memory_mask = self._prefix_memory(encoded.image, cut)
        ids, mask, targets = shifted(cut.rest, cut.rest_mask)
        wanted = targets >= 0
        states = model.decoder.states(ids, mask, memory, memory_mask)[wanted]
        logits = model.decoder.logits(states)
        return self._mean(prefix_lm.next_word_losses(logits, targets[wanted]))

    def _prefix_memory(
        self, image: Float[Tensor, "batch patches dim"], cut: prefix_lm.PrefixSplit
    ) -> tuple[Float[Tensor, "batch keys dim"], Bool[Tensor, "batch keys"]]:
        """[image; prefix] after fusion; where there is no prefix, the image as it came."""
        seen = torch.ones(image.shape[:2], dtype=torch.bool, device=image.device)
        mask = torch.cat([seen, cut.prefix_mask & ~cut.empty[:, None]], dim=1)
        memory = F.pad(image, (0, 0, 0, cut.prefix.shape[1]))
        rows = (~cut.empty).nonzero()[:, 0]
        if len(rows) == 0:
            return memory, mask
        prefix_mask = cut.prefix_mask[rows]
        text = self.model.encode_text(cut.prefix[rows], prefix_mask)
        fused = torch.cat(self.model.fuse(text, image[rows], prefix_mask), dim=1)
        return memory.index_copy(0, rows, fused.to(memory.dtype)), mask

    def _tag(self, encoded: Encoded) -> Float[Tensor, ""]:
        """Tags: the caption's telling words, each asked of some image token."""
        counted = encoded.mask & self.words.is_ordinary[encoded.ids]
        return self._mean(self.tagging(encoded.image, encoded.ids, counted))

    def _mean(self, terms: Float[Tensor, "terms"]) -> Float[Tensor, ""]:
        return global_mean(terms, processes=self.processes)

    def _taught_share(self, step: int) -> float:
        """How much of a target is the teacher's: nothing at first, for it knows nothing yet."""
        ramp = self.objectives.distillation_ramp_steps
        return self.objectives.distillation * (min(1.0, step / ramp) if ramp else 1.0)

    def _hardness(self, step: int) -> float:
        """How hard ITM's negatives are: any at first, where a run asks for that."""
        ramp = self.objectives.hard_negatives_ramp_steps
        return min(1.0, (step - self.objectives.itm.start) / ramp) if ramp else 1.0
