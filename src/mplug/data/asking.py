"""What the text encoder reads of a question, a phrase or a statement; training and use agree here.

Questions and phrases are lower-cased, statements and hypotheses cleaned as pretraining's captions
(spec of the data sets that mPLUG was trained on). Further text, such as words seen in the picture,
follows behind a separator.
"""

from collections.abc import Sequence

from mplug.data.text import clean_caption, lower_caption
from mplug.data.tokenizer import Tokenizer


def question_ids(tokenizer: Tokenizer, question: str, *, text: Sequence[str] = ()) -> list[int]:
    """`[CLS] question`, and for further text (OCR words, names of objects) `[SEP] words`."""
    ids = [tokenizer.cls_id, *tokenizer.encode(lower_caption(question))]
    return ids + _further(tokenizer, text)


def phrase_ids(tokenizer: Tokenizer, phrase: str) -> list[int]:
    """`[CLS] phrase`, for the phrase whose box is to be found."""
    return [tokenizer.cls_id, *tokenizer.encode(lower_caption(phrase))]


def statement_ids(tokenizer: Tokenizer, statement: str, *, text: Sequence[str] = ()) -> list[int]:
    """`[CLS] statement`, also for hypotheses, whose premise in words is further text."""
    ids = [tokenizer.cls_id, *tokenizer.encode(clean_caption(statement))]
    return ids + _further(tokenizer, text)


def answer_ids(tokenizer: Tokenizer, answer: str) -> list[int]:
    """`[CLS] answer [SEP]`, as the decoder writes it."""
    return [tokenizer.cls_id, *tokenizer.encode(lower_caption(answer)), tokenizer.sep_id]


def _further(tokenizer: Tokenizer, text: Sequence[str]) -> list[int]:
    words = clean_caption(" ".join(text))
    return [tokenizer.sep_id, *tokenizer.encode(words)] if words else []
