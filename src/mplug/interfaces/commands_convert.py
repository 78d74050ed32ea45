"""`mplug data convert`: the files that data sets publish, to records."""

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplug.errors import DataError

if TYPE_CHECKING:
    from mplug.data.convert.common import Converter
    from mplug.data.convert.write import Report


def convert(
    name: Annotated[
        str | None, typer.Argument(help="The data set; leave it out for a list.", metavar="NAME")
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(help="The folder to make; leave it out to see what NAME takes.")
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT=PATH", help="The published files.")
    ] = None,
    *,
    images: Annotated[
        Path | None, typer.Option(help="The folder that the pictures' names are relative to.")
    ] = None,
    without: Annotated[
        list[Path] | None,
        typer.Option(help="Records, ids (.txt) or a REFER folder whose pictures are left out."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of splits that a data set does not have.")] = 0,
    max_bad_share: Annotated[
        float, typer.Option(min=0, max=1, help="The share of rows that may be broken.")
    ] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Turn the files that data sets publish into records.

    `mplug data convert` lists the data sets, `mplug data convert NAME` what one takes. Writes a
    record file for each split, and lists of the rows whose picture is missing and of those that
    are broken; says where counts differ from the published ones.
    """
    from mplug.data.convert import CONVERTERS
    from mplug.data.convert.common import Request
    from mplug.data.convert.write import write_conversion
    from mplug.data.held_out import leave_out, read_held_out

    if name is None:
        _show_all(CONVERTERS, as_json=as_json)
        return
    converter = _find(name, CONVERTERS)
    if folder is None:
        _show_all({name: converter}, as_json=as_json)
        return
    paths = _paths(words or [])
    converter.require(name, paths)
    conversion = converter.convert(Request(paths, seed))
    if without:
        conversion = leave_out(conversion, read_held_out(without))
    else:
        _note_tests(name)
    report = write_conversion(
        name,
        conversion,
        folder=folder,
        images=images,
        max_bad_share=max_bad_share,
    )
    print(json.dumps(report.to_dict()) if as_json else "\n".join(_lines(report)))


def _note_tests(name: str) -> None:
    from mplug.data.held_out import SHARED_WITH

    if name in SHARED_WITH:
        typer.secho(
            f"note: {name} shares pictures with {SHARED_WITH[name]}: name the tests you will "
            "report with --without, or use `mplug data overlap` before training",
            fg="yellow",
            err=True,
        )


def _find(name: str, converters: "dict[str, Converter]") -> "Converter":
    if name in converters:
        return converters[name]
    near = get_close_matches(name, converters, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(converters)}"
    raise DataError(f"no data set {name!r} can be converted: {hint}")


def _paths(words: Sequence[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise DataError(f"{word!r}: inputs are given as NAME=PATH")
        if name in paths:
            raise DataError(f"{name}= is given twice")
        paths[name] = Path(path)
    return paths


def _show_all(converters: "dict[str, Converter]", *, as_json: bool) -> None:
    if as_json:
        told = {
            name: {
                "help": each.help,
                "inputs": [
                    {"name": one.name, "help": one.help, "required": one.required}
                    for one in each.inputs
                ],
                "images": each.pictures,
                "licence": each.licence,
            }
            for name, each in converters.items()
        }
        print(json.dumps(told))
    elif len(converters) == 1:
        print("\n".join(line for each in converters.items() for line in _usage(*each)))
    else:
        width = max(map(len, converters))
        print("\n".join(f"{name:<{width}}  {each.help}" for name, each in converters.items()))


def _usage(name: str, converter: "Converter") -> Iterator[str]:
    yield converter.help
    images = "" if converter.pictures is None else " --images DIR"
    yield f"mplug data convert {name} FOLDER INPUT=PATH ...{images}"
    for each in converter.inputs:
        yield f"  {each.name}=  {each.help}" + (" (needed)" if each.required else "")
    if converter.pictures is not None:
        yield f"  --images  {converter.pictures}"
    yield f"licence: {converter.licence}"


def _lines(report: "Report") -> Iterator[str]:
    """What a person wants to know of a conversion, most urgent last."""
    for split, counts in report.found.items():
        others = ", ".join(f"{count:,} {what}" for what, count in counts.items() if what != "rows")
        yield f"{report.folder / split}.jsonl: {report.written[split]:,} records"
        yield f"  in the files: {counts['rows']:,} rows" + (f", {others}" if others else "")
    for joined in report.joined:
        yield f"{report.folder / joined}.jsonl: those together"
    for reason, count in report.left_out.items():
        yield f"left out: {count:,}, {reason}"
    if report.dropped_boxes:
        yield f"left out: {report.dropped_boxes:,} boxes without area inside their picture"
    for difference in report.differences:
        yield f"not the published count: {difference}"
    if report.missing_rows:
        yield (
            f"missing: {report.missing_pictures:,} pictures, of {report.missing_rows:,} rows, "
            f"listed in {report.folder / 'missing.jsonl'}"
        )
    for trouble in report.troubles:
        yield f"bad: {trouble}"
    if report.trouble_rows:
        listed = report.folder / "troubles.jsonl"
        yield f"bad: {report.trouble_rows:,} rows in all, left out, listed in {listed}"
