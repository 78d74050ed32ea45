import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mplug.data.records import read_records
from mplug.errors import DataError
from mplug.interfaces import commands_use, compute
from mplug.interfaces.caption_file import CaptionFile
from mplug.interfaces.cli import main
from mplug.weights import shipped
from tests.tiny import broken_pictures, odd_pictures, picture, save_brought, save_tiny

Run = Callable[..., "Result"]


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def run(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The command line in an empty folder, with a model unless the words name one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*words: str | Path, default: bool = False) -> Result:
        command = [str(word) for word in words]
        if not default:
            command += ["--model", str(model), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["mplug", *command])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        code = left.value.code
        return Result(code if isinstance(code, int) else int(code is not None), *captured)

    return call


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that stands for the one that mplug brings."""
    monkeypatch.setattr(shipped, "FOLDER", save_brought(tmp_path / "package" / "mplug-tiny"))
    return shipped.FOLDER


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for seed in range(5):
        picture(seed).save(folder / f"{seed}.png")
    return folder


def test_odd_pictures_each_get_a_line(run: Run, tmp_path: Path) -> None:
    paths = odd_pictures(tmp_path / "odd ones")
    result = run("caption", tmp_path / "odd ones")
    assert result.code == 0
    assert result.err == ""
    assert [line.split("\t")[0] for line in result.lines] == [str(path) for path in paths]
    assert all(line.split("\t")[1] for line in result.lines)


def test_broken_pictures_each_get_a_line_of_their_own_and_the_others_captions(
    run: Run, tmp_path: Path
) -> None:
    broken_pictures(tmp_path / "all")
    picture(1).save(tmp_path / "all" / "good.png")
    result = run("caption", tmp_path / "all", tmp_path / "nowhere.jpg")
    assert result.code == 3
    assert [line.split("\t")[0] for line in result.lines] == [str(tmp_path / "all" / "good.png")]
    reasons = dict(line.split(": ", maxsplit=1) for line in result.err.splitlines())
    assert {Path(name).name for name in reasons} == {
        "bomb.png",
        "empty.png",
        "nowhere.jpg",
        "page.jpg",
        "truncated.jpg",
    }
    assert reasons[str(tmp_path / "all" / "bomb.png")].startswith("too many pixels")
    assert reasons[str(tmp_path / "all" / "page.jpg")] == "an HTML page, not an image"
    assert reasons[str(tmp_path / "nowhere.jpg")] == "no such file"


def test_a_folder_without_pictures_is_a_problem(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    result = run("caption", tmp_path / "bare")
    assert result.code == 3
    assert result.err == f"{tmp_path / 'bare'}: the folder holds no pictures\n"


def test_json_is_one_value(run: Run, pictures: Path) -> None:
    (pictures / "empty.jpg").write_bytes(b"")
    result = run("caption", pictures, "--json")
    assert result.code == 3
    assert [item["image"] for item in result.json["captions"]] == [
        str(pictures / f"{seed}.png") for seed in range(5)
    ]
    assert result.json["unreadable"] == [
        {"image": str(pictures / "empty.jpg"), "reason": "the file is empty"}
    ]


def test_a_prompt_begins_every_caption(run: Run, pictures: Path) -> None:
    result = run("caption", pictures, "--prompt", "a red trophy")
    assert all(line.split("\t")[1].startswith("a red trophy") for line in result.lines)


def test_a_picture_named_twice_is_described_once(run: Run, pictures: Path) -> None:
    assert len(run("caption", pictures, pictures / "1.png").lines) == 5


def test_names_that_would_break_a_line_are_quoted(run: Run, pictures: Path) -> None:
    picture(1).save(pictures / "a\nb.png")
    result = run("caption", pictures / "a\nb.png")
    assert len(result.lines) == 1
    assert "a\\nb.png" in result.out


def test_the_written_file_is_a_records_file(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "captions.jsonl"
    result = run("caption", pictures, "--out", out)
    assert result.code == 0
    assert result.out == f"{out}: 5 captions written, 0 were there already\n"
    records = read_records(out)
    assert not records.problems
    printed = dict(line.split("\t") for line in run("caption", pictures).lines)
    assert [record.caption[0] for record in records.records] == list(printed.values())
    image = json.loads(out.read_text().splitlines()[0])["image"]
    assert image == os.path.join("..", "my pictures", "0.png")


def test_a_file_begun_is_continued(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "captions.jsonl"
    run("caption", pictures, "--out", out)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:2]) + lines[2][:9])  # killed in the middle of a line
    result = run("caption", pictures, "--out", out, "--json")
    assert result.json["skipped"] == 2
    assert len(result.json["captions"]) == 3
    assert out.read_bytes() == whole
    again = run("caption", pictures, "--out", out)
    assert again.out == f"{out}: 0 captions written, 5 were there already\n"
    assert out.read_bytes() == whole


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "captions.jsonl"
    out.write_text('{"image": "a.png", "caption": "moon"}')
    with CaptionFile.open(out) as file:
        assert tmp_path / "a.png" in file
        file.add(tmp_path / "b.png", "größe")
        file.add(
            tmp_path / "c.png", "odd\u2028line"
        )  # a line separator of Unicode's, not of JSON's
    assert out.read_text(encoding="utf-8").split("\n")[:2] == [
        '{"image": "a.png", "caption": "moon"}',
        '{"image": "b.png", "caption": "größe"}',
    ]
    with CaptionFile.open(out) as file:
        assert file.done == {tmp_path / name for name in ("a.png", "b.png", "c.png")}


@pytest.mark.parametrize("content", ["notes\n", "notes", '{"image": "a.png"}\n', "\x00\xff"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    out = tmp_path / "notes.txt"
    out.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"notes\.txt: holds something other than captions"):
        CaptionFile.open(out)
    assert out.read_text(encoding="latin-1") == content


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = run("caption", pictures, "--out", tmp_path / "file" / "captions.jsonl")
    assert result.code == 3
    assert "cannot be written" in result.err


def test_ctrl_c_leaves_whole_lines_and_says_how_to_go_on(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "captions.jsonl"
    monkeypatch.setattr(compute, "BATCH", 2)
    real = CaptionFile.add

    def interrupted(file: CaptionFile, image: Path, caption: str) -> None:
        real(file, image, caption)
        if image.name == "2.png":
            raise KeyboardInterrupt

    monkeypatch.setattr(CaptionFile, "add", interrupted)
    result = run("caption", pictures, "--out", out)
    assert result.code == 130
    assert result.err == "stopped after 3 of 5 pictures: the same command continues\n"
    assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == [
        f"my pictures/{seed}.png" for seed in range(3)
    ]
    monkeypatch.setattr(CaptionFile, "add", real)
    assert "2 captions written, 3 were there already" in run("caption", pictures, "--out", out).out


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_process_can_be_continued(
    model: Path, pictures: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    for seed in range(5, 400):
        picture(seed).save(pictures / f"{seed}.png")
    out = tmp_path / "captions.jsonl"
    command = [sys.executable, "-m", "mplug", "caption", str(pictures), "--out", str(out)]
    command += ["--model", str(model), "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while process.poll() is None and (not out.exists() or not out.stat().st_size):
        time.sleep(0.01)
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert process.returncode == (130 if stop == signal.SIGINT else -stop)
    subprocess.run(command, check=True, timeout=120)
    images = [json.loads(line)["image"] for line in out.read_text().splitlines()]
    assert len(images) == len(set(images)) == 400


def test_searching_prints_the_nearest(run: Run, pictures: Path) -> None:
    result = run("search", pictures, "a red trophy", "--top", "3")
    assert result.code == 0
    assert result.err == ""
    cells = [line.split("\t") for line in result.lines]
    assert len(cells) == 3
    similarities = [float(similarity) for similarity, _, _ in cells]
    assert similarities == sorted(similarities, reverse=True)
    assert all(Path(path).parent == pictures for _, _, path in cells)


def test_searching_twice_embeds_once(run: Run, pictures: Path) -> None:
    first = run("search", pictures, "moon", "--json").json
    second = run("search", pictures, "moon", "--json").json
    assert (first["embedded"], second["embedded"]) == (5, 0)
    assert first["results"] == second["results"]


def test_reranking_adds_the_matching(run: Run, pictures: Path) -> None:
    results = run("search", pictures, "moon", "--rerank", "3", "--json").json["results"]
    matches = [hit["match"] for hit in results]
    assert matches[:3] == sorted(matches[:3], reverse=True)
    assert matches[3:] == [None, None]


def test_searching_names_broken_pictures_and_searches_the_others(run: Run, pictures: Path) -> None:
    (pictures / "page.jpg").write_text("<html>")
    result = run("search", pictures, "moon", "--json")
    assert result.code == 3
    assert result.err == f"{pictures / 'page.jpg'}: an HTML page, not an image\n"
    assert len(result.json["results"]) == 5
    assert [item["image"] for item in result.json["unreadable"]] == [str(pictures / "page.jpg")]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nowhere", "moon"), 3, "nowhere: no such folder"),
        ((".", " "), 2, "the text to look for is empty"),
        ((".", "moon"), 3, "holds no pictures"),
        ((".", "moon", "--top", "0"), 2, "--top"),
    ],
)
def test_a_search_that_cannot_be_is_explained(
    run: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    result = run("search", *words)
    assert result.code == code
    assert message in result.err


def test_ranking_prints_the_best_text_first(run: Run, pictures: Path) -> None:
    result = run("rank", pictures / "1.png", "moon", "a red trophy", "two boats")
    assert result.code == 0
    matches = [float(line.split("\t")[0]) for line in result.lines]
    assert matches == sorted(matches, reverse=True)
    texts = run("rank", pictures / "1.png", "moon", "a red trophy", "--json").json["texts"]
    assert {one["text"] for one in texts} == {"moon", "a red trophy"}
    assert set(texts[0]) == {"text", "match", "similarity"}


def test_ranking_for_a_broken_picture_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    result = run("rank", tmp_path / "empty.png", "moon")
    assert (result.code, result.out) == (3, "")
    assert result.err == f"error: {tmp_path / 'empty.png'}: the file is empty\n"


def test_the_newest_run_is_used_unless_a_model_is_named(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    save_tiny(tmp_path / "runs" / "mine" / "model")
    result = run("caption", pictures, default=True)
    assert (result.code, len(result.lines), result.err) == (0, 5, "")


def test_without_a_run_the_model_that_mplug_brings_is_used_and_says_what_it_knows(
    run: Run, brought: Path, pictures: Path
) -> None:
    result = run("caption", pictures, default=True)
    line = "mplug-tiny: 3 drawn things; train your own with mplug demo / mplug train\n"
    assert (result.code, len(result.lines), result.err) == (0, 5, line)
    told = run("caption", pictures, "--json", default=True)
    assert (len(told.json["captions"]), told.err) == (5, line)


@pytest.mark.parametrize(
    "words",
    [
        ("search", ".", "a red trophy"),
        ("rank", "1.png", "moon", "two boats"),
        ("answer", "1.png", "where?"),
        ("ground", "1.png", "moon"),
        ("compare", "1.png", "2.png", "both show a moon"),
        ("entail", "1.png", "there is a moon"),
    ],
)
def test_every_verb_works_with_what_mplug_brings(
    run: Run,
    brought: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(pictures)
    by_default, named = (
        run(*words, default=True),
        run(*words, "--model", "mplug-tiny", default=True),
    )
    assert by_default.code == named.code == 0
    assert by_default.err.startswith("mplug-tiny: 3 drawn things;")
    assert by_default.out == named.out


def test_an_installation_without_its_model_says_so(run: Run, brought: Path, pictures: Path) -> None:
    (brought / "model.safetensors").unlink()
    result = run("caption", pictures, default=True)
    assert result.code == 4
    assert "mplug-tiny is missing from this installation" in result.err


def test_a_model_that_is_not_there_is_said_before_torch_is_imported() -> None:
    code = (
        "import sys; from mplug.interfaces.cli import main; sys.argv = ['mplug', 'caption', "
        "'setup.py', '--model', 'runs/nothing']\n"
        "try:\n    main()\nexcept SystemExit as left:\n"
        "    print(left.code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "4 False\n"
    assert "runs/nothing: no such folder" in done.stderr


def test_help_tells_the_exit_codes(run: Run) -> None:
    for command in ("caption", "search", "rank"):
        text = " ".join(run(command, "--help", default=True).out.split())
        assert "Exit code: 0" in text


def test_file_names_that_are_no_text_can_be_printed() -> None:
    assert commands_use.shown("plain name.png") == "plain name.png"
    assert commands_use.shown("\udcff.png") == r"'\udcff.png'"
