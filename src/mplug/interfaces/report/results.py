"""What the model can do: scores beside their baselines, captions, and searches, as HTML."""

from base64 import b64encode
from collections.abc import Sequence

from mplug.interfaces.report.chart import score_bar
from mplug.interfaces.report.content import CaptionExample, Picture, Score, SearchExample
from mplug.interfaces.report.markup import Markup, element, joined
from mplug.interfaces.report.wording import figure, metric_question, metric_title, spelled
from mplug.metrics.objects import name_spans


def section(title: str, note: str, *content: str, anchor: str) -> Markup:
    """A section of the page with its heading and one sentence on how to read it."""
    return element(
        "section",
        element("h2", title, id=f"{anchor}-title"),
        element("p", note, class_="note"),
        *content,
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def scores_section(scores: Sequence[Score]) -> Markup:
    """Every score with its interval, a bar, and its baselines; grouped by metric."""
    if not scores:
        return joined()
    baselines = list(dict.fromkeys(name for score in scores for name in score.baselines))
    columns = ["Pictures by", "", "Score", "95% interval", *map(spelled, baselines), "Verdict"]
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    groups = dict.fromkeys((score.task, score.metric) for score in scores)
    bodies = [
        _score_group([score for score in scores if (score.task, score.metric) == group], baselines)
        for group in groups
    ]
    note = (
        "The bar is the score, the thin line its 95% interval, and the upright marks are the "
        "baselines: what chance, or a method that learns nothing, gets on the same pictures."
    )
    table = element("table", element("thead", head), *bodies, class_="scores")
    return section("Scores", note, table, _signatures(scores), anchor="scores")


def captions_section(examples: Sequence[CaptionExample], *, names: frozenset[str]) -> Markup:
    """A grid of pictures, the model's caption above the true one; grouped by split."""
    if not examples:
        return joined()
    key = element(
        "p",
        element("mark", "name", class_="right"),
        " is in the picture · ",
        element("mark", "name", class_="wrong"),
        " is not · ",
        element("mark", "name", class_="missed"),
        " is, but the model did not say so",
        class_="key",
    )
    note = "Pictures the model never trained on, neither chosen nor sorted by how well it did."
    grids = [
        joined(
            element("h3", spelled(split)),
            element(
                "ul",
                *(_caption_card(example, names) for example in examples if example.split == split),
                class_="captions",
            ),
        )
        for split in dict.fromkeys(example.split for example in examples)
    ]
    return section("Captions", note, key, *grids, anchor="captions")


def searches_section(searches: Sequence[SearchExample]) -> Markup:
    """For each text the pictures found, best first, the right one framed."""
    if not searches:
        return joined()
    note = (
        "Each text was searched among pictures the model never trained on. "
        "Best match first; the picture the text was written for is framed."
    )
    rows = [
        joined(
            element("h3", spelled(split)),
            element(
                "div",
                *(_search_row(search) for search in searches if search.split == split),
                class_="searches",
            ),
        )
        for split in dict.fromkeys(search.split for search in searches)
    ]
    return section("Search", note, *rows, anchor="search")


def _score_group(scores: Sequence[Score], baselines: Sequence[str]) -> Markup:
    metric = scores[0].metric
    title = element(
        "th",
        element("strong", metric_title(metric)),
        element("span", metric_question(metric)),
        colspan=5 + len(baselines),
        scope="colgroup",
    )
    rows = [_score_row(score, baselines) for score in scores]
    return element("tbody", element("tr", title, class_="metric"), *rows)


def _score_row(score: Score, baselines: Sequence[str]) -> Markup:
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
        element("th", spelled(score.split), element("small", f"n = {score.n:,}"), scope="row"),
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
    names = ", ".join(spelled(name) for name in score.not_beaten)
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


def _caption_card(example: CaptionExample, names: frozenset[str]) -> Markup:
    known = names | example.objects
    said = frozenset(span.name for span in name_spans(example.predicted, known))
    found = len(said & example.objects)
    perfect = said == example.objects
    count = f"{found} of {len(example.objects)} named"
    return element(
        "li",
        _image(example.picture),
        element(
            "div",
            element("p", _judged(example.predicted, example, known), class_="predicted"),
            *(
                element("p", _missing(reference, example, said), class_="reference")
                for reference in example.references
            ),
            element(
                "p", f"✓ {count}" if perfect else count, class_="chip good" if perfect else "chip"
            ),
        ),
    )


def _judged(text: str, example: CaptionExample, known: frozenset[str]) -> Markup:
    """The model's words, each object name marked right or wrong, for eyes and for ears."""
    if not text.strip():
        return element("em", "(nothing)")
    parts: list[str] = []
    done = 0
    for span in name_spans(text, known):
        verdict = "right" if span.name in example.objects else "wrong"
        parts += [text[done : span.start], _mark(text[span.start : span.stop], verdict)]
        done = span.stop
    return joined(*parts, text[done:])


def _missing(text: str, example: CaptionExample, said: frozenset[str]) -> Markup:
    """A true caption, with the objects the model left out marked."""
    parts: list[str] = []
    done = 0
    for span in name_spans(text, example.objects):
        if span.name not in said:
            parts += [text[done : span.start], _mark(text[span.start : span.stop], "missed")]
            done = span.stop
    return joined(*parts, text[done:])


def _mark(words: str, verdict: str) -> Markup:
    return element("mark", words, element("span", f" ({verdict})", class_="aloud"), class_=verdict)


def _search_row(search: SearchExample) -> Markup:
    place = f"right one: {_ordinal(search.place)} of {search.gallery:,}"
    top = any(result.right for result in search.results)
    return element(
        "figure",
        element(
            "figcaption",
            element("q", search.query),
            element("span", f"✓ {place}" if top else place, class_="chip good" if top else "chip"),
        ),
        element(
            "ol",
            *(
                element(
                    "li",
                    _image(result.picture),
                    element("span", "the right one", class_="aloud") if result.right else joined(),
                    class_="right" if result.right else "other",
                )
                for result in search.results
            ),
            class_="found",
        ),
        class_="search",
    )


def _ordinal(place: int) -> str:
    ending = (
        "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    )
    return f"{place:,}{ending}"


def _image(picture: Picture) -> Markup:
    address = f"data:{picture.media_type};base64,{b64encode(picture.data).decode('ascii')}"
    return element("img", src=address, alt=picture.description, title=picture.description)
