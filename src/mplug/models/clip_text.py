"""CLIP's text encoders: a causal transformer, and the mean of word embeddings.

Both read `[start] words [end]` with padding behind, and give one vector for a text.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema_clip import BagOfWordsConfig, CausalTextConfig
from mplug.nn.block import PreNormBlock
from mplug.nn.masks import causal_mask

Ids = Int[Tensor, "batch words"]
Mask = Bool[Tensor, "batch words"]  # True from the start token to the end token


class CausalTextEncoder(nn.Module):
    """Pre-norm blocks in which a word sees those before it; the end token has seen them all.

    Padding needs no mask: it stands behind every word that counts.
    """

    def __init__(self, config: CausalTextConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.words = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Parameter(torch.zeros(config.max_positions, width))
        self.blocks = nn.ModuleList(
            PreNormBlock(
                width,
                num_heads=config.num_heads,
                hidden_dim=config.intermediate_size,
                eps=eps,
                dropout=config.dropout,
            )
            for _ in range(config.num_layers)
        )
        self.output_norm = nn.LayerNorm(width, eps=eps)

    def states(self, ids: Ids) -> Float[Tensor, "batch words dim"]:
        """States of every word, normalised; those at padding mean nothing.

        Raises:
            ValueError: the text is longer than the positions learned.
        """
        batch, length = ids.shape
        if length > len(self.positions):
            raise ValueError(f"{length} tokens, but the model has {len(self.positions)} positions")
        mask = causal_mask(length, keys=length, device=ids.device).expand(batch, -1, -1)
        x = self.words(ids) + self.positions[:length]
        for block in self.blocks:
            x = block(x, mask)
        normalised: Tensor = self.output_norm(x)
        return normalised

    def forward(self, ids: Ids, mask: Mask) -> Float[Tensor, "batch dim"]:
        """The state of each text's last token."""
        last = mask.sum(dim=1) - 1
        return self.states(ids)[torch.arange(len(ids), device=ids.device), last]


class BagOfWordsEncoder(nn.Module):
    """The mean of the words' embeddings, normalised; start, end, padding and order do not count."""

    def __init__(self, config: BagOfWordsConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids: Ids, mask: Mask) -> Float[Tensor, "batch dim"]:
        """The mean of each text's words; zeros, normalised, for a text without any."""
        # A word has a token before it and one behind it: this leaves out both ends.
        inner = torch.zeros_like(mask)
        inner[:, 1:-1] = mask[:, 1:-1] & mask[:, 2:]
        share = inner / inner.sum(dim=1, keepdim=True).clamp(min=1)
        words = self.words(ids)
        mean: Tensor = torch.einsum("bw,bwd->bd", share.to(words.dtype), words)
        normalised: Tensor = self.output_norm(mean)
        return normalised
