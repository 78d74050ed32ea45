"""A table of word vectors whose lookups cost their words, not the table, when gradients come back.

A table is read several times in a step, and its transpose scores words at the end. The plain way
makes each lookup a gradient as large as the table, nearly all of it zeros, and adds them up: on a
CPU, a twelfth of a step of pretraining. Here lookups send back their rows alone. Where the table
scores words too, rows wait for the gradient of the scores and are added to it in place; whoever
holds the parameter sees one dense gradient, as ever.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

LARGE = 2**20  # numbers in a table; zeros of smaller ones cost nothing
_DENSE = "_gives_dense_gradient"  # set on a parameter that has the hooks


class WordLookup(nn.Embedding):
    """`nn.Embedding` with the same parameter, values and gradient."""

    def __init__(self, vocab_size: int, dim: int) -> None:
        super().__init__(vocab_size, dim)
        self._waiting = _WaitingRows()

    def forward(self, ids: Int[Tensor, "*places"]) -> Float[Tensor, "*places dim"]:
        """The vector of each id."""
        if not self._sends_rows():
            return super().forward(ids)
        self._watch()
        vectors: Tensor = _Lookup.apply(self.weight, ids, self._waiting)  # type: ignore[no-untyped-call]
        return vectors

    def scoring_weight(self) -> Float[Tensor, "vocab dim"]:
        """The table, for the matrix product that scores words and for nothing else."""
        if not self._sends_rows():
            return self.weight
        self._watch()
        weight: Tensor = _Scoring.apply(self.weight, self._waiting)  # type: ignore[no-untyped-call]
        return weight

    def _sends_rows(self) -> bool:
        # On a GPU, adding rows to a table would make the host wait.
        weight = self.weight
        learns = weight.requires_grad and torch.is_grad_enabled()
        return learns and weight.device.type == "cpu" and weight.numel() >= LARGE

    def _watch(self) -> None:
        if not hasattr(self.weight, _DENSE):
            self.weight.register_hook(partial(_add_rows, self._waiting))  # type: ignore[no-untyped-call]
            self.weight.register_post_accumulate_grad_hook(_make_dense)  # type: ignore[no-untyped-call]
            setattr(self.weight, _DENSE, True)


class _WaitingRows:
    """Rows of one backward pass that wait for the scores' gradient, which is known to come.

    Gradients come backwards: scores, which are made last, send theirs before the lookups do.
    """

    def __init__(self) -> None:
        self._backward_pass = -1
        self._rows: list[tuple[Tensor, Tensor]] = []

    def expect_scores(self) -> None:
        """The scores of the backward pass that is going on have sent their gradient."""
        if not self.scores_came():  # whatever another pass has left, which must have failed
            self._backward_pass, self._rows = torch._C._current_graph_task_id(), []

    def scores_came(self) -> bool:
        return self._backward_pass == torch._C._current_graph_task_id()

    def put(self, ids: Tensor, rows: Tensor) -> None:
        self._rows.append((ids, rows))

    def take(self) -> list[tuple[Tensor, Tensor]]:
        taken, self._backward_pass, self._rows = self._rows, -1, []
        return taken


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, waiting: _WaitingRows) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.waiting, ctx.shape = waiting, weight.shape
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None]:
        ids, rows = ctx.saved_tensors[0].flatten(), gradients[0].flatten(0, -2)
        if ctx.waiting.scores_came():
            ctx.waiting.put(ids, rows)
            return None, None, None
        # The ids are known to be places of the table, for they were read there.
        gradient = torch.sparse_coo_tensor(ids[None], rows, ctx.shape, check_invariants=False)
        return gradient, None, None


class _Scoring(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, waiting: _WaitingRows) -> Tensor:
        ctx.waiting = waiting
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ctx.waiting.expect_scores()
        return gradients[0], None


def _add_rows(waiting: _WaitingRows, gradient: Tensor | None) -> Tensor | None:
    """Before a gradient reaches the parameter: in place, for it is a matrix product's own."""
    if gradient is None or not waiting.scores_came():
        return None
    whole = gradient.contiguous()
    for ids, rows in waiting.take():
        whole.index_add_(0, ids, rows)
    return None if whole is gradient else whole


def _make_dense(weight: Tensor) -> None:
    """For a parameter whose every use was a lookup."""
    if weight.grad is not None and weight.grad.is_sparse:
        weight.grad = weight.grad.to_dense()
