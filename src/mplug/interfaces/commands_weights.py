"""`mplug weights`: bring in the weights of other projects."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mplug.weights.importing import Account

SHOWN = 4  # names of a group of dropped tensors; import.json and --json have all of them

weights = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Bring in the weights of other projects.",
)


@weights.callback()
def _group() -> None:
    """Bring in the weights of other projects."""


@weights.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, a folder, or OWNER/NAME of the hub.")
    ],
    *,
    kind: Annotated[
        str, typer.Option("--as", help="mplug, clip, uniter, albef, bert or vit.", metavar="KIND")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder to make; without it nothing is written.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The original's configuration, where no config.json lies beside it."),
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option(help="Its vocabulary, where none lies beside it.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Resize positions to pictures of so many pixels.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="The beginning of keys to drop; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Turn the weights of another project into a folder of ours.

    Reads .safetensors, and .pth, .pt, .bin and .ckpt without running any code in them. Every tensor
    is used, or dropped for a reason that is told; what is missing, unexpected or of another size is
    listed, and refused. A bert or vit is for `mplug train ... init.text=DIR init.vision=DIR`.
    """
    from mplug.interfaces.json_output import only_json
    from mplug.weights.importing import Request, import_weights, save_import

    with only_json(as_json):
        request = Request(
            source=source,
            kind=kind,
            config=config,
            vocabulary=vocabulary,
            image_size=image_size,
            ignore=tuple(ignore or ()),
        )
        made = import_weights(request)
        if out is not None:
            save_import(made, out)
    if as_json:
        print(json.dumps({**made.account.to_dict(), "folder": None if out is None else str(out)}))
        return
    print("\n".join(_lines(made.account)))
    print(f"{out}: saved" if out else "nothing was written: name a folder with --out")


def _lines(account: "Account") -> Iterator[str]:
    """The account for a person: what is there, and what became of the rest."""
    yield (
        f"{account.kind}: {account.tensors:,} tensors of {', '.join(account.files)}, "
        f"{account.parameters / 1e6:.1f} M parameters"
    )
    groups: dict[str, list[str]] = defaultdict(list)
    for key, why in account.dropped.items():
        groups[why].append(key)
    for why, keys in groups.items():
        more = f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else ""
        yield f"dropped: {', '.join(keys[:SHOWN])}{more} ({why})"
    for key, how in account.resized.items():
        yield f"resized: {key} {how}"
    parts: dict[str, int] = defaultdict(int)
    for name in account.new:
        parts[name.split(".")[0]] += 1
    for part, count in parts.items():
        yield f"new, as the file lacks it: {part} ({count:,} tensors)"
    yield from account.notes
    if account.left_out:
        yield f"left out, as no weights: {', '.join(account.left_out)}"
