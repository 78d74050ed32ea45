from pathlib import Path

import pytest

from mplug.data.scenes.emoji_names import EmojiNames, Icons, is_toned, visible
from tests.data.scenes.packages import write_icons, write_words

HEART = "red heart"


def shown(folder: Path, names: list[str], *, named: list[Icons] | None = None) -> dict[str, str]:
    """Icon name -> label, of a set without code points."""
    icons = Icons.read(write_icons(folder, "fxemoji", names), with_codes=False)
    found = EmojiNames(write_words(folder), named or []).shown(icons)
    return {name: emoji.label for name, emoji in found.items()}


def coded(folder: Path, codes: dict[str, str], aliases: dict[str, str] | None = None) -> Icons:
    """A set with code points."""
    archive = write_icons(folder, "noto", list(codes.values()), codes=codes, aliases=aliases)
    return Icons.read(archive, with_codes=True)


def test_a_text_is_the_label_and_its_keywords_once(tmp_path: Path) -> None:
    icons = coded(tmp_path, {"2764-fe0f": "heart", "1f600": "smile"})
    found = EmojiNames(write_words(tmp_path)).shown(icons)
    assert {name: emoji.text for name, emoji in found.items()} == {
        "heart": "red heart, heart",
        "smile": "grinning face, face, grin",
    }


@pytest.mark.parametrize("code", ["2764", "2764-fe0f", "2764-FE0F"])
def test_selectors_and_joiners_do_not_matter(code: str, tmp_path: Path) -> None:
    icons = coded(tmp_path, {code: "whatever", "1f468-1f33e": "man-with-hat"})
    found = EmojiNames(write_words(tmp_path)).shown(icons)
    assert [emoji.label for emoji in found.values()] == [HEART, "man farmer"]
    assert visible("1F468-200D-2764-FE0F") == "1f468-2764"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("grinning-face", "grinning face"),
        ("grinningface", "grinning face"),
        ("a-button", "A button (blood type)"),
        ("a-button-blood-type", "A button (blood type)"),
        ("thumbsup", "thumbs up"),
        ("farmer-man", "man farmer"),
        ("red-heart-2", HEART),
    ],
)
def test_names_are_matched_by_label_and_by_shortcode(name: str, label: str, tmp_path: Path) -> None:
    assert shown(tmp_path, [name]) == {name: label}


@pytest.mark.parametrize("name", ["1", "light-skin-tone", "regional-indicator-a", "spreadsheet"])
def test_what_is_no_picture_of_its_own_is_not_matched(name: str, tmp_path: Path) -> None:
    assert shown(tmp_path, [name]) == {}


def test_the_names_and_aliases_of_other_sets_count(tmp_path: Path) -> None:
    other = coded(tmp_path, {"2764": "heart-shape"}, aliases={"old-heart": "heart-shape"})
    assert shown(tmp_path, ["heart-shape"], named=[other]) == {"heart-shape": HEART}
    assert shown(tmp_path, ["oldheart"], named=[other]) == {"oldheart": HEART}
    assert shown(tmp_path, ["oldheart"]) == {}


def test_of_several_names_the_surest_is_drawn_and_numbered_ones_all(tmp_path: Path) -> None:
    names = ["thumbsup", "thumbs-up", "red-heart-1", "red-heart-2"]
    assert list(shown(tmp_path, names)) == ["thumbs-up", "red-heart-1", "red-heart-2"]


def test_skin_tones_are_told_from_other_names() -> None:
    assert is_toned("thumbs-up-medium-dark")
    assert is_toned("thumbs-up-light-skin-tone")
    assert is_toned("breast-feeding-tone3")
    assert not is_toned("letter-a")
