"""What is asked of hidden regions: what they looked like, and what they are.

UNITER (arXiv 1909.11740), section 3.2, masked region modelling.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class RegionFeatureHead(nn.Module):
    """Recalls a region's features through the transposed weight of their own projection."""

    def __init__(self, dim: int, *, feature_size: int, eps: float) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.bias = nn.Parameter(torch.zeros(feature_size))

    def forward(
        self, states: Float[Tensor, "*places dim"], projection: Float[Tensor, "dim features"]
    ) -> Float[Tensor, "*places features"]:
        """The features that stood there; `projection` is passed in, so never a copy."""
        recalled: Tensor = self.norm(F.gelu(self.transform(states))) @ projection
        return recalled + self.bias


class RegionClassHead(nn.Module):
    """Names a region among the classes of a detector, or of whatever labelled the regions."""

    def __init__(self, dim: int, *, classes: int, eps: float) -> None:
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.output = nn.Linear(dim, classes)

    def forward(self, states: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places num_classes"]:
        """Logits of every class; class 0 is background."""
        logits: Tensor = self.output(self.norm(F.gelu(self.transform(states))))
        return logits
