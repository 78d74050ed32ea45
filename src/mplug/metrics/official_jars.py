"""METEOR 1.5 and SPICE, only as their authors' Java programs compute them.

Other programs of these names give other numbers, so nothing is ever put in their place: where Java
or a jar is missing, `why_no_meteor` and `why_no_spice` say so. The jars come with the Python
package pycocoevalcap (extra `eval`), of which nothing else is used.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from mplug.errors import MissingExtraError, MPlugError

METEOR_VERSION = "1.5"
SPICE_VERSION = "1.0"
METEOR_FILES = ("meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz")
SPICE_FILES = ("spice/spice-1.0.jar",)
CORENLP_FILES = (
    "spice/lib/stanford-corenlp-3.6.0.jar",
    "spice/lib/stanford-corenlp-3.6.0-models.jar",
)
# The program's decimal point and letters shall not depend on the machine's language.
_LANGUAGE = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")
_SEPARATOR = " ||| "


class Judged(NamedTuple):
    """The score of the corpus, and of each image [images]."""

    corpus: float
    per_image: npt.NDArray[np.float64]


def why_no_meteor() -> str | None:
    """What METEOR lacks here, as a sentence; None if it can run."""
    return _missing("METEOR", METEOR_FILES)


def why_no_spice() -> str | None:
    """What SPICE lacks here, as a sentence; None if it can run."""
    lacking = _missing("SPICE", SPICE_FILES)
    if lacking or not (absent := _absent(CORENLP_FILES)):
        return lacking
    return (
        f"SPICE needs {' and '.join(path.name for path in absent)} in {absent[0].parent}: "
        "they are part of Stanford CoreNLP 3.6.0, which pycocoevalcap does not bring"
    )


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Judged:
    """METEOR 1.5 (English, normalised) of one tokenised candidate an image.

    The corpus value is made of summed statistics: it is no mean.

    Raises:
        MissingExtraError: Java or the jar is not there.
        MPlugError: the program failed; its own words are in the message.
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    _require(why_no_meteor())
    _check(candidates, references)
    lines = [
        _SEPARATOR.join(["SCORE", *map(_one_line, texts), _one_line(candidate)])
        for candidate, texts in zip(candidates, references, strict=True)
    ]
    jar = _home() / METEOR_FILES[0]
    command = [_java(), *_LANGUAGE, "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio"]
    scores: list[str] = []
    with tempfile.TemporaryFile("w+") as complaints:
        # A program that ends early breaks the pipe to it, once more when the pipe is closed.
        with (
            suppress(BrokenPipeError),
            _started([*command, "-l", "en", "-norm"], jar.parent, complaints) as process,
        ):
            statistics = list(_answers(process, lines, len(lines)))
            evaluate = _SEPARATOR.join(["EVAL", *statistics])
            scores = list(_answers(process, [evaluate], len(lines) + 1))
        if len(scores) <= len(lines):
            raise _failed("METEOR", complaints)
    return Judged(float(scores[-1]), np.array(scores[:-1], dtype=np.float64))


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Judged:
    """SPICE (F of all tuples) of one tokenised candidate an image; the corpus value is the mean.

    Raises:
        MissingExtraError: Java, the jar or CoreNLP is not there.
        MPlugError: the program failed; its own words are in the message.
        ValueError: the two lists differ in length, there is no image, or one has no reference.
    """
    _require(why_no_spice())
    _check(candidates, references)
    asked = [
        {"image_id": place, "test": candidate, "refs": list(texts)}
        for place, (candidate, texts) in enumerate(zip(candidates, references, strict=True))
    ]
    jar = _home() / SPICE_FILES[0]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as complaints:
        source, target = Path(folder, "asked.json"), Path(folder, "answered.json")
        source.write_text(json.dumps(asked), encoding="utf-8")
        command = [_java(), *_LANGUAGE, "-Xmx8G", "-jar", str(jar), str(source)]
        done = subprocess.run(
            [*command, "-out", str(target), "-subset", "-silent"],
            cwd=jar.parent,
            stdout=complaints,
            stderr=complaints,
            check=False,
        )
        if done.returncode or not target.exists():
            raise _failed("SPICE", complaints)
        answered = json.loads(target.read_text(encoding="utf-8"))
    found = {answer["image_id"]: answer["scores"]["All"]["f"] for answer in answered}
    # No tuples at all, on either side, is no number: the official scorer counts it as 0.
    scores = np.nan_to_num(np.array([found[place] for place in range(len(asked))], dtype=float))
    return Judged(float(scores.mean()), scores)


def _home() -> Path:
    """The folder of pycocoevalcap, found without importing it."""
    found = find_spec("pycocoevalcap")
    folders = list(found.submodule_search_locations or ()) if found else []
    return Path(folders[0]) if folders else Path("pycocoevalcap")


def _java() -> str:
    return shutil.which("java") or "java"


def _absent(files: Sequence[str]) -> list[Path]:
    return [_home() / file for file in files if not (_home() / file).is_file()]


def _missing(metric: str, files: Sequence[str]) -> str | None:
    lacking = []
    if shutil.which("java") is None:
        lacking.append("Java (the program java, 8 or later)")
    if find_spec("pycocoevalcap") is None:
        lacking.append("the package pycocoevalcap (pip install 'mplug[eval]')")
    elif absent := _absent(files):
        lacking.append(f"the file {absent[0]}")
    return f"{metric} needs {' and '.join(lacking)}" if lacking else None


def _require(lacking: str | None) -> None:
    if lacking:
        raise MissingExtraError(lacking)


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not candidates:
        raise ValueError("there is no candidate to score")
    if len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} candidates but references for {len(references)}")
    if not all(references):
        raise ValueError("every image needs at least one reference")


def _one_line(text: str) -> str:
    """The text without what the program's line format means something by."""
    return " ".join(text.replace("|||", " ").split())


def _started(command: list[str], folder: Path, complaints: IO[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        text=True,
        encoding="utf-8",
        errors="replace",  # half a surrogate pair is no text that a program could be told
    )


def _answers(process: "subprocess.Popen[str]", lines: list[str], count: int) -> Iterator[str]:
    """Say the lines and read answers meanwhile, fewer than `count` if the program ends."""
    assert process.stdout is not None
    speaker = Thread(target=_say, args=(process, lines))
    speaker.start()
    for _, line in zip(range(count), process.stdout, strict=False):
        yield line.strip()
    speaker.join()


def _say(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.writelines(f"{line}\n" for line in lines)
        process.stdin.flush()


def _failed(metric: str, complaints: IO[str]) -> MPlugError:
    complaints.seek(0)
    words = complaints.read().strip()[-2000:] or "it said nothing"
    return MPlugError(f"the official program of {metric} failed: {words}")
