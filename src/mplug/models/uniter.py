"""UNITER: words and regions of a picture through one stack of layers, in which all read all.

Chen et al., "UNITER: UNiversal Image-TExt Representation Learning" (arXiv 1909.11740), section 3.
"""

import copy
from collections.abc import Collection
from functools import partial
from typing import NamedTuple, TypeVar, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema_uniter import UniterConfig, UniterSkill
from mplug.models.heads import LanguageModelHead
from mplug.models.initial import NEW_WEIGHT_STD, initialise, spread
from mplug.models.region_heads import RegionClassHead, RegionFeatureHead
from mplug.models.single_stream import PostNormStack, Segment, read_together
from mplug.models.text import word_embeddings
from mplug.models.uniter_heads import (
    PooledClassHead,
    Pooler,
    ReferenceHead,
    comparison_head,
)
from mplug.nn.regions import RegionEmbeddings, Regions

Ids = Int[Tensor, "batch words"]
TextMask = Bool[Tensor, "batch words"]
Text = Float[Tensor, "batch words dim"]
Head = TypeVar("Head", bound=nn.Module)

YES = 1  # which of the matching head's two logits says that a pair belongs together
RELATIONS = 3


class Joint(NamedTuple):
    """States of words and regions that have read each other; those at padding mean nothing."""

    text: Float[Tensor, "batch words dim"]
    regions: Float[Tensor, "batch regions dim"]


class Uniter(nn.Module):
    """One model that matches words with regions, and recalls either from the other."""

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.config = config
        text, regions = config.text, config.regions
        dim, eps = text.hidden_size, text.layer_norm_eps

        self.word_embeddings = word_embeddings(text)
        self.region_embeddings = RegionEmbeddings(
            dim, feature_size=regions.feature_size, eps=eps, dropout=text.dropout
        )
        self.stack = PostNormStack(text)

        self.pooler = Pooler(dim)
        self.itm_head = nn.Linear(dim, 2)
        self.mlm_head = LanguageModelHead(dim, vocab_size=text.vocab_size, eps=eps)
        self.feature_head = RegionFeatureHead(dim, feature_size=regions.feature_size, eps=eps)
        self.class_head = RegionClassHead(dim, classes=regions.classes, eps=eps)
        self._draw_weights()

        self.answer_head: PooledClassHead | None = None
        self.rank_head: nn.Linear | None = None
        self.second_segment: nn.Parameter | None = None
        self.compare_head: nn.Module | None = None
        self.reference_head: ReferenceHead | None = None
        self.entail_head: PooledClassHead | None = None
        self.add_parts()

    def add_parts(self) -> None:
        """New parts for those of the config's skills that still lack theirs.

        A rank starts as what the matching head says for yes; a second picture's segment as the
        first's. To teach a model more, use `with_skills`, which leaves the old one as it was.
        """
        skills, text = self.config.skills, self.config.text
        dim, eps = text.hidden_size, text.layer_norm_eps
        if "answer" in skills and self.answer_head is None:
            answers = PooledClassHead(dim, classes=self.config.answers, eps=eps)
            self.answer_head = self._drawn(answers)
        if "retrieve" in skills and self.rank_head is None:
            self.rank_head = self._drawn(nn.Linear(dim, 1))
            with torch.no_grad():
                self.rank_head.weight.copy_(self.itm_head.weight[YES : YES + 1])
                self.rank_head.bias.copy_(self.itm_head.bias[YES : YES + 1])
        if "compare" in skills and self.compare_head is None:
            self.second_segment = nn.Parameter(self.region_embeddings.segment.detach().clone())
            self.compare_head = self._drawn(comparison_head(self.config))
        if "ground" in skills and self.reference_head is None:
            self.reference_head = self._drawn(ReferenceHead(dim))
        if "entail" in skills and self.entail_head is None:
            self.entail_head = self._drawn(PooledClassHead(dim, classes=RELATIONS, eps=eps))

    def _drawn(self, head: Head) -> Head:
        """With BERT's weights, where this model is."""
        return head.apply(initialise).to(self.itm_head.weight)

    def _draw_weights(self) -> None:
        """New weights from torch's current seed."""
        self.apply(initialise)
        self.stack.apply(partial(spread, width=self.config.text.hidden_size))
        nn.init.normal_(self.region_embeddings.segment, std=NEW_WEIGHT_STD)
        nn.init.normal_(self.region_embeddings.hidden_feature, std=NEW_WEIGHT_STD)

    def encode(
        self,
        ids: Ids,
        text_mask: TextMask,
        regions: Regions,
        *,
        hidden: Bool[Tensor, "batch regions"] | None = None,
    ) -> Joint:
        """Words and regions after reading each other; where `hidden`, what a region shows is not.

        Hide words by handing in ids with masks.
        """
        words = Segment(self.word_embeddings(ids), text_mask)
        shown = Segment(self.region_embeddings(regions, hidden=hidden), regions.mask)
        return Joint(*self._read(words, shown))

    def _read(self, *segments: Segment) -> tuple[Tensor, ...]:
        return read_together(self.stack, *segments)

    def match(self, text: Text) -> Float[Tensor, "batch 2"]:
        """Whether words and regions belong together: logits of no (0) and yes (1)."""
        logits: Tensor = self.itm_head(self.pooler(text))
        return logits

    def masked_word_logits(
        self, text: Float[Tensor, "*places dim"]
    ) -> Float[Tensor, "*places vocab"]:
        """What stood at masked places of the text; apply it only there."""
        logits: Tensor = self.mlm_head(text, self.word_embeddings.words.scoring_weight())
        return logits

    def hidden_features(
        self, regions: Float[Tensor, "*places dim"]
    ) -> Float[Tensor, "*places features"]:
        """What hidden regions show, as features; apply it only there."""
        features: Tensor = self.feature_head(regions, self.region_embeddings.feature_linear.weight)
        return features

    def hidden_class_logits(
        self, regions: Float[Tensor, "*places dim"]
    ) -> Float[Tensor, "*places num_classes"]:
        """What hidden regions show, as a class; apply it only there."""
        logits: Tensor = self.class_head(regions)
        return logits

    def answer(self, text: Text) -> Float[Tensor, "batch num_answers"]:
        """Logits of every answer to a question that has read the regions.

        Raises:
            ValueError: the config's skills do not name "answer".
        """
        logits: Tensor = self._had(self.answer_head, "answer")(self.pooler(text))
        return logits

    def rank(self, text: Text) -> Float[Tensor, "batch"]:
        """How well words and regions go together: a logit, to be compared among candidates.

        Raises:
            ValueError: the config's skills do not name "retrieve".
        """
        logits: Tensor = self._had(self.rank_head, "retrieve")(self.pooler(text))
        return logits[:, 0]

    def compare(
        self, ids: Ids, text_mask: TextMask, first: Regions, second: Regions
    ) -> Float[Tensor, "batch 2"]:
        """Whether a statement holds of two pictures: logits of false (0) and true (1).

        Raises:
            ValueError: the config's skills do not name "compare".
        """
        head = self._had(self.compare_head, "compare")
        words = Segment(self.word_embeddings(ids), text_mask)
        one = Segment(self.region_embeddings(first), first.mask)
        two = Segment(self.region_embeddings(second, segment=self.second_segment), second.mask)
        logits: Tensor = head(self._read, self.pooler, words, one, two)
        return logits

    def refer(
        self,
        regions: Float[Tensor, "batch regions dim"],
        mask: Bool[Tensor, "batch regions"] | None = None,
    ) -> Float[Tensor, "batch regions"]:
        """Which region a phrase that has read them means: logits, minus infinity where masked.

        Raises:
            ValueError: the config's skills do not name "ground".
        """
        logits: Tensor = self._had(self.reference_head, "ground")(regions, mask)
        return logits

    def entail(self, text: Text) -> Float[Tensor, "batch 3"]:
        """Whether words and regions contradict (0), leave it open (1) or entail (2): logits.

        Raises:
            ValueError: the config's skills do not name "entail".
        """
        logits: Tensor = self._had(self.entail_head, "entail")(self.pooler(text))
        return logits

    def _had(self, head: Head | None, skill: UniterSkill) -> Head:
        if head is None:
            raise ValueError(f'skills {self.config.skills} do not name "{skill}"')
        return head


def with_skills(
    model: Uniter, skills: Collection[UniterSkill], *, answers: int | None = None
) -> Uniter:
    """A copy of `model` that has these skills too: same weights, new heads where skills need them.

    `answers` says among how many the copy chooses, if it is to answer; heads are drawn from
    torch's current seed.

    Raises:
        ValueError: the model chooses among another number of answers already.
    """
    if answers is not None and model.answer_head is not None and answers != model.config.answers:
        raise ValueError(f"the model chooses among {model.config.answers} answers, not {answers}")
    wanted = {*model.config.skills, *skills}
    changed = {
        "skills": sorted(wanted, key=get_args(UniterSkill).index),
        "answers": model.config.answers if answers is None else answers,
    }
    grown = copy.deepcopy(model)
    grown.config = UniterConfig.model_validate({**model.config.model_dump(), **changed})
    grown.add_parts()
    return grown
