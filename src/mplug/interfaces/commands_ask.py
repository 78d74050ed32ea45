"""`mplug answer`, `ground`, `compare` and `entail`: a fine-tuned model on your pictures."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mplug.errors import ConfigError, DataError
from mplug.interfaces.caption_file import json_line
from mplug.interfaces.commands_use import (
    DeviceName,
    Frames,
    Json,
    ModelName,
    PrecisionName,
    load_model,
    shown,
)

ImageName = Annotated[Path, typer.Argument(metavar="IMG", help="A picture.")]
Visual = Annotated[Path, typer.Argument(metavar="IMG", help="A picture or a clip.")]


def answer(
    image: Visual,
    question: Annotated[str, typer.Argument(help="What to ask.")],
    *,
    answers: Annotated[
        Path | None,
        typer.Option(help="Choose among these answers: a line each, or a JSON list (.json)."),
    ] = None,
    text: Annotated[str, typer.Option(help="Words that help, such as those in the picture.")] = "",
    frames: Frames = None,
    model: ModelName = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Answer a question about a picture or a clip.

    Exit code: 0 answered, 2 a wrong option, 3 the picture or the answers could not be read, 4 no
    usable model, or one that was not trained to answer questions.
    """
    _require_words(question, name="question")
    choice = None if answers is None else read_answers(answers)
    loaded = load_model(model, device=device, precision=precision)
    found = loaded.answer(loaded.read(image, frames=frames), question, answers=choice, text=text)
    if as_json:
        print(json_line({"image": str(image), "question": question, "answer": found}))
    else:
        print(shown(found))


def ground(
    image: ImageName,
    phrase: Annotated[str, typer.Argument(help="What to look for.")],
    *,
    best: Annotated[int, typer.Option(min=1, help="How many boxes to look for.")] = 1,
    draw: Annotated[
        Path | None, typer.Option(help="Write the picture with its boxes here (.png, .jpg).")
    ] = None,
    model: ModelName = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Find what a phrase names: probability, then left, top, right, bottom in pixels.

    Exit code: 0 found, 2 a wrong option, 3 the picture could not be read or the drawing not be
    written, 4 no usable model, or one that was not trained to ground phrases.
    """
    _require_words(phrase, name="phrase")

    from mplug.data.media import load_image
    from mplug.interfaces.drawing import draw_boxes, require_drawable, save_picture

    if draw is not None:
        require_drawable(draw)
    picture = load_image(image)
    loaded = load_model(model, device=device, precision=precision)
    found = loaded.ground(picture, phrase, best=best)
    boxes = [found] if best == 1 else found
    if draw is not None:
        labels = [f"{phrase} {box.score:.0%}" for box in boxes]
        save_picture(draw_boxes(picture, [box[:4] for box in boxes], labels=labels), draw)
    if as_json:
        fields = {"image": str(image), "phrase": phrase, "size": list(picture.size)}
        drawn = {} if draw is None else {"drawn": str(draw)}
        print(json_line({**fields, "boxes": [box._asdict() for box in boxes], **drawn}))
        return
    for box in boxes:
        print("\t".join([f"{box.score:.3f}", *(f"{side:.1f}" for side in box[:4])]))


def compare(
    first: ImageName,
    second: ImageName,
    statement: Annotated[str, typer.Argument(help="What may be true of the two.")],
    *,
    model: ModelName = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Judge a statement about two pictures: the probability that it is true, and the verdict.

    Exit code: 0 judged, 2 a wrong option, 3 a picture could not be read, 4 no usable model, or one
    that was not trained to compare pictures.
    """
    _require_words(statement, name="statement")
    loaded = load_model(model, device=device, precision=precision)
    probability = loaded.compare(first, second, statement)
    verdict = probability > 0.5
    if as_json:
        images = [str(first), str(second)]
        fields = {"images": images, "statement": statement, "probability": probability}
        print(json_line({**fields, "verdict": verdict}))
    else:
        print(f"{probability:.3f}\t{'true' if verdict else 'false'}")


def entail(
    image: Visual,
    hypothesis: Annotated[str, typer.Argument(help="What may follow from the picture.")],
    *,
    premise: Annotated[str, typer.Option(help="What the picture shows, in words.")] = "",
    frames: Frames = None,
    model: ModelName = None,
    device: DeviceName = None,
    precision: PrecisionName = "float32",
    as_json: Json = False,
) -> None:
    """Judge whether a picture entails a hypothesis, contradicts it, or leaves it open (neutral).

    The three probabilities, the largest first. Exit code: 0 judged, 2 a wrong option, 3 the picture
    could not be read, 4 no usable model, or one that was not trained to judge entailment.
    """
    _require_words(hypothesis, name="hypothesis")
    loaded = load_model(model, device=device, precision=precision)
    picture = loaded.read(image, frames=frames)
    probabilities = loaded.entail(picture, hypothesis, premise=premise)
    ordered = sorted(probabilities, key=lambda label: -probabilities[label])
    if as_json:
        fields = {"image": str(image), "hypothesis": hypothesis, "verdict": ordered[0]}
        print(json_line({**fields, "probabilities": probabilities}))
        return
    for label in ordered:
        print(f"{probabilities[label]:.3f}\t{label}")


def read_answers(path: Path) -> list[str]:
    """A closed list of answers, each once: a line each, or a JSON list of texts.

    Raises:
        DataError: the file cannot be read, or holds no answers.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
        listed = json.loads(content) if path.suffix.lower() == ".json" else content.splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise DataError(f"{path}: must hold a JSON list of texts")
    answers = list(dict.fromkeys(one.strip() for one in listed if one.strip()))
    if not answers:
        raise DataError(f"{path}: holds no answers")
    return answers


def _require_words(text: str, *, name: str) -> None:
    if not text.strip():
        raise ConfigError(f"the {name} is empty")
