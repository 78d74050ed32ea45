"""The causal text decoder: reads a memory while it writes (mPLUG paper, section 3.1).

It serves prefix language modelling, captions, answers and box tokens alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema import DecoderConfig, TextConfig
from mplug.models.heads import LanguageModelHead
from mplug.models.text import word_embeddings
from mplug.nn.attention import KeyValues
from mplug.nn.block import CrossAttentionSublayer, FeedForwardSublayer, SelfAttentionSublayer
from mplug.nn.masks import as_keys, causal_mask

Memory = Float[Tensor, "batch keys dim"]
MemoryMask = Bool[Tensor, "batch keys"] | None


@dataclass(frozen=True)
class DecoderCache:
    """What one decoding keeps: the memory's keys and values, and those of the words so far.

    The memory has one row for each image, the words one for each hypothesis: the hypotheses of an
    image are consecutive and share its row.
    """

    memory: tuple[KeyValues, ...]
    memory_mask: MemoryMask
    words: tuple[KeyValues, ...] = ()
    length: int = 0

    def reorder(self, indices: Int[Tensor, "rows"]) -> Self:
        """The hypotheses at `indices`; each must stay with its image, whose cache does not move."""
        return replace(self, words=tuple(layer.reorder(indices) for layer in self.words))

    def select(self, images: Int[Tensor, "kept"], *, rows: Int[Tensor, "rows"]) -> Self:
        """Only some images, in their order, and the hypotheses `rows` that belong to them."""
        if len(images) == len(self.memory[0].keys):  # all of them: nothing large is copied
            return self.reorder(rows)
        mask = None if self.memory_mask is None else self.memory_mask[images]
        memory = tuple(layer.reorder(images) for layer in self.memory)
        return replace(self.reorder(rows), memory=memory, memory_mask=mask)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the memory, feed-forward; post-norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        dim, eps, dropout = config.hidden_size, config.layer_norm_eps, config.dropout
        self.self_attention = SelfAttentionSublayer(
            dim, num_heads=config.num_heads, eps=eps, dropout=dropout
        )
        self.cross_attention = CrossAttentionSublayer(
            dim, num_heads=config.num_heads, eps=eps, dropout=dropout
        )
        self.feed_forward = FeedForwardSublayer(
            dim, hidden_dim=config.intermediate_size, eps=eps, dropout=dropout
        )

    def forward(
        self,
        words: Float[Tensor, "rows words dim"],
        memory: Memory,
        words_mask: Bool[Tensor, "#rows words words"],
        memory_mask: MemoryMask,
    ) -> Float[Tensor, "rows words dim"]:
        """All words at once, as in training."""
        words = self.self_attention(words, words_mask.expand(words.shape[0], -1, -1))
        seen = self.project(memory)
        read = self.cross_attention.attention.read(words, seen, as_keys(memory_mask))
        return self.feed_forward(self.cross_attention.add(words, read))

    def project(self, memory: Memory) -> KeyValues:
        """The memory as this layer's cross-attention reads it."""
        return self.cross_attention.attention.project(memory)

    def step(
        self,
        words: Float[Tensor, "rows new dim"],
        *,
        past: KeyValues | None,
        memory: KeyValues,
        memory_mask: MemoryMask,
    ) -> tuple[Float[Tensor, "rows new dim"], KeyValues]:
        """Only the new words, reading the cached ones; returns them and the longer cache."""
        attention = self.self_attention.attention
        queries, present = attention.itself(words)
        present = present if past is None else past.append(present)
        rows, new = words.shape[:2]
        causal = None
        if new > 1:  # a single new word sees all
            mask = causal_mask(new, keys=present.keys.shape[2], device=words.device)
            causal = mask.expand(rows, -1, -1)
        read = attention.answer(queries, present, causal)
        return self._behind(words, read, memory, memory_mask), present

    def write(
        self,
        words: Float[Tensor, "rows 1 dim"],
        *,
        kept: KeyValues,
        place: Int[Tensor, "1"],
        written: Bool[Tensor, "rows 1 places"],
        memory: KeyValues,
        memory_mask: MemoryMask,
    ) -> Float[Tensor, "rows 1 dim"]:
        """`step` of one new word, put at its place in `kept`, which has room for all words.

        `written` are the places that have a word by then.
        """
        attention = self.self_attention.attention
        queries, new = attention.itself(words)
        kept.write(new, place)
        read = attention.answer(queries, kept, written)
        return self._behind(words, read, memory, memory_mask)

    def _behind(
        self,
        words: Float[Tensor, "rows new dim"],
        read: Float[Tensor, "rows new dim"],
        memory: KeyValues,
        memory_mask: MemoryMask,
    ) -> Float[Tensor, "rows new dim"]:
        """What follows once the words have read each other."""
        words = self.self_attention.add(words, read)
        read = self.cross_attention.attention.read(words, memory, as_keys(memory_mask))
        words = self.cross_attention.add(words, read)
        return self.feed_forward(words)


class TextDecoder(nn.Module):
    """Embeddings, causal layers over a memory, and a language-model head tied to the embeddings."""

    def __init__(self, text: TextConfig, decoder: DecoderConfig) -> None:
        super().__init__()
        self.embeddings = word_embeddings(text)
        self.layers = nn.ModuleList(DecoderLayer(text) for _ in range(decoder.num_layers))
        self.head = LanguageModelHead(
            text.hidden_size, vocab_size=text.vocab_size, eps=text.layer_norm_eps
        )

    def states(
        self,
        ids: Int[Tensor, "rows words"],
        mask: Bool[Tensor, "rows words"] | None,
        memory: Memory,
        memory_mask: MemoryMask = None,
    ) -> Float[Tensor, "rows words dim"]:
        """States that predict the word after each; `mask` None means no padding.

        Several consecutive rows may share a row of `memory`, which is projected once for them.
        """
        length = ids.shape[1]
        words_mask = causal_mask(length, keys=length, device=ids.device)[None]
        if mask is not None:
            words_mask = words_mask & mask[:, None]
        words = self.embeddings(ids)
        for layer in self.layers:
            words = layer(words, memory, words_mask, memory_mask)
        return words

    def logits(self, states: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places vocab"]:
        """Scores of every vocabulary entry; apply it only where they are read."""
        return self.head(states, self.embeddings.words.scoring_weight())

    def forward(
        self,
        ids: Int[Tensor, "batch words"],
        mask: Bool[Tensor, "batch words"] | None,
        memory: Memory,
        memory_mask: MemoryMask = None,
    ) -> Float[Tensor, "batch words vocab"]:
        """Logits of the word after each."""
        return self.logits(self.states(ids, mask, memory, memory_mask))

    def start(self, memory: Memory, memory_mask: MemoryMask = None) -> DecoderCache:
        """Project the memory once for every layer; any number of hypotheses may read it."""
        layers = cast(Iterable[DecoderLayer], self.layers)
        seen = tuple(layer.project(memory).laid_out() for layer in layers)
        return DecoderCache(seen, memory_mask)

    def step(
        self, ids: Int[Tensor, "rows new"], cache: DecoderCache
    ) -> tuple[Float[Tensor, "rows vocab"], DecoderCache]:
        """Logits after the last of the new words, and the cache that holds them."""
        words = self.embeddings(ids, start=cache.length)
        grown: list[KeyValues] = []
        for place, layer in enumerate(cast(Iterable[DecoderLayer], self.layers)):
            words, present = layer.step(
                words,
                past=cache.words[place] if cache.words else None,
                memory=cache.memory[place],
                memory_mask=cache.memory_mask,
            )
            grown.append(present)
        longer = replace(cache, words=tuple(grown), length=cache.length + ids.shape[1])
        return self.logits(words[:, -1]), longer


def shifted(
    ids: Int[Tensor, "batch words"], mask: Bool[Tensor, "batch words"]
) -> tuple[Int[Tensor, "batch inputs"], Bool[Tensor, "batch inputs"], Int[Tensor, "batch inputs"]]:
    """What a decoder reads, its padding mask, and what it should say next (-100 at padding)."""
    targets = torch.where(mask[:, 1:], ids[:, 1:], -100)
    return ids[:, :-1], mask[:, :-1], targets
