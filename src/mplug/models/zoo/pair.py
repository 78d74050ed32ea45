"""A model of words and a picture's parts, put together from a configuration.

Most single-stream and two-stream models of the field are one of these; see docs/zoo.md.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.config.schema_zoo import Head, PairConfig
from mplug.models.heads import LanguageModelHead
from mplug.models.initial import initialise, spread
from mplug.models.region_heads import RegionClassHead
from mplug.models.single_stream import Segment
from mplug.models.text import word_embeddings
from mplug.models.uniter_heads import PooledClassHead
from mplug.models.zoo.bodies import OneStream, image_dim, make_body
from mplug.models.zoo.choose import make_inputs
from mplug.models.zoo.heads import FirstWord, Product, SharedSpace
from mplug.models.zoo.inputs import TaggedWords
from mplug.models.zoo.view import Joint, Text, View
from mplug.nn.masks import prefix_mask

Hidden = Bool[Tensor, "batch regions"] | None
Written = Bool[Tensor, "batch words"]
Words = Float[Tensor, "batch words dim"]


class PairModel(nn.Module):
    """Inputs, the body in which they meet, and the heads that a configuration names."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        self.config = config
        text, body = config.text, config.body
        dim, eps, seen = text.hidden_size, text.layer_norm_eps, image_dim(body, text)

        words = word_embeddings(text)
        self.inputs = make_inputs(config, words)
        self.body = make_body(body, text)
        pooled = config.pooled_dim or dim
        if {"itm", "answer"} & set(config.heads):  # or no gradient would ever reach it
            self.pool: nn.Module = FirstWord(dim)
            if config.pool == "product":
                self.pool = Product(dim, image_dim=seen, pooled_dim=pooled)
        self.heads = nn.ModuleDict(
            {head: self._head(head, pooled=pooled, seen=seen, eps=eps) for head in config.heads}
        )
        self.apply(initialise)
        self.apply(partial(spread, width=dim))

    def _head(self, head: Head, *, pooled: int, seen: int, eps: float) -> nn.Module:
        config = self.config
        dim = config.text.hidden_size
        if head == "itm":
            return nn.Linear(pooled, 2)
        if head == "mlm":
            return LanguageModelHead(dim, vocab_size=config.text.vocab_size, eps=eps)
        if head == "answer":
            return PooledClassHead(pooled, classes=config.answers, eps=eps)
        if head == "itc":
            return SharedSpace(dim, image_dim=seen, embed_dim=config.embed_dim)
        assert config.image.kind == "regions"
        asked = config.image.feature_size if head == "mrfr" else config.image.classes
        return RegionClassHead(seen, classes=asked, eps=eps)

    def encode(
        self,
        text: Text,
        view: View,
        *,
        hidden: Hidden = None,
        tags: Text | None = None,
        written: Written | None = None,
    ) -> Joint:
        """Words and pictures after reading each other; where `hidden`, what a region shows is not.

        What is `written` sees the picture, and of the text only what is not written or stands
        before it (one stream only). Hide words by handing in ids with masks. The states of tags
        follow those of the words.
        """
        words = self.inputs.text(text, view, hidden)
        parts = [words, self.inputs.picture(view, hidden)]
        if tags is not None:
            assert isinstance(self.inputs, TaggedWords)
            parts.insert(1, self.inputs.tags(tags, start=text.ids.shape[1]))
        states = self._read(parts, None if written is None else [written])
        told = torch.cat(states[:-1], dim=1)
        return Joint(told, states[-1], states[-1][:, self.inputs.image.before :])

    def write(self, text: Text, view: View | None = None, *, prefix: Text | None = None) -> Words:
        """States that predict the word after each of `text`, which continues prefix and picture.

        Prefix and picture read each other, but nothing of what is written (one stream only).
        """
        parts: list[Segment] = []
        written: list[Tensor] = []
        start = 0
        if prefix is not None:
            start = prefix.ids.shape[1]
            parts.append(self.inputs.text(prefix, view))
            written.append(torch.zeros_like(prefix.mask))
        parts.append(self.inputs.text(text, view, start=start))
        written.append(torch.ones_like(text.mask))
        place = len(parts) - 1
        if view is not None:
            parts.append(self.inputs.picture(view))
        return self._read(parts, written)[place]

    def read_text(self, text: Text) -> Words:
        """A text without any picture (one stream only)."""
        return self._read([self.inputs.text(text)])[0]

    def read_image(self, view: View, *, hidden: Hidden = None) -> Joint:
        """A picture without any text; the text's states are empty (one stream only)."""
        (states,) = self._read([self.inputs.picture(view, hidden)])
        return Joint(states[:, :0], states, states[:, self.inputs.image.before :])

    def _read(
        self, parts: list[Segment], written: list[Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """The parts' states; `written` says of the first ones what is written, the rest is read."""
        if written is None:
            states: tuple[Tensor, ...] = self.body(*parts)
            return states
        assert isinstance(self.body, OneStream)
        read = [
            torch.zeros(part.states.shape[:2], dtype=torch.bool, device=part.states.device)
            for part in parts[len(written) :]
        ]
        return self.body.forward(*parts, may_look=prefix_mask(torch.cat([*written, *read], dim=1)))

    def match(self, joint: Joint) -> Float[Tensor, "batch 2"]:
        """Whether words and picture belong together: logits of no (0) and yes (1)."""
        logits: Tensor = self.heads["itm"](self.pool(joint.text, joint.image))
        return logits

    def answer(self, joint: Joint) -> Float[Tensor, "batch num_answers"]:
        """Logits of every answer to a question that has read the picture."""
        logits: Tensor = self.heads["answer"](self.pool(joint.text, joint.image))
        return logits

    def word_logits(self, text: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places vocab"]:
        """What stood at masked places, or comes next; apply it only where it is read."""
        logits: Tensor = self.heads["mlm"](text, self.inputs.words.words.scoring_weight())
        return logits

    def hidden_features(
        self, regions: Float[Tensor, "*places dim"]
    ) -> Float[Tensor, "*places features"]:
        """What hidden regions show, as features; apply it only there."""
        features: Tensor = self.heads["mrfr"](regions)
        return features

    def hidden_class_logits(
        self, regions: Float[Tensor, "*places dim"]
    ) -> Float[Tensor, "*places num_classes"]:
        """What hidden regions show, as a class; apply it only there."""
        logits: Tensor = self.heads["mrc"](regions)
        return logits

    @property
    def space(self) -> SharedSpace:
        """Where texts and pictures that were read alone are compared."""
        space = self.heads["itc"]
        assert isinstance(space, SharedSpace)
        return space
