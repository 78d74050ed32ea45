from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mplug.errors import ConfigError
from mplug.interfaces.drawing import draw_boxes, require_drawable

BACKGROUNDS = ["black", "white", "#ffd400", "#808080"]


def changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    """Which pixels differ [height, width]."""
    different: np.ndarray = (np.asarray(before) != np.asarray(after)).any(axis=2)
    return different


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_box_and_its_label_stand_out_from_any_background(background: str) -> None:
    image = Image.new("RGB", (600, 400), background)
    drawn = draw_boxes(image, [(100, 200, 300, 350)], labels=["a red trophy 87%"])
    different = changed(image, drawn)
    assert different[200:350, 100:109].any(axis=1).mean() > 0.9
    assert different[200:209, 110:290].any(axis=0).mean() > 0.9
    assert different[240:340, 130:270].sum() == 0
    label = np.asarray(drawn.convert("L"))[160:199, 101:250].astype(int)
    assert np.ptp(label) > 150


@pytest.mark.parametrize(
    "box", [(0, 0, 600, 400), (-5, -5, 3, 3), (590, 390, 600, 400), (50, 50, 50, 50)]
)
def test_a_label_stays_inside_the_picture(box: tuple[float, float, float, float]) -> None:
    image = Image.new("RGB", (600, 400), "black")
    drawn = draw_boxes(image, [box], labels=["moon"])
    light = np.asarray(drawn)[..., 0] == 255  # the label's ground
    rows, columns = np.nonzero(light)
    assert np.ptp(rows) > 15
    assert np.ptp(columns) > 40
    assert rows.max() < 400
    assert columns.max() < 600


def test_a_label_too_long_for_the_picture_is_cut() -> None:
    image = Image.new("RGB", (500, 400), "black")
    draw_boxes(image, [(10, 100, 60, 150)], labels=["moon " * 100])


def test_a_label_may_have_letters_of_any_script() -> None:
    draw_boxes(Image.new("RGB", (500, 400)), [(10, 100, 60, 150)], labels=["größe 箱 🎈"])


def test_a_small_picture_comes_back_larger_and_a_large_one_as_it_was() -> None:
    small = Image.new("RGB", (64, 32))
    assert draw_boxes(small, [(1, 1, 9, 9)], labels=["moon"]).size == (480, 240)
    assert draw_boxes(Image.new("RGB", (700, 90)), [], labels=[]).size == (700, 90)


def test_the_picture_itself_is_left_as_it_was() -> None:
    image = Image.new("RGB", (500, 400))
    draw_boxes(image, [(1, 1, 90, 90)], labels=["moon"])
    assert not np.asarray(image).any()


def test_only_names_of_pictures_can_be_written() -> None:
    require_drawable(Path("box.JPG"))
    with pytest.raises(ConfigError, match=r"box\.pdf: name a picture"):
        require_drawable(Path("box.pdf"))
