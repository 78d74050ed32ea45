"""`mplug classify` and `mplug probe`: classes by their names alone, and read off the vectors."""

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mplug.errors import ConfigError
from mplug.interfaces.caption_file import json_line
from mplug.interfaces.commands_train import Device
from mplug.interfaces.commands_use import DeviceName, Json, ModelName, PrecisionName, load_model
from mplug.interfaces.locate import require_model

Template = Annotated[
    list[str] | None,
    typer.Option(help="A sentence with {} for the label; may be repeated [four plain ones]."),
]
Templates = Annotated[Path | None, typer.Option(help="A text file of such sentences, one a line.")]


def classify(
    image: Annotated[Path, typer.Argument(help="A picture or a clip.")],
    labels: Annotated[list[str], typer.Argument(help="The classes, by name.")],
    *,
    template: Template = None,
    templates: Templates = None,
    model: ModelName = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Say which of some classes a picture shows, by their names alone: probability, label.

    Each name is put into several sentences, and stands for the mean of what they say.

    Exit code: 0 classified, 2 a wrong option, 3 the picture could not be read, 4 no usable model.
    """
    sentences = _templates(template, templates)
    loaded = load_model(model, device=device, precision=precision)
    found = loaded.classify(image, labels, templates=sentences)
    if as_json:
        rows = [{"label": label, "probability": share} for label, share in found.items()]
        print(json_line({"image": str(image), "classes": rows}))
        return
    for label, share in found.items():
        print(f"{share:.3f}\t{label}")


def probe(
    run: Annotated[str, typer.Argument(help="A run, a saved model, mplug-tiny or a hub name.")],
    train: Annotated[Path, typer.Argument(help="Records with labels, to learn from.")],
    data: Annotated[Path, typer.Argument(help="Records with labels, to measure on.")],
    *,
    template: Template = None,
    templates: Templates = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Measure how well a linear classifier reads labels off a frozen model's vectors.

    Beside it: the labels told by their names alone (zero-shot), the most frequent label, chance.

    Exit code: 0 measured, 2 a wrong option, 3 records that cannot be used, 4 no usable model.
    """
    sentences = _templates(template, templates)
    require_model(run)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        from mplug.interfaces.demo.table import table_lines
        from mplug.interfaces.probe import probe_file

        scores = probe_file(run, train=train, data=data, templates=sentences, device=device)
    rows = [asdict(score) for score in scores]
    if as_json:
        print(json.dumps({"model": run, "train": str(train), "data": str(data), "scores": rows}))
        return
    print("\n".join(table_lines(rows, unit="pictures")))


def _templates(given: list[str] | None, file: Path | None) -> tuple[str, ...]:
    from mplug.inference.zero_shot import TEMPLATES, read_templates

    if given and file is not None:
        raise ConfigError("--template and --templates: give one or the other")
    if file is not None:
        return read_templates(file)
    return tuple(given) if given else TEMPLATES
