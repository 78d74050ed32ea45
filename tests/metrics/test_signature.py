"""A figure's signature says all that it depends on."""

from mplug.metrics.signature import cider_signature, object_signature, retrieval_signature


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
