"""What reads the states: projections, matching and words."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mplug.nn.dropout import Dropout


class VisualProjection(nn.Module):
    """Brings image states to the text's width: linear, LayerNorm, dropout."""

    def __init__(self, vision_dim: int, *, dim: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(vision_dim, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(
        self, image: Float[Tensor, "batch patches vision_dim"]
    ) -> Float[Tensor, "batch patches dim"]:
        """Image states at the text's width."""
        projected: Tensor = self.dropout(self.norm(self.linear(image)))
        return projected


class LanguageModelHead(nn.Module):
    """BERT's word predictor; its last layer is the word embeddings, passed in, so never a copy."""

    def __init__(self, dim: int, *, vocab_size: int, eps: float) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(
        self, states: Float[Tensor, "*places dim"], words: Float[Tensor, "vocab dim"]
    ) -> Float[Tensor, "*places vocab"]:
        """Scores of every vocabulary entry."""
        return F.linear(self.norm(F.gelu(self.transform(states))), words, self.bias)


class ClassHead(nn.Module):
    """Tells classes apart by a sequence's first token: two layers, ReLU between (ALBEF's)."""

    def __init__(self, dim: int, *, classes: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, classes)

    def forward(
        self, states: Float[Tensor, "batch words dim"]
    ) -> Float[Tensor, "batch num_classes"]:
        """Logits of every class."""
        logits: Tensor = self.output(F.relu(self.transform(states[:, 0])))
        return logits


class ClassPooling(nn.Module):
    """An image is its class token."""

    def forward(self, image: Float[Tensor, "batch patches dim"]) -> Float[Tensor, "batch dim"]:
        """The first token."""
        return image[:, 0]


class MaxPooling(nn.Module):
    """An image is the strongest answer of any patch, feature by feature."""

    def forward(self, image: Float[Tensor, "batch patches dim"]) -> Float[Tensor, "batch dim"]:
        """The largest value over the patches, the class token left out."""
        return image[:, 1:].amax(dim=1)
