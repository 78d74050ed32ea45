"""What an objective must know of a vocabulary, as tensors."""

from typing import NamedTuple, Self

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mplug.data.tokenizer import Tokenizer

HOST = torch.device("cpu")


class Words(NamedTuple):
    """Ids of the special tokens, and which ids are ordinary words."""

    pad_id: int
    sep_id: int
    mask_id: int
    ordinary: Int[Tensor, "ordinary"]
    is_ordinary: Bool[Tensor, "vocab"]

    @classmethod
    def of(cls, tokenizer: Tokenizer, *, device: torch.device = HOST) -> Self:
        """The words of `tokenizer`, on the host where words are chosen before they are sent."""
        ordinary = sorted(set(range(tokenizer.vocab_size)) - tokenizer.special_ids)
        is_ordinary = torch.zeros(tokenizer.vocab_size, dtype=torch.bool)
        is_ordinary[ordinary] = True
        return cls(
            tokenizer.pad_id,
            tokenizer.sep_id,
            tokenizer.mask_id,
            torch.tensor(ordinary, device=device),
            is_ordinary.to(device),
        )

    def without_end(
        self, ids: Int[Tensor, "batch words"], mask: Bool[Tensor, "batch words"]
    ) -> tuple[Int[Tensor, "batch shorter"], Bool[Tensor, "batch shorter"]]:
        """`[CLS] words` of `[CLS] words [SEP]`, which is what a text encoder reads."""
        return ids[:, :-1], mask[:, :-1] & (ids[:, :-1] != self.sep_id)
