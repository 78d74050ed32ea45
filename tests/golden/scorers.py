"""Caption metrics and VQA accuracy against what the official evaluations answer; no model."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mplug.metrics.caption_figures import Figure, Tokenised, caption_figures, jar_figures
from mplug.metrics.ptb import ptb_tokens
from mplug.metrics.vqa import Question, normalised, vqa_accuracy
from mplug.metrics.vqa_words import CONTRACTIONS, NUMBER_WORDS
from tests.golden.compare import Tally, Tolerance

EXACT = Tolerance(0.0, 0.0)
CAPTION_SCORE = Tolerance(1e-9, 0.0)
VQA_PERCENT = Tolerance(1e-6, 0.0)  # stored with 6 places
OFFICIAL_NAMES = {
    "BLEU-1": "bleu_1",
    "BLEU-2": "bleu_2",
    "BLEU-3": "bleu_3",
    "BLEU-4": "bleu_4",
    "ROUGE-L": "rouge_l",
    "CIDEr-D": "cider_d",
    "METEOR": "meteor",
    "SPICE": "spice",
}
JARS = ("meteor", "spice")


def check_captions(folder: Path) -> dict[str, Tally]:
    """Every token of `tokens.jsonl` and every score of `scores.json`, by family."""
    return {
        "tokens": _checked(folder / "tokens.jsonl", _check_tokens),
        "scores": _checked(folder / "scores.json", _check_scores),
    }


def check_vqa(folder: Path) -> dict[str, Tally]:
    """Every accuracy, normalised string and table of `vqa.json`."""
    return {"accuracies": _checked(folder / "vqa.json", _check_vqa)}


def _checked(file: Path, check: Callable[[Tally, str], None]) -> Tally:
    tally = Tally()
    if file.is_file():
        check(tally, file.read_text(encoding="utf-8"))
    else:
        tally.failed(file.name, None, problem=f"not in {file.parent}")
    return tally


def _check_tokens(tally: Tally, text: str) -> None:
    # Not splitlines(): a caption may hold other line breaks than the line feed.
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        row = json.loads(line)
        expected = row["tokens"].split(" ") if row["tokens"] else []
        made = ptb_tokens(row["caption"])
        tally.compare(f"tokens.jsonl line {number}", made, expected, allowed=EXACT)


def _check_scores(tally: Tally, text: str) -> None:
    given = json.loads(text, parse_int=float)
    captions = Tokenised.of(given["candidates"], given["references"])
    wanted = [OFFICIAL_NAMES[name] for name in given["scores"] if name in OFFICIAL_NAMES]
    judged = jar_figures(
        captions, split="golden", metrics=[metric for metric in wanted if metric in JARS]
    )
    figures = {
        figure.metric: figure
        for figure in (*caption_figures(captions, split="golden"), *judged.figures)
    }
    for name, expected in given["scores"].items():
        metric = OFFICIAL_NAMES.get(name)
        if metric in figures:
            made = _as_json(figures[metric])
            tally.compare(name, made, expected, allowed=CAPTION_SCORE)
        elif metric not in JARS:
            tally.failed(name, expected, problem="nothing reads it")
    tally.unchecked += [f"captions: {sentence}" for sentence in judged.missing]


def _as_json(figure: Figure) -> dict[str, Any]:
    return {"corpus": figure.value, "per_image": figure.per_image.tolist()}


def _check_vqa(tally: Tally, text: str) -> None:
    given: Mapping[str, Any] = json.loads(text, parse_int=float)
    made = _vqa_values(given)
    for name, expected in _vqa_expected(given).items():
        if name in made:
            tally.compare(name, made[name], expected, allowed=VQA_PERCENT)
        else:
            tally.failed(name, expected, problem="nothing reads it")


def _vqa_expected(given: Mapping[str, Any]) -> dict[str, Any]:
    """The file, with what is expected of its lists in the place of them."""
    return {
        **given,
        "questions": [row["accuracy_percent"] for row in given["questions"]],
        "normalisation": {row["raw"]: row["normalised"] for row in given["normalisation"]},
    }


def _vqa_values(given: Mapping[str, Any]) -> dict[str, Any]:
    found = vqa_accuracy(
        [
            Question(row["answers"], row["prediction"], row["question_type"], row["answer_type"])
            for row in given["questions"]
        ]
    )
    return {
        "questions": found.per_question.tolist(),
        "overall_percent": found.overall,
        "per_question_type_percent": found.per_question_type,
        "per_answer_type_percent": found.per_answer_type,
        "normalisation": {row["raw"]: normalised(row["raw"]) for row in given["normalisation"]},
        "contractions": CONTRACTIONS,
        "number_words": NUMBER_WORDS,
    }
