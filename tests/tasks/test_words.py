"""What objectives know of a vocabulary."""

import torch

from mplug.data.tokenizer import Tokenizer
from tests.tasks import little


def test_every_id_is_ordinary_or_special() -> None:
    words, tokenizer = little.words(), little.tokenizer()
    ordinary = set(words.ordinary.tolist())
    assert ordinary.isdisjoint(tokenizer.special_ids)
    assert ordinary | tokenizer.special_ids == set(range(tokenizer.vocab_size))
    assert words.is_ordinary.nonzero()[:, 0].tolist() == words.ordinary.tolist()


def test_no_word_of_a_text_is_special() -> None:
    tokenizer: Tokenizer = little.tokenizer()
    assert little.words().is_ordinary[tokenizer.encode("one [MASK] ten")].all()


def test_the_text_encoder_reads_a_caption_without_its_end() -> None:
    words, tokenizer = little.words(), little.tokenizer()
    cls, sep, pad = tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id
    ids = torch.tensor([[cls, 400, 401, 402, sep], [cls, 400, sep, pad, pad]])
    found, mask = words.without_end(ids, ids != pad)
    assert found[0].tolist() == [cls, 400, 401, 402]
    assert mask.int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
