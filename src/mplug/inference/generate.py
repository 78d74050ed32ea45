"""How a decoder writes: the protocols that searches drive, and what they share.

Lengths count the tokens written: neither the prompt nor its start token. A score is the sum of
the written tokens' log-probabilities over a length penalty (Wu et al., arXiv 1609.08144).
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Prompt = Int[Tensor, "images words"]


class Hypothesis(NamedTuple):
    """One text: the prompt, the tokens written and the end token if it came; and its score."""

    ids: list[int]
    score: float


@runtime_checkable
class Cache(Protocol):
    """What a decoder has read; an image's hypotheses are consecutive rows that share its memory."""

    def reorder(self, indices: Tensor, /) -> Any:
        """The hypotheses at `indices`, each still with its image."""
        ...

    def select(self, images: Tensor, /, *, rows: Tensor) -> Any:
        """Only some images, and the hypotheses `rows` that belong to them."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """What a search needs to know of a decoder."""

    def start(self, memory: Tensor, memory_mask: Tensor | None = None, /) -> Any:
        """A cache that has read nothing but the memory."""
        ...

    def step(self, ids: Tensor, cache: Any, /) -> tuple[Tensor, Any]:
        """Logits [rows, vocab] after the last of `ids` [rows, new words], and the longer cache."""
        ...


@runtime_checkable
class Search(Protocol):
    """A way to write."""

    def __call__(
        self, decoder: Decoder, cache: Cache, prompt: Prompt, *, end_id: int, best: int
    ) -> list[list[Hypothesis]]:
        """For each row of `prompt`, at most `best` hypotheses, best first."""
        ...


def generate(
    decoder: Decoder,
    memory: Float[Tensor, "images keys dim"],
    memory_mask: Bool[Tensor, "images keys"] | None = None,
    *,
    prompt: Prompt,
    end_id: int,
    search: Search,
    best: int = 1,
) -> list[list[Hypothesis]]:
    """Text for each row of `memory`, which is projected once and shared by its hypotheses.

    `prompt` holds at least the start token; rows may differ, but all have one length. Dropout is
    the caller's business: put the model in eval mode first.
    """
    with torch.no_grad():
        cache = decoder.start(memory, memory_mask)
        return search(decoder, cache, prompt, end_id=end_id, best=best)


def length_penalty(tokens: int, *, exponent: float) -> float:
    """What a text of `tokens` written tokens has its log-probability divided by."""
    penalty: float = ((5 + tokens) / 6) ** exponent
    return penalty


def log_probabilities(logits: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
    """Of each next token, in float32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=-1)


def repeated_rows(rows: int, *, times: int, device: torch.device) -> Int[Tensor, "repeated"]:
    """Each row's index, `times` times over: how one row becomes an image's hypotheses."""
    return torch.arange(rows, device=device).repeat_interleave(times)


def rows_of(images: Int[Tensor, "kept"], *, beams: int) -> Int[Tensor, "rows"]:
    """The hypothesis rows of some images."""
    return (images[:, None] * beams + torch.arange(beams, device=images.device)).flatten()
