"""All caption metrics at once: the official values from raw captions, and their signatures."""

import numpy as np
import pytest

from mplug.metrics import official_jars
from mplug.metrics.caption_figures import Tokenised, caption_figures, jar_figures
from tests.metrics.golden_captions import CAPTIONS, OFFICIAL

OFFICIAL_NAMES = {f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)} | {
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
}


def test_every_official_score_is_reproduced_from_raw_captions() -> None:
    figures = caption_figures(CAPTIONS, split="golden")
    assert [figure.metric for figure in figures] == list(OFFICIAL_NAMES)
    for figure in figures:
        official = OFFICIAL[OFFICIAL_NAMES[figure.metric]]
        assert figure.value == pytest.approx(official["corpus"], abs=1e-9)
        np.testing.assert_allclose(figure.per_image, official["per_image"], rtol=0, atol=1e-9)


def test_signatures_tell_a_figure_from_another() -> None:
    captions = Tokenised.of(["a cat", "a dog"], [["a cat", "the cat"], ["a dog"]])
    signatures = {each.metric: str(each.signature) for each in caption_figures(captions, split="t")}
    assert signatures["bleu_4"] == (
        "bleu_4|version:1|split:t|images:2|references:3|tokeniser:ptb-3.4.1"
        "|length:closest|corpus:counts"
    )
    assert signatures["rouge_l"] == (
        "rouge_l|version:1|split:t|images:2|references:3|tokeniser:ptb-3.4.1|beta:1.2|corpus:mean"
    )
    assert signatures["cider_d"] == (
        "cider_d|version:1|split:t|images:2|references:3|tokeniser:ptb-3.4.1"
        "|document_frequency:references|n:1-4|sigma:6"
    )


def test_an_unbreakable_blank_parts_words_except_for_rouge() -> None:
    # As in the official scorer: "1 1/2" is one token of the tokenizer, two words of BLEU.
    captions = Tokenised.of(["1 1/2 x"], [["1 1/2 y"]])
    figures = {figure.metric: figure.value for figure in caption_figures(captions, split="t")}
    assert captions.candidates == [["1\xa01/2", "x"]]
    assert figures["bleu_1"] == pytest.approx(2 / 3)
    assert figures["rouge_l"] == pytest.approx(1 / 2)


def test_a_candidate_without_words_scores_nothing() -> None:
    figures = caption_figures(Tokenised.of(["..."], [["a cat"]]), split="t")
    assert [figure.value for figure in figures] == pytest.approx([0] * 6)


def test_what_java_lacks_is_said_and_nothing_is_put_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(official_jars, "why_no_meteor", lambda: "METEOR needs Java")
    monkeypatch.setattr(official_jars, "why_no_spice", lambda: "SPICE needs Java")
    figures, missing = jar_figures(CAPTIONS, split="t")
    assert figures == []
    assert missing == ["METEOR needs Java", "SPICE needs Java"]


def test_a_jars_figure_names_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official_jars, "why_no_meteor", lambda: None)
    monkeypatch.setattr(official_jars, "why_no_spice", lambda: "SPICE needs CoreNLP")
    heard = []

    def judge(candidates: list[str], references: list[list[str]]) -> official_jars.Judged:
        heard.append((candidates, references))
        return official_jars.Judged(0.25, np.array([0.5]))

    monkeypatch.setattr(official_jars, "meteor", judge)
    [figure], _ = jar_figures(Tokenised.of(["It's a Cat."], [["A cat!"]]), split="t")
    assert heard == [(["it 's a cat"], [["a cat"]])]
    assert figure.value == 0.25
    assert str(figure.signature) == (
        "meteor|version:1|split:t|images:1|references:1|tokeniser:ptb-3.4.1|jar:1.5"
    )


@pytest.mark.skipif(
    official_jars.why_no_meteor() is not None, reason=str(official_jars.why_no_meteor())
)
@pytest.mark.slow
def test_the_official_meteor_is_reproduced() -> None:
    [figure, *_], _ = jar_figures(CAPTIONS, split="golden")
    assert figure.value == pytest.approx(OFFICIAL["METEOR"]["corpus"], abs=1e-9)
    np.testing.assert_allclose(figure.per_image, OFFICIAL["METEOR"]["per_image"], rtol=0, atol=1e-9)
