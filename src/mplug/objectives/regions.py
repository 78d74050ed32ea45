"""Masked region modelling: regions hidden from the model are recalled from the words and the rest.

UNITER (arXiv 1909.11740), section 3.2: what a region looked like (MRFR), its likeliest class (MRC),
and its distribution over classes (MRC-kl).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Features = Float[Tensor, "asked features"]
Classes = Float[Tensor, "asked num_classes"]


def hide_regions(
    mask: Bool[Tensor, "batch regions"],
    *,
    share: float,
    uniforms: Float[Tensor, "batch regions"],
) -> Bool[Tensor, "batch regions"]:
    """Hide `share` of the regions that are there, and at least one of every picture that has any.

    `uniforms` in [0, 1) are the draw: the smallest of a row is hidden in any case.
    """
    drawn = uniforms.masked_fill(~mask, torch.inf)
    smallest = drawn == drawn.amin(dim=1, keepdim=True)
    return mask & ((drawn < share) | smallest)


def feature_losses(recalled: Features, shown: Features) -> Features:
    """Squared error of every feature of every asked region."""
    return (recalled - shown).square()


def likeliest_class(soft_labels: Classes) -> Int[Tensor, "asked"]:
    """The class that a region most likely shows, background (class 0) left out."""
    return 1 + soft_labels[:, 1:].argmax(dim=1)


def class_losses(logits: Classes, soft_labels: Classes) -> Float[Tensor, "asked"]:
    """Cross-entropy over all classes, against the likeliest class of each asked region."""
    return F.cross_entropy(logits, likeliest_class(soft_labels), reduction="none")


def class_divergences(logits: Classes, soft_labels: Classes) -> Classes:
    """What every class adds to KL(soft labels || model); a region's divergence is their sum."""
    return F.kl_div(logits.log_softmax(dim=1), soft_labels, reduction="none")


def blind_feature_loss(shown: Features) -> Float[Tensor, ""]:
    """What a model pays on average that knows only the mean of these features."""
    return shown.var(dim=0, correction=0).mean()


def blind_class_loss(soft_labels: Classes) -> Float[Tensor, ""]:
    """What a model pays on average that knows only how often each class is the likeliest."""
    counts = torch.bincount(likeliest_class(soft_labels), minlength=soft_labels.shape[1])
    return torch.special.entr(counts / counts.sum()).sum()


def blind_divergence(soft_labels: Classes) -> Float[Tensor, ""]:
    """What a model pays a region, on average, that knows only the mean of the soft labels."""
    own = torch.special.entr(soft_labels).sum(dim=1).mean()
    return torch.special.entr(soft_labels.mean(dim=0)).sum() - own
