from mplug.data.asking import answer_ids, phrase_ids, question_ids, statement_ids
from tests.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
CLS, SEP = TOKENIZER.cls_id, TOKENIZER.sep_id


def test_questions_and_phrases_keep_their_punctuation_and_lose_their_capitals() -> None:
    assert question_ids(TOKENIZER, "A red  Trophy?") == [CLS, *TOKENIZER.encode("a red trophy?")]
    assert phrase_ids(TOKENIZER, "Red Trophy.") == [CLS, *TOKENIZER.encode("red trophy.")]


def test_statements_are_cleaned_as_captions_are() -> None:
    assert statement_ids(TOKENIZER, "A red-green trophy!") == [
        CLS,
        *TOKENIZER.encode("a red green trophy"),
    ]


def test_further_text_follows_behind_a_separator() -> None:
    seen = ["Moon.", "two boats"]
    behind = [SEP, *TOKENIZER.encode("moon two boats")]
    assert question_ids(TOKENIZER, "boats?", text=seen) == [
        CLS,
        *TOKENIZER.encode("boats?"),
        *behind,
    ]
    assert statement_ids(TOKENIZER, "boats", text=seen) == [
        CLS,
        *TOKENIZER.encode("boats"),
        *behind,
    ]
    assert question_ids(TOKENIZER, "boats?", text=["!"]) == question_ids(TOKENIZER, "boats?")


def test_an_answer_has_its_start_and_its_end() -> None:
    assert answer_ids(TOKENIZER, "Red") == [CLS, *TOKENIZER.encode("red"), SEP]
