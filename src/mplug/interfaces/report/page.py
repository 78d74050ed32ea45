"""The report as one self-contained page: no script, no font and no picture from elsewhere."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from mplug.interfaces.report.asks import part_section
from mplug.interfaces.report.captions import captions_section
from mplug.interfaces.report.content import Fact, Report
from mplug.interfaces.report.files import write_text
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.run import learning_section, setup_section, timings_section
from mplug.interfaces.report.scores import scores_section
from mplug.interfaces.report.searches import searches_section

# The browser itself then refuses anything that is not in the file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_HEADING = re.compile(r'<h2 id="([^"]+)-title">(.*?)</h2>')


def write_report(path: Path, report: Report) -> None:
    """Write the page to `path`, making its folder when needed."""
    write_text(path, page(report))


def page(report: Report) -> str:
    """The whole HTML document."""
    sections = [
        section
        for section in (
            scores_section(report.scores),
            captions_section(report.captions, worst=report.worst_captions, names=report.names),
            searches_section(report.searches, worst=report.worst_searches),
            *(part_section(part) for part in report.parts),
            learning_section(report.stages),
            timings_section(report.timings),
            setup_section(report),
        )
        if section
    ]
    body = element(
        "body",
        element("a", "Skip to the results", class_="skip", href="#results"),
        _head(report),
        _contents(sections),
        element("main", *sections, id="results"),
        element("footer", "This page is one file and loads nothing from elsewhere."),
    )
    return "<!doctype html>\n" + element("html", _meta(report.title), body, lang="en") + "\n"


def _contents(sections: Sequence[Markup]) -> Markup:
    """Links to the sections, by the headings that they have."""
    titles = [found.groups() for each in sections if (found := _HEADING.search(each))]
    links = [element("a", Markup(title), href=f"#{anchor}") for anchor, title in titles]
    return element("nav", *links, aria_label="Contents") if links else joined()


def _meta(title: str) -> Markup:
    style = files("mplug.interfaces.report").joinpath("style.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", Markup(style)),
    )


def _head(report: Report) -> Markup:
    return element(
        "header",
        element("h1", report.title),
        *(element("p", paragraph, class_="lead") for paragraph in report.lead),
        element("div", *(_fact(fact) for fact in report.facts), class_="facts")
        if report.facts
        else joined(),
    )


def _fact(fact: Fact) -> Markup:
    return element(
        "div",
        element("span", fact.value, class_="value"),
        element("span", fact.label, class_="label"),
        class_="fact",
    )
