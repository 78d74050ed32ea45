"""A pair as one vector, and one space for texts and pictures read alone."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mplug.models.uniter_heads import Pooler

Text = Float[Tensor, "batch words dim"]
Image = Float[Tensor, "batch places image_dim"]
Embedding = Float[Tensor, "batch embed"]

TEMPERATURE = 0.07  # at the start; it is learned


class FirstWord(nn.Module):
    """A pair is its text's first token (BERT's pooler)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pooler = Pooler(dim)

    def forward(self, text: Text, image: Image) -> Float[Tensor, "batch pooled"]:
        """The pooled pair."""
        pooled: Tensor = self.pooler(text)
        return pooled


class Product(nn.Module):
    """A pair is its text's first token times its picture's, feature by feature (ViLBERT)."""

    def __init__(self, dim: int, *, image_dim: int, pooled_dim: int) -> None:
        super().__init__()
        self.text = nn.Linear(dim, pooled_dim)
        self.image = nn.Linear(image_dim, pooled_dim)

    def forward(self, text: Text, image: Image) -> Float[Tensor, "batch pooled"]:
        """The pooled pair."""
        return F.relu(self.text(text[:, 0])) * F.relu(self.image(image[:, 0]))


class SharedSpace(nn.Module):
    """A text alone and a picture alone as unit vectors of one space, from the first place of each.

    The temperature is kept as the logarithm of its inverse, as CLIP's.
    """

    def __init__(self, dim: int, *, image_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.text = nn.Linear(dim, embed_dim)
        self.image = nn.Linear(image_dim, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def text_embedding(self, text: Text) -> Embedding:
        """Unit vectors of texts."""
        return F.normalize(self.text(text[:, 0]), dim=-1)

    def image_embedding(self, image: Image) -> Embedding:
        """Unit vectors of pictures."""
        return F.normalize(self.image(image[:, 0]), dim=-1)

    @property
    def temperature(self) -> Float[Tensor, ""]:
        """What cosines are divided by."""
        return (-self.logit_scale).exp()
