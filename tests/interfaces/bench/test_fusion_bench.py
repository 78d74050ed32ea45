import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mplug.errors import ConfigError
from mplug.interfaces.bench import fusion
from mplug.interfaces.bench.networks import networks
from mplug.interfaces.bench.page import Ratios, _ratios
from mplug.interfaces.commands_bench import fusion as command

LITTLE: dict[str, Any] = {"width": 24, "layers": 4, "batch": 2, "repeats": 3, "words": [5]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    command(out=folder, image=[32], **LITTLE)
    return folder


def cells(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "fusion-bench.json").read_text("utf-8"))
    return dict(content["cells"])


def test_every_network_and_the_encoders_have_all_figures(made: Path) -> None:
    rows = cells(made)["32/5"]["rows"]
    assert set(rows) == {"encoders", *(network.name for network in networks(4))}
    for row in rows.values():
        for kind in ("forward", "training"):
            for clock in ("seconds", "processor_seconds"):
                assert len(row[kind][clock]) == 3
                assert min(row[kind][clock]) > 0
        assert row["training_bytes"] > row["forward_bytes"] > 0
        assert row["multiply_adds"] > 0


def test_a_connected_layer_is_smaller_and_dearer_than_an_asymmetric_one(made: Path) -> None:
    rows = cells(made)["32/5"]["rows"]
    one, other = rows["connected attention"], rows["asymmetric"]
    assert one["parameters"] < other["parameters"]
    assert one["multiply_adds"] > other["multiply_adds"]
    assert rows["co-attention"]["parameters"] == 2 * other["parameters"]


def test_the_page_prints_the_places_of_both_rules_and_the_picture_is_one(made: Path) -> None:
    page = (made / "fusion-bench.md").read_text(encoding="utf-8")
    assert "| skip-connected, S = 1 (paper) | 1, 3 | S = 1, paper |" in page
    assert "| skip-connected, S = 1 (released) | 1, 2, 3 | S = 1, released |" in page
    assert "## 32 px (5 places) and 5 words" in page
    ET.fromstring((made / "fusion-bench.svg").read_text(encoding="utf-8"))


def test_a_shape_that_is_there_is_not_measured_again(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("measured again")

    monkeypatch.setattr(fusion, "measure", refuse)
    command(out=made, image=[32], as_json=True, **LITTLE)
    assert json.loads(capsys.readouterr().out)["done"] == []


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--image 40 is not a multiple"):
        command(out=tmp_path, image=[40], **LITTLE)
    with pytest.raises(ConfigError, match="--width 26 is not a multiple"):
        command(out=tmp_path, **{**LITTLE, "width": 26})
    assert not list(tmp_path.iterdir())


def test_ratios_are_taken_round_by_round() -> None:
    # a slow second round slows both, and changes no ratio
    assert _ratios([2.0, 6.0, 5.0], [1.0, 3.0, 2.0]) == Ratios(2.0, 2.0, 2.5)
