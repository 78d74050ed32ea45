"""The text encoder: the lower layers of a BERT (mPLUG paper, section 3.1)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema import TextConfig
from mplug.nn.block import FeedForwardSublayer, SelfAttentionSublayer
from mplug.nn.embeddings import WordEmbeddings
from mplug.nn.masks import as_keys


class TextLayer(nn.Module):
    """Self-attention and feed-forward, post-norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.self_attention = SelfAttentionSublayer(
            config.hidden_size,
            num_heads=config.num_heads,
            eps=config.layer_norm_eps,
            dropout=config.dropout,
        )
        self.feed_forward = FeedForwardSublayer(
            config.hidden_size,
            hidden_dim=config.intermediate_size,
            eps=config.layer_norm_eps,
            dropout=config.dropout,
        )

    def forward(
        self,
        text: Float[Tensor, "batch words dim"],
        mask: Bool[Tensor, "batch #words words"] | None,
    ) -> Float[Tensor, "batch words dim"]:
        """The text after reading itself."""
        return self.feed_forward(self.self_attention(text, mask))


def word_embeddings(config: TextConfig) -> WordEmbeddings:
    """The embeddings that the text encoder and the decoder each hold for themselves."""
    return WordEmbeddings(
        config.hidden_size,
        vocab_size=config.vocab_size,
        max_positions=config.max_positions,
        eps=config.layer_norm_eps,
        dropout=config.dropout,
    )


class TextEncoder(nn.Module):
    """Word embeddings through post-norm layers, both ways."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = word_embeddings(config)
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.num_layers))

    def forward(
        self, ids: Int[Tensor, "batch words"], mask: Bool[Tensor, "batch words"]
    ) -> Float[Tensor, "batch words dim"]:
        """States of every word; those at padding mean nothing."""
        text = self.embeddings(ids)
        for layer in self.layers:
            text = layer(text, as_keys(mask))
        return text
