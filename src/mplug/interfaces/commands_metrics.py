"""`mplug metrics`: the scorers alone, on files in the official formats, and a pixel baseline."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from mplug.data.official_files import VqaFiles

Split = Annotated[
    str | None, typer.Option(help="The split's name in the signatures, if the file's is not it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

metrics = typer.Typer(
    help="Score captions or answers in files of the official formats; search by pixels.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class Shown(NamedTuple):
    """A figure as it is printed."""

    metric: str
    value: float
    signature: str


@metrics.command()
def captions(
    references: Annotated[Path, typer.Argument(help="COCO captions: the annotation file.")],
    predictions: Annotated[Path, typer.Argument(help="COCO caption results: image_id, caption.")],
    *,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Score captions against references.

    BLEU, ROUGE-L and CIDEr-D equal the official scorer's and need no Java; METEOR and SPICE are
    the official programs, where Java and their jars are (pip install 'mplug[eval]'). The images
    scored, and CIDEr-D's document frequencies, are those that have a prediction.
    """
    from mplug.data.official_files import read_captions
    from mplug.metrics.caption_figures import Tokenised, caption_figures, jar_figures

    files = read_captions(references, predictions)
    tokens = Tokenised.of(files.candidates, files.references)
    name = split or references.stem
    judged = jar_figures(tokens, split=name)
    figures = [
        Shown(each.metric, each.value, str(each.signature))
        for each in [*caption_figures(tokens, split=name), *judged.figures]
    ]
    if as_json:
        counts = {"images": tokens.images, "unpredicted_images": files.unpredicted}
        fields = {"split": name, **counts, "references": tokens.texts, "missing": judged.missing}
        print(json.dumps({**fields, "figures": [figure._asdict() for figure in figures]}))
        return
    print(f"{tokens.images} images, {tokens.texts} references")
    if files.unpredicted:
        print(f"left out: {files.unpredicted} images of {references} without a prediction")
    print("\n".join(_lines(figures, digits=4)))
    for lacking in judged.missing:
        print(f"not scored: {lacking}")


@metrics.command()
def vqa(
    questions: Annotated[Path, typer.Argument(help="The question file.")],
    annotations: Annotated[Path, typer.Argument(help="The annotation file: people's answers.")],
    results: Annotated[Path, typer.Argument(help="The model's: question_id, answer.")],
    *,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Score answers against those of several people.

    In percent, as the official VQA v2 evaluation: three people who agree are enough. By kind of
    answer and of question too.
    """
    from mplug.data.official_files import read_vqa

    files = read_vqa(questions, annotations, results)
    figures = list(_vqa_figures(files, split=split or files.split))
    if as_json:
        fields = {"split": split or files.split, "questions": len(files.questions)}
        print(json.dumps({**fields, "figures": [figure._asdict() for figure in figures]}))
        return
    print(f"{len(files.questions)} questions")
    print("\n".join(_lines(figures, digits=2)))


@metrics.command()
def pixels(
    train: Annotated[Path, typer.Argument(help="Records whose pictures are known.")],
    test: Annotated[Path, typer.Argument(help="Records whose texts are searched.")],
    *,
    as_json: Json = False,
) -> None:
    """Search texts by comparing pixels: the baseline of a model that finds texts for pictures.

    A picture of TEST gets the texts of the pictures of TRAIN that look most like it. Recalls in
    percent with 95% intervals, for texts that are equal in every letter.
    """
    from mplug.tasks.pixel_search import pixel_search

    found = pixel_search(train, test)
    if as_json:
        counts = {"images": found.images, "texts": found.texts, "known_pictures": found.known}
        intervals = {name: list(bounds) for name, bounds in found.intervals.items()}
        print(json.dumps({**counts, "recalls": found.recalls, "intervals": intervals}))
        return
    print(f"{found.images} pictures, {found.texts} texts, {found.known} known pictures")
    for name, recall in found.recalls.items():
        low, high = found.intervals[name]
        print(f"{name:<27} {recall:6.1%}  [{low:.1%}, {high:.1%}]")


def _vqa_figures(files: "VqaFiles", *, split: str) -> Iterator[Shown]:
    from mplug.metrics.signature import vqa_signature
    from mplug.metrics.vqa import Question, vqa_accuracy

    found = vqa_accuracy([Question(*each) for each in files.questions])
    answers = sum(len(each.answers) for each in files.questions)
    signature = vqa_signature(split=split, questions=len(files.questions), answers=answers)
    yield Shown("vqa_accuracy", found.overall, str(signature))
    for field, means in (
        ("answer_type", found.per_answer_type),
        ("question_type", found.per_question_type),
    ):
        asked: Counter[str] = Counter()
        people: Counter[str] = Counter()
        for each in files.questions:
            asked[getattr(each, field)] += 1
            people[getattr(each, field)] += len(each.answers)
        for kind, value in means.items():
            signature = vqa_signature(
                split=split,
                questions=asked[kind],
                answers=people[kind],
                kind={field: kind},
            )
            yield Shown(f"vqa_accuracy, {field} {kind!r}", value, str(signature))


def _lines(figures: list[Shown], *, digits: int) -> Iterator[str]:
    width = max(len(figure.metric) for figure in figures)
    for metric, value, signature in figures:
        yield f"{metric:<{width}}  {value:{4 + digits}.{digits}f}  {signature}"
