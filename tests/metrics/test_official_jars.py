"""METEOR and SPICE: what is said where they are missing, and the talk with a stand-in for Java."""

import json
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from mplug.errors import MissingExtraError, MPlugError
from mplug.metrics import official_jars
from mplug.metrics.official_jars import (
    CORENLP_FILES,
    METEOR_FILES,
    SPICE_FILES,
    meteor,
    spice,
    why_no_meteor,
    why_no_spice,
)

# Keeps what it is told, and scores each candidate by its number of words over ten.
METEOR = """
for line in sys.stdin:
    heard.write(line)
    kind, *parts = line.strip().split(" ||| ")
    if kind == "SCORE":
        print(len(parts[-1].split()), flush=True)
    else:
        print(*(int(part) / 10 for part in parts), 0.75, sep="\\n", flush=True)
"""
SPICE = """
source, target = sys.argv[sys.argv.index("-jar") + 2], sys.argv[sys.argv.index("-out") + 1]
asked = json.load(open(source, encoding="utf-8"))
heard.write(json.dumps(asked))
scores = [{"All": {"f": len(each["test"].split()) / 10}} for each in asked]
scores[0]["All"]["f"] = float("nan")
answers = [{"image_id": each["image_id"], "scores": s} for each, s in zip(asked, scores)]
json.dump(answers[::-1], open(target, "w", encoding="utf-8"))
"""
BROKEN = "sys.exit('no such file: paraphrase-en.gz')"

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a package with some files, and a program `java` that runs a script."""

    def made(*files: str, java: str | None) -> Path:
        package, programs = tmp_path / "pycocoevalcap", tmp_path / "bin"
        for file in files:
            (package / file).parent.mkdir(parents=True, exist_ok=True)
            (package / file).touch()
        programs.mkdir()
        if java is not None:
            program = programs / "java"
            log = tmp_path / "heard.txt"
            start = f"#!{sys.executable}\nimport json, sys\nheard = open({str(log)!r}, 'w')\n"
            program.write_text(start + java, encoding="utf-8")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(programs))
        found = ModuleSpec("pycocoevalcap", None, is_package=True)
        found.submodule_search_locations = [str(package)]
        monkeypatch.setattr(official_jars, "find_spec", lambda _: found if files else None)
        return tmp_path / "heard.txt"

    return made


def test_without_java_and_package_both_are_asked_for(install: Install) -> None:
    install(java=None)
    assert why_no_meteor() == (
        "METEOR needs Java (the program java, 8 or later) and the package pycocoevalcap "
        "(pip install 'mplug[eval]')"
    )
    assert str(why_no_spice()).startswith("SPICE needs Java")
    with pytest.raises(MissingExtraError, match="METEOR needs Java"):
        meteor(["a"], [["a"]])
    with pytest.raises(MissingExtraError, match="SPICE needs Java"):
        spice(["a"], [["a"]])


def test_a_missing_file_is_named(install: Install) -> None:
    install(METEOR_FILES[0], *SPICE_FILES, java=METEOR)
    assert str(why_no_meteor()).endswith("pycocoevalcap/meteor/data/paraphrase-en.gz")
    assert "stanford-corenlp-3.6.0.jar and stanford-corenlp-3.6.0-models.jar" in str(why_no_spice())


def test_meteor_is_told_every_image_and_its_own_corpus_value_is_kept(install: Install) -> None:
    heard = install(*METEOR_FILES, java=METEOR)
    judged = meteor(["a cat", "one ||| two\nthree"], [["x", "y z"], ["w"]])
    assert judged.per_image.tolist() == [0.2, 0.3]
    assert judged.corpus == 0.75
    assert heard.read_text().splitlines() == [
        "SCORE ||| x ||| y z ||| a cat",
        "SCORE ||| w ||| one two three",
        "EVAL ||| 2 ||| 3",
    ]


def test_many_images_do_not_stop_the_talk(install: Install) -> None:
    install(*METEOR_FILES, java=METEOR)
    count = 3000  # more than the pipes between the two hold
    judged = meteor(["word " * 20] * count, [["reference " * 20] * 3] * count)
    assert len(judged.per_image) == count


def test_spice_answers_are_put_in_order_and_no_tuples_count_as_nothing(install: Install) -> None:
    heard = install(*SPICE_FILES, *CORENLP_FILES, java=SPICE)
    judged = spice(["a", "b c"], [["x"], ["y", "z"]])
    assert judged.per_image.tolist() == [0.0, 0.2]
    assert judged.corpus == pytest.approx(0.1)
    assert json.loads(heard.read_text())[1] == {"image_id": 1, "test": "b c", "refs": ["y", "z"]}


def test_a_program_that_fails_is_quoted(install: Install) -> None:
    install(*METEOR_FILES, *SPICE_FILES, *CORENLP_FILES, java=BROKEN)
    with pytest.raises(MPlugError, match="METEOR failed: no such file: paraphrase-en.gz"):
        meteor(["a"] * 2000, [["a"]] * 2000)
    with pytest.raises(MPlugError, match="SPICE failed: no such file: paraphrase-en.gz"):
        spice(["a"], [["a"]])


def test_the_language_of_the_machine_is_not_left_to_java(install: Install) -> None:
    install(*METEOR_FILES, java="sys.exit(' '.join(sys.argv[1:]))")
    with pytest.raises(MPlugError, match="-Duser.language=en -Duser.country=US -Dfile.encoding="):
        meteor(["a"], [["a"]])


def test_half_a_character_does_not_stop_the_talk(install: Install) -> None:
    install(*METEOR_FILES, java=METEOR)
    assert meteor(["a \ud800 b"], [["a"]]).per_image.tolist() == [0.3]


def test_wrong_input_is_named(install: Install) -> None:
    install(*METEOR_FILES, java=METEOR)
    with pytest.raises(ValueError, match="no candidate"):
        meteor([], [])
    with pytest.raises(ValueError, match="1 candidates but references for 2"):
        meteor(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="at least one reference"):
        meteor(["a"], [[]])
