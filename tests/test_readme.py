"""What the readme and the pages under docs/ tell a person to type works as written."""

import json
import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from PIL import Image

from mplug.config.load import load_run
from mplug.config.ready import require_ready
from mplug.data.fields import FIELDS
from mplug.interfaces import cli
from mplug.weights import shipped
from mplug.weights.uniter_folder import save_uniter
from tests.tiny import CARD, SKILLS, save_brought, save_tiny
from tests.tiny_uniter import ALL, tiny_uniter
from tests.tiny_zoo import save_tiny_zoo

ROOT = Path(__file__).parents[1]
# A model's card tells how to use that model, wherever it is, which is not here.
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if not page.name.endswith("-card.md")
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
MINUTES = ("train", "demo")  # these are parsed to the last word, and not run


# What a person would have downloaded, or made with a model: one image, one question.
PERSON = {"question_type": "what is", "answer_type": "other", "answers": [{"answer": "cat"}]}
KARPATHY_IMAGE = {
    "filepath": "val2014",
    "filename": "COCO_val2014_000000391895.jpg",
    "cocoid": 391895,
    "split": "test",
    "sentences": [{"raw": "A man on a dirt bike.", "sentid": 770337}],
}
OFFICIAL_FILES: dict[str, Any] = {
    "dataset_coco.json": {"dataset": "coco", "images": [KARPATHY_IMAGE]},
    "captions_val2014.json": {"annotations": [{"image_id": 1, "caption": "a cat"}]},
    "predicted_captions.json": [{"image_id": 1, "caption": "a cat"}],
    "questions.json": {"questions": [{"question_id": 1, "question": "What is it?"}]},
    "annotations.json": {"annotations": [{"question_id": 1, **PERSON}]},
    "predicted_answers.json": [{"question_id": 1, "answer": "cat"}],
}


class Typed(NamedTuple):
    """A line that a page tells a person to type."""

    page: str
    line: str


def blocks(language: str) -> list[Typed]:
    return [
        Typed(page.name, content)
        for page in PAGES
        for kind, content in BLOCK.findall(page.read_text(encoding="utf-8"))
        if kind == language
    ]


def commands(name: str) -> list[Typed]:
    lines = [Typed(page, line) for page, block in blocks("bash") for line in block.splitlines()]
    return [typed for typed in lines if typed.line.startswith(f"{name} ")]


def named(typed: list[Typed]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("typed", typed, ids=[f"{page}: {line}" for page, line in typed])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the pages speak of: a trained model, pictures, records."""
    folder = tmp_path_factory.mktemp("readme")
    uniter = tiny_uniter("mplug-tiny", *ALL)
    save_uniter(folder / "runs" / "uniter-scenes-tasks" / "model", uniter, card=CARD)
    for name in ("vilt", "simvlm"):
        save_tiny_zoo(folder / "runs" / f"{name}-scenes" / "model", name)
    for run in ("runs/tiny-caption", "runs/demo"):  # last: commands take the newest run's model
        save_tiny(folder / run / "model", skills=SKILLS)
    save_brought(folder / "package" / shipped.NAME)
    for name in ("photos", "holiday pictures"):
        (folder / name).mkdir()
    lines = []
    for number in range(1, 5):
        picture = Image.new("RGB", (48, 40), (60 * number, 200 - 40 * number, 90))
        picture.save(folder / "photos" / f"000{number}.jpg")
        picture.save(folder / "holiday pictures" / f"{number}.png")
        lines.append(
            json.dumps({"image": f"photos/000{number}.jpg", "caption": f"a red trophy {number}"})
        )
    held_out = {"image": "other.png", "caption": "a blue boat"}
    (folder / "test.jsonl").write_text(json.dumps(held_out), encoding="utf-8")
    asked = {"image": "other.png", "question": "what is it?", "answers": [{"text": "a boat"}]}
    (folder / "questions.jsonl").write_text(json.dumps(asked), encoding="utf-8")
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name, content in OFFICIAL_FILES.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "coco" / "val2014").mkdir(parents=True)
    Image.new("RGB", (50, 60)).save(folder / "coco" / "val2014" / "COCO_val2014_000000391895.jpg")
    (folder / "answers.txt").write_text("an avocado\na red trophy\n", encoding="utf-8")
    for name in ("photo.jpg", "other.png"):
        Image.new("RGB", (50, 60), (10, 90, 200)).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def brought(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model stands for the one that mplug brings."""
    monkeypatch.setattr(shipped, "FOLDER", prepared / "package" / shipped.NAME)


@named(commands("mplug"))
def test_every_command_works_as_written(
    typed: Typed, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(typed.line, comments=True)
    monkeypatch.chdir(prepared)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    if words[1] in MINUTES:
        parsed = parse(words[1:])
        if words[1] == "train":
            require_ready(load_run(parsed["recipe"], parsed["words"] or ()))
        return
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code


def parse(words: list[str]) -> dict[str, Any]:
    """What a command would be called with."""
    group: Any = typer.main.get_command(cli.app)
    context = group.make_context("mplug", list(words))
    name, command, rest = group.resolve_command(context, list(words))
    return dict(command.make_context(name, rest, parent=context).params)


@named(commands("make"))
def test_every_make_target_exists(typed: Typed) -> None:
    target = shlex.split(typed.line, comments=True)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@named(blocks("python"))
def test_every_python_example_runs(
    typed: Typed, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prepared)
    exec(compile(typed.line, typed.page, "exec"), {})


@named(blocks("json"))
def test_every_record_shown_is_one(typed: Typed) -> None:
    for line in typed.line.splitlines():
        for field, value in json.loads(line).items():
            FIELDS[field](value)


def test_every_record_field_is_documented() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert all(f"| `{field}` |" in page for field in FIELDS)


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere_and_commands_in_prose_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [link for link in LINK.findall(text) if "://" not in link]
    assert not [link for link in targets if not (page.parent / link).exists()]
    assert set(re.findall(r"`mplug ([a-z]+)\b", text)) <= {*cli.COMMANDS}
