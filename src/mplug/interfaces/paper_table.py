"""One's own figures in a line with the paper's."""

from collections.abc import Iterator, Mapping, Sequence

from mplug.config.paper_results import PaperTable
from mplug.interfaces.report.content import Score

OWN = "this model"
SHORT = {
    "bleu_4": "B@4",
    "meteor": "M",
    "cider_d": "C",
    "spice": "S",
    "grounding_accuracy": "Acc@0.5",
}
ENDINGS = ("_by_itm", "_reranked", "")  # of a recall that matching has improved, best first


def paper_lines(table: PaperTable, scores: Sequence[Score]) -> Iterator[str]:
    """A row for this model below the paper's; a dash where there is no figure."""
    metrics = list(dict.fromkeys(metric for row in table.rows.values() for metric in row))
    own = {metric: value for metric in metrics if (value := _own(metric, scores)) is not None}
    rows = {**table.rows, OWN: own}
    width = max(map(len, rows))
    titles = [_title(metric) for metric in metrics]
    yield f"the paper, {table.where} ({table.data}, {table.split}), in percent"
    yield f"  {'':<{width}}  {'  '.join(titles)}"
    for name, values in rows.items():
        yield f"  {name:<{width}}  {'  '.join(_cells(values, metrics, titles))}"


def _cells(values: Mapping[str, float], metrics: Sequence[str], titles: Sequence[str]) -> list[str]:
    return [
        f"{values[metric]:.2f}".rjust(max(6, len(title)))
        if metric in values
        else "-".rjust(max(6, len(title)))
        for metric, title in zip(metrics, titles, strict=True)
    ]


def _own(metric: str, scores: Sequence[Score]) -> float | None:
    """This model's figure as papers print it; recall as matching has it, where it looked."""
    known = {score.metric: score.value for score in scores}
    found = (known[f"{metric}{ending}"] for ending in ENDINGS if f"{metric}{ending}" in known)
    value = next(found, None)
    return None if value is None else 100 * value


def _title(metric: str) -> str:
    if metric in SHORT:
        return SHORT[metric].rjust(6)
    if metric.startswith("recall_at_"):
        k, way = metric.removeprefix("recall_at_").split("_", 1)
        return f"{'T' if way.endswith('to_text') else 'I'}R@{k}".rjust(6)
    return metric.replace("_", " ").rjust(6)
