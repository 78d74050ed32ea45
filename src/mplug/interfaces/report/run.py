"""How the run went: learning curves, time, configuration, environment and licences, as HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mplug.interfaces.report.chart import line_chart
from mplug.interfaces.report.content import Credit, Curve, Report, Stage, Timing
from mplug.interfaces.report.curves import ending
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.parts import section
from mplug.interfaces.report.wording import duration, spelled


def learning_section(stages: Sequence[Stage]) -> Markup:
    """Each loss over the steps beside what a model pays that cannot see."""
    if not any(stage.curves for stage in stages):
        return joined()
    key = element(
        "p",
        element("span", class_="swatch line"),
        " the model’s loss, smoothed · ",
        element("span", class_="swatch blind"),
        " what it would pay blind",
        class_="key",
    )
    parts = [
        joined(
            element("h3", stage.title),
            element("p", stage.note, class_="note") if stage.note else joined(),
            element(
                "div",
                *(_curve_card(curve) for curve in stage.curves if curve.points),
                class_="curves",
            ),
        )
        for stage in stages
        if stage.curves
    ]
    note = (
        "Loss over training steps; lower is better. A line well under the dashed one has "
        "learned something from the pictures; a line on it has not."
    )
    return section("Learning", note, key, *parts, anchor="learning")


def timings_section(timings: Sequence[Timing]) -> Markup:
    """Where the time went."""
    if not timings:
        return joined()
    total = sum(timing.seconds for timing in timings)
    rows = [
        element(
            "tr",
            element("th", timing.name, scope="row"),
            element(
                "td",
                element(
                    "svg",
                    element("rect", class_="track", width="100%", height=10, y=3, rx=3),
                    element(
                        "rect",
                        class_="fill",
                        height=10,
                        y=3,
                        rx=3,
                        width=f"{100 * timing.seconds / total if total else 0:.2f}%",
                    ),
                    class_="bar",
                    height=16,
                    aria_hidden="true",
                ),
                class_="graphic",
            ),
            element("td", duration(timing.seconds), class_="value"),
        )
        for timing in timings
    ]
    whole = element(
        "tr",
        element("th", "In all", scope="row"),
        element("td"),
        element("td", duration(total), class_="value"),
        class_="total",
    )
    table = element("table", element("tbody", *rows, whole), class_="timings")
    return section("Time", "Wall-clock time of each part.", table, anchor="time")


def setup_section(report: Report) -> Markup:
    """What is needed to repeat the run, and whose pictures it used."""
    parts = [
        *(_configuration(title, content) for title, content in report.configurations.items()),
        _environment(report.environment),
        _credits(report.credits),
    ]
    if not any(parts):
        return joined()
    note = "What it takes to repeat this run, and whose pictures it is made of."
    return section("Set-up", note, *parts, anchor="setup")


def _curve_card(curve: Curve) -> Markup:
    last = f"{ending(curve.points):.2f}"
    blind = f"blind {ending(curve.blind):.2f}" if curve.blind else ""
    return element(
        "figure",
        element(
            "figcaption",
            element("span", spelled(curve.name)),
            element("span", element("b", last), f" {blind}", class_="ends"),
        ),
        line_chart(curve),
    )


def _configuration(title: str, content: Mapping[str, Any]) -> Markup:
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    return element(
        "details",
        element("summary", f"Configuration: {title}"),
        element("pre", text),
    )


def _environment(environment: Mapping[str, str]) -> Markup:
    if not environment:
        return joined()
    pairs = [
        element("div", element("dt", name), element("dd", value))
        for name, value in environment.items()
    ]
    return joined(element("h3", "Environment"), element("dl", *pairs))


def _credits(credits_: Sequence[Credit]) -> Markup:
    if not credits_:
        return joined()
    rows = [
        element(
            "li",
            element("a", credit.work, href=credit.url, rel="noopener"),
            f" by {credit.author}",
            element("span", credit.licence, class_="chip"),
        )
        for credit in credits_
    ]
    return joined(element("h3", "Pictures and licences"), element("ul", *rows, class_="credits"))
