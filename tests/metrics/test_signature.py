"""A figure's signature says all that it depends on."""

from mplug.metrics.signature import (
    accuracy_signature,
    cider_signature,
    consistency_signature,
    grounding_signature,
    object_signature,
    retrieval_signature,
    vqa_signature,
)


def test_signatures_read_as_one_line() -> None:
    assert str(retrieval_signature("recall_at_1", split="unseen_artist", images=5, texts=7)) == (
        "recall_at_1|version:1|split:unseen_artist|images:5|texts:7|ties:expected"
    )
    assert str(
        cider_signature(
            split="test",
            images=5,
            references=9,
            tokeniser="simple",
            document_frequency="references",
        )
    ) == (
        "cider_d|version:1|split:test|images:5|references:9|tokeniser:simple"
        "|document_frequency:references|n:1-4|sigma:6"
    )
    assert str(object_signature("object_f1", split="test", scenes=5, names=60)) == (
        "object_f1|version:1|split:test|scenes:5|names:60|average:micro|match:longest_name"
    )


def test_shares_of_right_answers_say_what_was_counted_and_matched() -> None:
    assert str(accuracy_signature("videoqa_accuracy", split="test", counts={"questions": 9})) == (
        "videoqa_accuracy|version:1|split:test|questions:9|match:exact"
    )
    assert str(consistency_signature(split="test1", pairs=9, statements=4)) == (
        "consistency|version:1|split:test1|pairs:9|statements:4|match:exact"
        "|group:split-set-sentence"
    )
    assert str(grounding_signature(split="testA", phrases=9)) == (
        "grounding_accuracy|version:1|split:testA|phrases:9|found:iou>=0.5|true_box:best"
    )
    number = {"answer_type": "number"}
    assert str(vqa_signature(split="val", questions=9, answers=90, kind=number)) == (
        "vqa_accuracy|version:1|split:val|questions:9|answers:90|answer_type:number"
        "|normalisation:vqa_v2|score:others/3"
    )
