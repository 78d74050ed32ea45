"""The benchmark of the metrics: its captions, its arithmetic and its page, without Java."""

from benchmarks.metrics import (
    STAGES,
    Spent,
    lines,
    make_captions,
    run_mplug,
    spread,
    summary,
    times,
)


def test_captions_are_the_same_for_a_seed_and_hardly_any_two_are_alike() -> None:
    captions = make_captions(images=40, references=3)
    assert captions == make_captions(images=40, references=3)
    texts = [*captions.candidates, *(text for each in captions.references for text in each)]
    assert len(texts) == 160
    assert len(set(texts)) > 150


def test_the_package_is_timed_and_says_every_figure() -> None:
    timed, scores = run_mplug(make_captions(images=4, references=2))
    assert list(timed) == list(STAGES)
    assert list(scores) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]


def test_ratios_are_each_rounds_own() -> None:
    rounds = [
        {
            "mplug": times(Spent(1.0, 1.0), Spent(1.0, 1.0)),
            "official": times(Spent(slow, 2 * slow), Spent(0.0, 0.0)),
        }
        for slow in (2.0, 4.0, 12.0)
    ]
    together = summary(rounds)["stages"]["together"]
    assert together["official_wall_seconds"] == 4
    assert together["wall_ratios"] == [1, 2, 6]
    assert together["processor_ratios"] == [2, 4, 12]
    assert spread(together["wall_ratios"]) == "2.0 (1.0 to 6.0)"


def test_the_page_has_a_row_for_each_stage() -> None:
    stage = times(Spent(1.0, 1.0), Spent(2.0, 2.0))
    about = dict.fromkeys(["processors", "python", "numpy", "pycocoevalcap", "java"], "x")
    result = {
        **summary([{"mplug": stage, "official": stage}]),
        "images": 5000,
        "references_each": 5,
        "repeats": 1,
        "largest_difference": 1e-12,
        "machine": about | {"load_average": 0.5},
    }
    page = lines(result)
    assert [line for line in page if line.startswith("| together")] == [
        "| together | 3.00 | 3.00 | 1.0 (1.0 to 1.0) | 3.00 | 3.00 | 1.0 (1.0 to 1.0) |"
    ]
    assert any("differ by at most 1.0e-12" in line for line in page)
