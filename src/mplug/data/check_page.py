"""The preview page of a checked data set: one HTML file; everything users wrote is escaped."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from pathlib import Path

from mplug.data.check import CheckReport, Preview, Repetitions, Spread

PROBLEMS_SHOWN = 500
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0;
  border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1.2rem; }
.grid img { max-width: 100%; background: #8883; }
.grid p { margin: .2rem 0; overflow-wrap: anywhere; }
small { opacity: .7; } .bad { color: #c2185b; } .good { color: #2e7d32; }
"""


def save_page(report: CheckReport, path: str | Path) -> None:
    """Write the preview page: one file that needs no other."""
    # A file name may hold bytes that are no text.
    Path(path).write_bytes(render_page(report).encode("utf-8", "backslashreplace"))


def render_page(report: CheckReport) -> str:
    """The whole page."""
    verdict = (
        f'<p class="bad">{report.bad_rows} of {report.rows} rows cannot be used.</p>'
        if report.bad_rows
        else f'<p class="good">All {report.rows} rows can be used.</p>'
    )
    parts = [
        f"<h1>{escape(report.path)}</h1>",
        verdict,
        _problems(report),
        "<h2>What is there</h2>",
        _table(_facts(report)),
        f"<h2>{len(report.previews)} of the records</h2>",
        f'<div class="grid">{"".join(map(_card, report.previews))}</div>',
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(report.path)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _problems(report: CheckReport) -> str:
    if not report.problems:
        return ""
    rows = [("file", "line", "field", "reason")] + [
        (problem.file, str(problem.line or ""), problem.field or "", problem.reason)
        for problem in report.problems[:PROBLEMS_SHOWN]
    ]
    more = len(report.problems) - PROBLEMS_SHOWN
    note = f"<p>... and {more} more.</p>" if more > 0 else ""
    return f"<h2>Rows to correct</h2>{_table(rows)}{note}"


def _facts(report: CheckReport) -> Iterable[tuple[str, str]]:
    yield from ((f"records with {name}", str(count)) for name, count in report.fields.items())
    yield "pictures (files)", str(report.images)
    if report.clips:
        yield "clips (files)", str(report.clips)
        yield "frames in a clip", _spread(report.clip_frames)
        yield "seconds of a clip", _spread(report.clip_seconds)
    yield "width in pixels", _spread(report.width)
    yield "height in pixels", _spread(report.height)
    yield "captions", str(report.captions)
    yield "words in a caption", _spread(report.words)
    yield "captions that pretraining would cut", str(report.long_captions)
    yield "different words", str(report.distinct_words)
    yield "most common", ", ".join(f"{word} ({count})" for word, count in report.common_words)
    if report.unknown_share is not None:
        yield "tokens in a caption", _spread(report.tokens)
        yield "words that become [UNK]", f"{report.unknown_share:.2%}"
    yield "same picture and caption again", _repetitions(report.repeated_rows)
    yield "captions of several pictures", _repetitions(report.repeated_captions)
    yield "pictures under several names", _repetitions(report.repeated_pictures)


def _spread(spread: "Spread | None") -> str:
    if spread is None:
        return "none"
    return f"{spread.least:g} to {spread.most:g}, median {spread.median:g}, average {spread.mean:g}"


def _repetitions(found: Repetitions) -> str:
    shown = "; ".join(found.first)
    return f"{found.count}" + (f": {shown}" if shown else "")


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _card(preview: Preview) -> str:
    width, height = preview.size
    lines = "".join(
        f"<p><small>{escape(name)}</small> {escape(value)}</p>" for name, value in preview.fields
    )
    image = b64encode(preview.thumbnail).decode("ascii")
    return (
        f'<div><img alt="" src="data:image/jpeg;base64,{image}">{lines}'
        f"<p><small>{escape(preview.source)}, {width} x {height}</small></p></div>"
    )
