"""`mplug data`: check or convert records, train a vocabulary, or make a data set to try."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplug.errors import DataError
from mplug.interfaces.commands_convert import convert
from mplug.interfaces.commands_overlap import overlap

if TYPE_CHECKING:
    from mplug.data.check import CheckReport, Repetitions, Spread
    from mplug.data.scenes.output import Summary

SHOWN = 20  # problems printed; the JSON lists all

Records = Annotated[Path, typer.Argument(help="A .jsonl or .csv file, or a folder of pictures.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

data = typer.Typer(
    help="Check or convert records, train a vocabulary, or make a data set to try.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
data.command()(convert)
data.command()(overlap)


@data.command()
def check(
    records: Records,
    *,
    preview: Annotated[Path | None, typer.Option(help="Write a page of samples here.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A vocabulary, to count pieces and [UNK].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check records: every row, every picture, every clip.

    Prints counts, and each bad row with its file, line, field and reason.

    Exit code: 0 all rows can be used, 3 some cannot.
    """
    from mplug.data.check import check as check_records
    from mplug.data.check_page import save_page
    from mplug.data.tokenizer import Tokenizer

    report = check_records(
        records,
        tokenizer=Tokenizer.load(tokenizer) if tokenizer else None,
        progress=_show_progress if sys.stderr.isatty() else None,
    )
    if preview is not None:
        save_page(report, preview)
    if as_json:
        fields = report.to_dict()
        print(json.dumps({**fields, "preview": str(preview) if preview else None}))
    else:
        print("\n".join(_lines(report)))
        if preview is not None:
            print(f"preview: {preview}")
    raise typer.Exit(DataError.exit_code if report.bad_rows else 0)


@data.command()
def tokenizer(
    records: Records,
    folder: Annotated[Path, typer.Argument(help="Where to write tokenizer.json.")],
    *,
    vocab_size: Annotated[int, typer.Option(min=500, help="Pieces at most.")] = 8000,
    as_json: Json = False,
) -> None:
    """Train a vocabulary on your captions.

    WordPiece, for any language; `data.tokenizer=FOLDER` makes a run use it.
    """
    from mplug.data.records import read_records
    from mplug.data.tokenizer import Tokenizer

    captions = [text for record in read_records(records).require() for text in record.caption]
    if not captions:
        raise DataError(f"{records}: no record has a caption to learn words from")
    trained = Tokenizer.train(captions, vocab_size=vocab_size)
    folder.mkdir(parents=True, exist_ok=True)
    trained.save(folder)
    unknown = trained.unknown_share(captions)
    if as_json:
        fields = {"folder": str(folder), "vocab_size": trained.vocab_size}
        print(json.dumps({**fields, "captions": len(captions), "unknown_share": unknown}))
    else:
        print(
            f"{folder}: {trained.vocab_size} pieces from {len(captions)} captions, "
            f"{unknown:.2%} of their words are [UNK]; use it with data.tokenizer={folder}"
        )


@data.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="The world: concepts=200 max_objects=3 seed=1."),
    ] = None,
    *,
    train: Annotated[int, typer.Option(min=1, help="Scenes to train on.")] = 2000,
    validation: Annotated[int, typer.Option(min=1, help="Scenes to choose on.")] = 300,
    test: Annotated[int, typer.Option(min=1, help="Scenes of each test.")] = 500,
    image_size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels a side.")] = 128,
    openmoji: Annotated[
        Path | None,
        typer.Option(help="An npm archive of @iconify-json/openmoji: one more test, share-alike."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compose a data set of scenes to try.

    Drawings by several artists on varied backgrounds, with captions, boxes, questions, phrases,
    statements and clips, the same for the same seed. The fields are those of data.scenes
    (`mplug recipes show demo-pretrain`). FOLDER/README.md says what each file is for.
    """
    from mplug.config.load import load_config
    from mplug.config.schema import ScenesConfig
    from mplug.data.scenes.folder import write_dataset
    from mplug.data.scenes.openmoji import use_openmoji

    fields = ["data.scenes={}", *(f"data.scenes.{word}" for word in words or ())]
    world = load_config("tiny-pretrain", fields).data.scenes or ScenesConfig()
    made = write_dataset(
        folder,
        config=world,
        image_size=image_size,
        train=train,
        validation=validation,
        test=test,
        extra_artists=[use_openmoji(openmoji)] if openmoji else [],
    )
    _show_made(made, as_json=as_json)


@data.command()
def stamps(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    *,
    deb: Annotated[
        Path | None, typer.Option(help="The package's .deb; otherwise apt-get fetches it.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of the captions, such as de or pt_BR.")] = "en",
    seed: Annotated[int, typer.Option(help="Of the splits.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a data set of Tux Paint's stamps.

    Real photographs and drawings, cut out, with captions by people, from the Debian package
    tuxpaint-stamps-default. They are GPL-2: made on your machine, not part of mplug.
    """
    from mplug.data.scenes.stamps import build_stamps

    if deb is None:
        typer.secho("fetching the package with apt-get; this may take minutes", err=True)
    made = build_stamps(folder, deb=deb, language=language, seed=seed)
    _show_made(made, as_json=as_json)


@data.command()
def emoji(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    *,
    archives: Annotated[
        Path | None, typer.Option(help="A folder of the npm packages' .tgz; kept for next time.")
    ] = None,
    image_size: Annotated[int, typer.Option(min=16, max=512, help="Pixels a side.")] = 64,
    as_json: Json = False,
) -> None:
    """Make a data set of whole emoji sets by eight artists.

    About 1,600 single pictures an artist with label and keywords as text, fetched with npm and
    drawn here in minutes: train on some artists, test on Fluent. `mplug metrics pixels` says what
    comparing pixels finds.
    """
    from mplug.data.scenes.emoji import build_emoji

    made = build_emoji(
        folder,
        archives=archives,
        side=image_size,
        progress=lambda artist: typer.secho(f"drawing {artist}", err=True),
    )
    _show_made(made, as_json=as_json)


def _show_made(made: "Summary", *, as_json: bool) -> None:
    if as_json:
        fields = {"records": dict(made.records), "left_out": dict(made.left_out)}
        print(json.dumps({"folder": str(made.folder), **fields}))
        return
    for name, count in made.records.items():
        print(f"{made.folder / name}: {count}")
    for reason, count in made.left_out.items():
        print(f"left out: {count}, {reason}")
    print(f"what they are and who made them: {made.folder / 'README.md'}")


def _lines(report: "CheckReport") -> Iterator[str]:
    """What a person wants to know of a data set, most urgent last."""
    yield f"{report.path}: {report.rows} rows, {report.good_rows} good, {report.bad_rows} bad"
    fields = ", ".join(f"{name} {count}" for name, count in report.fields.items())
    yield f"fields:     {fields or 'none'}"
    yield f"pictures:   {report.images}; width {_spread(report.width)}, height " + _spread(
        report.height
    )
    if report.clips:
        frames, seconds = _spread(report.clip_frames), _spread(report.clip_seconds)
        yield f"clips:      {report.clips}; frames {frames}, seconds {seconds}"
    yield f"captions:   {report.captions}; words each {_spread(report.words)}"
    if report.long_captions:
        yield f"            {report.long_captions} are longer than pretraining reads"
    common = ", ".join(f"{word} {count}" for word, count in report.common_words)
    yield f"words:      {report.distinct_words} different; {common}"
    if report.tokens is not None:
        unknown = report.unknown_share or 0.0
        yield f"pieces:     each caption {_spread(report.tokens)}; {unknown:.2%} of words are [UNK]"
    yield from _repeated("the same row", report.repeated_rows)
    yield from _repeated("one caption for several pictures", report.repeated_captions)
    yield from _repeated("one picture under several names", report.repeated_pictures)
    for problem in report.problems[:SHOWN]:
        yield f"bad: {problem}"
    if len(report.problems) > SHOWN:
        yield f"... and {len(report.problems) - SHOWN} more; --json lists them all"


def _spread(spread: "Spread | None") -> str:
    if spread is None:
        return "unknown"
    if spread.least == spread.most:
        return f"{spread.least:g}"
    return f"{spread.least:g} to {spread.most:g} (median {spread.median:g})"


def _repeated(what: str, found: "Repetitions") -> Iterator[str]:
    if found.count:
        yield f"repeated:   {what}, {found.count} times, such as {found.first[0]}"


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} files", end="", file=sys.stderr, flush=True)
    if done >= total:
        print(file=sys.stderr)
