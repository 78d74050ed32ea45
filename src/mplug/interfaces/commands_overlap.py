"""`mplug data overlap`: which pictures training shares with a test, and records without them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplug.errors import DataError

if TYPE_CHECKING:
    from mplug.data.overlap import Overlap

SHOWN = 10  # pairs printed; the JSON lists all
BECAUSE = {"id": "the same published id", "file": "the same file", "look": "they look the same"}


def overlap(
    train: Annotated[Path, typer.Argument(help="The records to learn from.")],
    test: Annotated[
        list[Path],
        typer.Argument(help="Records of tests, lists of ids (.txt), or REFER folders."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write the records that share nothing to this .jsonl.")
    ] = None,
    look: Annotated[
        bool, typer.Option(help="Find copies stored anew, too, which decodes every picture.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find pictures that training shares with a test.

    By published id (such as coco:391895), by file, and by look: copies at another quality, size
    or format are found; mirrored or strongly cropped ones are not.

    Exit code: 0 nothing is shared, or --out was written without it; 3 something is.
    """
    from mplug.data.held_out import read_held_out
    from mplug.data.overlap import CLUES, QUICK, find_overlap
    from mplug.data.record_lines import write_records
    from mplug.data.records import read_records

    if out is not None and out.suffix != ".jsonl":
        raise DataError(f"--out {out}: records are written as .jsonl: name such a file")
    records = read_records(train).require(max_bad_share=1.0)  # none is learned from either
    found = find_overlap(
        records,
        read_held_out(test),
        clues=CLUES if look else QUICK,
        progress=_show_progress if look and sys.stderr.isatty() else None,
    )
    shared, written = set(found.shared), None
    if out is not None:
        kept = (record for place, record in enumerate(records) if place not in shared)
        written = write_records(kept, out)
    if as_json:
        fields = {"records": len(records), "out": str(out) if out else None, "written": written}
        print(json.dumps({**fields, **found.to_dict()}))
    else:
        print("\n".join(_lines(found, records=len(records), out=out, written=written)))
    raise typer.Exit(DataError.exit_code if shared and out is None else 0)


def _lines(
    found: "Overlap", *, records: int, out: Path | None, written: int | None
) -> Iterator[str]:
    """What a person wants to know, most urgent last."""
    yield f"to learn from: {found.train_files} pictures or clips, {records} records"
    yield f"held out:      {found.test_files}"
    for problem in found.unreadable[:SHOWN]:
        yield f"not looked at: {problem}"
    if len(found.unreadable) > SHOWN:
        yield f"... and {len(found.unreadable) - SHOWN} more that could not be looked at"
    for match in found.matches[:SHOWN]:
        yield f"{match.train} = {match.test}: {', '.join(BECAUSE[clue] for clue in match.by)}"
    if len(found.matches) > SHOWN:
        yield f"... and {len(found.matches) - SHOWN} more pairs; --json lists them all"
    clues = ", ".join(f"{found.count(clue)} by {clue}" for clue in BECAUSE)
    yield f"shared:        {found.count()} ({clues}), in {len(found.shared)} records"
    if written is not None:
        yield f"{out}: {written} records, none of them shared"


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} pictures", end="", file=sys.stderr, flush=True)
    if done >= total:
        print(file=sys.stderr)
