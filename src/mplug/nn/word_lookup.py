"""A table of word vectors whose lookups cost their words, not the table, when gradients come back.

A table is read several times in a step, and its transpose scores words at the end. The plain way
makes each lookup a gradient as large as the table, nearly all of it zeros, and adds them up: on a
CPU, a twelfth of a step of pretraining. Here lookups send back their rows alone, autograd adds them
to what the scores send, and whoever holds the parameter sees one dense gradient, as ever.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

LARGE = 2**20  # numbers in a table; zeros of smaller ones cost nothing
_DENSE = "_gives_dense_gradient"  # set on a parameter that has the hook


class WordLookup(nn.Embedding):
    """`nn.Embedding` with the same parameter, values and gradient."""

    def forward(self, ids: Int[Tensor, "*places"]) -> Float[Tensor, "*places dim"]:
        """The vector of each id."""
        if not self._sends_rows():
            return super().forward(ids)
        if not hasattr(self.weight, _DENSE):
            self.weight.register_post_accumulate_grad_hook(_make_dense)  # type: ignore[no-untyped-call]
            setattr(self.weight, _DENSE, True)
        return F.embedding(ids, self.weight, sparse=True)

    def _sends_rows(self) -> bool:
        # On a GPU, adding rows to a table would make the host wait.
        weight = self.weight
        learns = weight.requires_grad and torch.is_grad_enabled()
        return learns and weight.device.type == "cpu" and weight.numel() >= LARGE


def _make_dense(weight: Tensor) -> None:
    """For a parameter whose every use was a lookup."""
    if weight.grad is not None and weight.grad.is_sparse:
        weight.grad = weight.grad.to_dense()
