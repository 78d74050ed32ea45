"""Scores beside their baselines, as tables: one for each task, one for the kinds of a task."""

from collections.abc import Sequence

from mplug.interfaces.report.chart import score_bar
from mplug.interfaces.report.content import Score
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.parts import section
from mplug.interfaces.report.wording import (
    figure,
    kind_title,
    metric_question,
    metric_title,
    spelled,
    task_title,
)

NAMED = 2  # baselines that a verdict names; of more it says how many


def scores_section(scores: Sequence[Score]) -> Markup:
    """Every score with its interval, a bar, and its baselines; a table for each task."""
    if not scores:
        return joined()
    note = (
        "The bar is the score, the thin line its 95% interval, and the upright marks are the "
        "baselines: what chance, or a method that learns nothing, gets on the same pictures."
    )
    tables = [
        joined(
            element("h3", task_title(task)),
            _task_table([score for score in scores if score.task == task]),
        )
        for task in dict.fromkeys(score.task for score in scores)
    ]
    return section("Scores", note, *tables, _signatures(scores), anchor="scores")


def kinds_table(scores: Sequence[Score]) -> Markup:
    """The scores of a task's kinds on one split, a row for each kind."""
    baselines = _baselines(scores)
    rows = [_row(score, baselines, label=kind_title(score.metric)) for score in scores]
    return _table("Kind", baselines, element("tbody", *rows))


def _task_table(scores: Sequence[Score]) -> Markup:
    """A task's scores, grouped by metric, a row for each split."""
    baselines = _baselines(scores)
    groups = [
        [score for score in scores if score.metric == metric]
        for metric in dict.fromkeys(score.metric for score in scores)
    ]
    return _table("Pictures by", baselines, *(_group(group, baselines) for group in groups))


def _baselines(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(name for score in scores for name in score.baselines))


def _table(first: str, baselines: Sequence[str], *bodies: Markup) -> Markup:
    columns = [first, "", "Score", "95% interval", *map(spelled, baselines), "Verdict"]
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    return element("table", element("thead", head), *bodies, class_="scores")


def _group(scores: Sequence[Score], baselines: Sequence[str]) -> Markup:
    metric = scores[0].metric
    title = element(
        "th",
        element("strong", metric_title(metric)),
        element("span", metric_question(metric)),
        colspan=5 + len(baselines),
        scope="colgroup",
    )
    rows = [_row(score, baselines, label=spelled(score.split)) for score in scores]
    return element("tbody", element("tr", title, class_="metric"), *rows)


def _row(score: Score, baselines: Sequence[str], *, label: str) -> Markup:
    low, high = figure(score.low, scale=score.scale), figure(score.high, scale=score.scale)
    cells = [
        element(
            "td",
            figure(score.baselines[name], scale=score.scale) if name in score.baselines else "–",
            class_="baseline" if name in score.baselines else "baseline absent",
            data_label=spelled(name),
        )
        for name in baselines
    ]
    return element(
        "tr",
        element("th", label, element("small", f"n = {score.n:,}"), scope="row"),
        element("td", score_bar(score), class_="graphic"),
        element("td", figure(score.value, scale=score.scale), class_="value"),
        element("td", f"{low} – {high}", class_="interval"),
        *cells,
        element("td", _verdict(score), class_="verdict"),
    )


def _verdict(score: Score) -> Markup:
    if not score.baselines:
        return element("span", "no baseline", class_="chip")
    if not score.not_beaten:
        return element("span", "✓ above all", class_="chip good")
    lost, every = score.not_beaten, len(score.baselines)
    if len(lost) == every > 1:
        return element("span", "✗ above none", class_="chip bad")
    names = " and ".join(map(spelled, lost)) if len(lost) <= NAMED else f"{len(lost)} of {every}"
    return element("span", f"✗ not above {names}", class_="chip bad")


def _signatures(scores: Sequence[Score]) -> Markup:
    lines = [score.signature for score in scores if score.signature]
    if not lines:
        return joined()
    return element(
        "details",
        element("summary", "How each figure was computed"),
        element("pre", "\n".join(lines)),
    )
