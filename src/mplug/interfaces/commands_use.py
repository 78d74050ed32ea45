"""`mplug caption`, `mplug search` and `mplug rank`: a trained model on your pictures."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mplug.errors import ConfigError, DataError
from mplug.interfaces.caption_file import CaptionFile, json_line
from mplug.interfaces.commands_train import Device
from mplug.interfaces.locate import newest_model, require_model
from mplug.weights import shipped

if TYPE_CHECKING:
    from mplug.interfaces.api import Model, Picture

UNREADABLE = DataError.exit_code
INTERRUPTED = 130  # as shells report Ctrl-C

ModelName = Annotated[
    str | None,
    typer.Option("--model", help="A run, a saved model, mplug-tiny or a hub name [newest run]."),
]
Precision = Literal["float32", "bfloat16", "int8"]
PrecisionName = Annotated[Precision, typer.Option(help="Of the arithmetic; int8 is for the CPU.")]
DeviceName = Annotated[Device | None, typer.Option(help="Where to compute [the best].")]
Frames = Annotated[
    int | None, typer.Option(min=1, help="How many frames of a clip to look at [8].")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass
class Problems:
    """Pictures that could not be used, each named once on standard error."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, image: Path, reason: str) -> None:
        """Say what is wrong with a picture."""
        reason = reason.removeprefix(f"{image}: ")
        self.reasons[str(image)] = reason
        typer.secho(f"{shown(image)}: {shown(reason)}", fg="yellow", err=True)

    def as_json(self) -> list[dict[str, str]]:
        """Picture and reason of each."""
        return [{"image": image, "reason": reason} for image, reason in self.reasons.items()]

    def leave(self) -> None:
        """End the command with the exit code that these problems call for, if any."""
        if self.reasons:
            raise typer.Exit(UNREADABLE)


def caption(
    images: Annotated[list[Path], typer.Argument(help="Pictures, clips, or folders of pictures.")],
    *,
    model: ModelName = None,
    out: Annotated[
        Path | None, typer.Option(help="Write JSON lines here; a file begun is continued.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="Words that every caption begins with.")] = "",
    frames: Frames = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Describe pictures and clips, one line each: the path, a tab, the caption.

    Exit code: 0 all described, 2 a wrong option, 3 some pictures could not be read (each is named
    on standard error, the others are described), 4 no usable model, 130 stopped with Ctrl-C.
    """
    problems = Problems()
    paths = list(_expand(images, problems))
    captions: list[dict[str, str]] = []
    with CaptionFile.open(out) if out else nullcontext() as file:
        todo = [path for path in paths if file is None or path not in file]
        skipped = len(paths) - len(todo)
        try:
            quiet = as_json or file is not None
            for path, text in _captions(
                todo,
                problems,
                model=model,
                device=device,
                precision=precision,
                prompt=prompt,
                frames=frames,
                quiet=quiet,
            ):
                captions.append({"image": str(path), "caption": text})
                if file is not None:
                    file.add(path, text)
                elif not as_json:
                    print(f"{shown(path)}\t{text}", flush=True)
        except KeyboardInterrupt:
            advice = ": the same command continues" if out else ""
            typer.secho(f"stopped after {len(captions)} of {len(todo)} pictures{advice}", err=True)
            raise typer.Exit(INTERRUPTED) from None
    summary = {"captions": captions, "skipped": skipped, "unreadable": problems.as_json()}
    if as_json:
        print(json_line(summary if out is None else {"out": str(out), **summary}))
    elif out is not None:
        print(f"{shown(out)}: {len(captions)} captions written, {skipped} were there already")
    problems.leave()


def search(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures.")],
    text: Annotated[str, typer.Argument(help="What to look for.")],
    *,
    model: ModelName = None,
    top: Annotated[int, typer.Option(min=1, help="How many pictures to show.")] = 10,
    rerank: Annotated[
        int, typer.Option(min=0, help="How many of the nearest to look at again, more closely.")
    ] = 0,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Find the pictures of a folder that fit a text best: similarity, matching if reranked, path.

    The folder's pictures are looked at once; what the model saw is kept beside them, in
    .mplug-index, and only new and changed pictures are looked at again.

    Exit code: 0 all pictures usable, 2 a wrong option, 3 some could not be read (each is named on
    standard error, the others are searched) or there are none, 4 no usable model.
    """
    if not text.strip():
        raise ConfigError("the text to look for is empty")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    loaded = load_model(model, device=device, precision=precision)
    problems = Problems()
    gallery = loaded.index(folder, report=lambda line: typer.secho(line, err=True))
    for path, reason in gallery.unreadable.items():
        problems.add(path, reason)
    if not gallery.paths:
        raise DataError(f"{folder}: holds no pictures that can be searched")
    hits = loaded.search(gallery, text, top=top, rerank=rerank)
    results = [
        {"image": str(hit.path), "similarity": hit.similarity, "match": hit.match} for hit in hits
    ]
    if as_json:
        fields = {"text": text, "pictures": len(gallery.paths), "embedded": gallery.embedded}
        print(json_line({**fields, "results": results, "unreadable": problems.as_json()}))
    else:
        for hit in hits:
            match = "" if hit.match is None else f"{hit.match:.3f}"
            print(f"{hit.similarity:.3f}\t{match}\t{shown(str(hit.path))}")
    problems.leave()


def rank(
    image: Annotated[Path, typer.Argument(help="A picture.")],
    texts: Annotated[list[str], typer.Argument(help="Texts to compare.")],
    *,
    model: ModelName = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Order texts by how well they fit a picture: the probability of fitting, similarity, text.

    Exit code: 0 ranked, 2 a wrong option, 3 the picture could not be read, 4 no usable model.
    """
    ranked = load_model(model, device=device, precision=precision).rank(image, texts)
    if as_json:
        print(json_line({"image": str(image), "texts": [one._asdict() for one in ranked]}))
        return
    for one in ranked:
        similarity = "" if one.similarity is None else f"{one.similarity:.3f}"
        print(f"{one.match:.3f}\t{similarity}\t{one.text}")


def shown(name: Path | str) -> str:
    """A file name as one printable line, whatever bytes it holds."""
    text = str(name)
    return text if text.isprintable() else repr(text)


def _captions(
    paths: Sequence[Path],
    problems: Problems,
    *,
    model: str | None,
    device: Device | None,
    precision: Precision,
    prompt: str,
    frames: int | None,
    quiet: bool,
) -> Iterator[tuple[Path, str]]:
    """Pictures with their captions, some at a time; those that cannot be read are problems."""
    if not paths:
        return
    loaded = load_model(model, device=device, precision=precision)

    from mplug.interfaces.compute import chunks

    parts = list(chunks(paths))
    for part in _with_bar(parts) if quiet and sys.stderr.isatty() else parts:
        readable: dict[Path, Picture] = {}
        for path in part:
            try:
                readable[path] = loaded.read(path, frames=frames)
            except DataError as error:
                problems.add(path, str(error))
        texts = loaded.caption(list(readable.values()), prompt=prompt)
        yield from zip(readable, texts, strict=True)


def _with_bar(parts: Sequence[Sequence[Path]]) -> Iterable[Sequence[Path]]:
    from rich.console import Console  # late: a caption asked for at a prompt needs no bar
    from rich.progress import track

    return track(parts, "describing", console=Console(stderr=True), transient=True)


def _expand(images: Iterable[Path], problems: Problems) -> Iterator[Path]:
    """Each picture named, and those of each folder named; every picture once."""
    from mplug.inference.index import find_images

    seen: set[Path] = set()
    for image in images:
        found = find_images(image) if image.is_dir() else [image]
        if not found:
            problems.add(image, "the folder holds no pictures")
        for path in found:
            if path.absolute() not in seen:
                seen.add(path.absolute())
                yield path


def load_model(
    model: str | None, *, device: Device | None, precision: Precision = "float32"
) -> "Model":
    """The model asked for, else that of the newest run, else mplug-tiny, which says what it knows.

    A name that cannot be right is answered before torch is imported.
    """
    name: str | Path | None = newest_model() if model is None else model
    if name is None:
        name = shipped.folder()
        typer.secho(shipped.introduction(), err=True)
    require_model(name)

    from mplug.interfaces.api import load

    return load(name, device=device or "auto", precision=precision)
