"""The README.md of saved weights: what a model learned from, how well, under which licence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TAGS = ("vision-language", "image-captioning", "image-text-retrieval", "mplug")


@dataclass(frozen=True)
class Score:
    """One measured figure, as a fraction, with its interval and what it is compared with."""

    task: str
    split: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None  # how many examples it was measured on
    baselines: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCard:
    """What a stranger should know before using a model."""

    name: str
    summary: str
    data: str
    licence: str  # an SPDX name, such as Apache-2.0
    scores: tuple[Score, ...] = ()
    commit: str | None = None  # of the code that trained it
    load_as: str = "PATH OR HUB NAME OF THIS MODEL"
    use: str = 'print(model.caption("photo.jpg"))'  # a line of Python with the loaded model

    def render(self) -> str:
        """Markdown with the YAML header that the hub reads; the same card gives the same text."""
        import yaml  # late: most who read weights write no card

        header = yaml.safe_dump(self._metadata(), sort_keys=False, allow_unicode=True)
        parts = [
            f"---\n{header}---\n# {self.name}\n\n{self.summary.strip()}\n",
            f"## Data\n\n{self.data.strip()}\n",
            f"## Scores\n\n{_table(self.scores)}\n",
            f"## Use\n\n{_usage(self.load_as, self.use)}\n",
            f"## Licence\n\n{self.licence}\n",
        ]
        if self.commit is not None:
            parts.append(f"Trained by the code at commit `{self.commit}`.\n")
        return "\n".join(parts)

    def _metadata(self) -> dict[str, object]:
        metadata: dict[str, object] = {
            "license": self.licence.lower(),
            "library_name": "mplug",
            "pipeline_tag": "image-to-text",
            "tags": list(TAGS),
        }
        if self.scores:
            results = [
                {
                    "task": {"type": score.task},
                    "dataset": {"name": score.split, "type": score.split},
                    "metrics": [{"type": score.metric, "value": score.value}],
                }
                for score in self.scores
            ]
            metadata["model-index"] = [{"name": self.name, "results": results}]
        return metadata


def _table(scores: tuple[Score, ...]) -> str:
    if not scores:
        return "None were measured."
    rows = [
        "| task | split | metric | value | 95% interval | examples | baselines |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in scores:
        interval = "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}"
        baselines = ", ".join(f"{name} {value:.3f}" for name, value in score.baselines.items())
        count = "" if score.n is None else str(score.n)
        cells = (score.task, score.split, score.metric, f"{score.value:.3f}", interval, count)
        rows.append(f"| {' | '.join(cells)} | {baselines} |")
    return "\n".join(rows)


def _usage(name: str, use: str) -> str:
    return f'```python\nimport mplug\n\nmodel = mplug.load("{name}")\n{use}\n```'
