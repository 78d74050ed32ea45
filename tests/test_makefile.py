"""The commands that the Makefile runs are commands that there are, with words that they take."""

import re
import shlex

import pytest

from mplug.config.load import load_run
from mplug.config.ready import require_ready
from tests.test_readme import ROOT, parse

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
VALUES = dict(re.findall(r"^(\w+) [:?]= *(.*)$", MAKEFILE, re.MULTILINE))
CALLS = re.findall(
    r"\$\(BIN\)/mplug (.*)", re.sub(r"\$\((EASY\w*)\)", lambda m: VALUES[m[1]], MAKEFILE)
)


def test_there_are_commands_to_check() -> None:
    assert {call.split()[0] for call in CALLS} >= {"demo", "data", "train", "evaluate"}


@pytest.mark.parametrize("call", CALLS)
def test_every_command_of_the_makefile_can_be_parsed(call: str) -> None:
    words = shlex.split(call)
    parsed = parse(words)
    if words[0] == "train":
        config = load_run(parsed["recipe"], parsed["words"])
        require_ready(config, processes=parsed["processes"])


def test_the_model_is_chosen_on_validation_and_measured_on_the_official_test() -> None:
    train, evaluate = (
        next(call for call in CALLS if call.startswith(name)) for name in ("train", "evaluate")
    )
    assert "test.jsonl" not in train
    assert "data.validation=runs/easy-vqa-records/validation.jsonl" in train
    assert "data=runs/easy-vqa-records/test.jsonl" in evaluate
