"""Weights before any training: BERT's, and what a narrow model needs beside them."""

import torch
from torch import nn

NEW_WEIGHT_STD = 0.02  # BERT's; convolutions keep PyTorch's
BERT_WIDTH = 768  # what that value is for: see `spread`


def spread(module: nn.Module, *, width: int) -> None:
    """Keep the first attention scores of a narrow model as uneven as BERT's.

    With BERT's weights at a sixth of its width all scores are nearly equal: every word then reads
    the mean of the image, and attention takes long to learn where to look.
    """
    if isinstance(module, nn.Linear) and width < BERT_WIDTH:
        with torch.no_grad():
            module.weight.mul_((BERT_WIDTH / width) ** 0.5)


def initialise(module: nn.Module) -> None:
    """BERT's initial weights for linear layers and embeddings."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=NEW_WEIGHT_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
