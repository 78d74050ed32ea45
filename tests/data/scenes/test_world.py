from importlib.resources import files
from itertools import combinations
from pathlib import Path

import pytest

from mplug.data.scenes import world
from mplug.data.scenes.world import World
from mplug.errors import ConfigError


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    one = World.load(concepts=60, seed=5, held_out_pairs=100)
    assert one == World.load(concepts=60, seed=5, held_out_pairs=100)
    assert one.names != World.load(concepts=60, seed=6).names


def test_small_worlds_hold_only_concepts_that_every_artist_has_drawn() -> None:
    artists = (*world.TRAINING_ARTISTS, *world.VALIDATION_ARTISTS, *world.TEST_ARTISTS)
    for name in World.load(concepts=60, seed=0).names:
        assert world.artists_with(name, artists) == artists


def test_every_concept_loses_about_as_many_partners() -> None:
    held_out = World.load(concepts=60, seed=0, held_out_pairs=600).held_out
    assert len(held_out) == 600
    names = {name for pair in held_out for name in pair}
    lost = [sum(name in pair for pair in held_out) for name in names]
    assert len(names) == 60
    assert max(lost) - min(lost) <= 3


def test_half_of_the_pairs_must_stay_for_training() -> None:
    with pytest.raises(ConfigError, match="at most 22"):
        World.load(concepts=10, seed=0, held_out_pairs=23)


def test_asking_for_more_concepts_than_are_vendored_says_how_many_there_are() -> None:
    with pytest.raises(ConfigError, match=f"has {len(world.all_concepts())}"):
        World.load(concepts=10_000, seed=0)


def test_names_that_hold_a_held_out_pair_may_not_meet() -> None:
    small = World.load(concepts=10, seed=0, held_out_pairs=9)
    assert not small.may_meet([*min(small.held_out, key=sorted), "anything"])
    allowed = sum(small.may_meet(pair) for pair in combinations(small.names, 2))
    assert allowed == 45 - 9


def test_one_artist_under_two_names_may_not_be_on_both_sides() -> None:
    world.check_split([("noto", "twemoji"), ("emojione",), ("fluent", "fluent-flat")])
    with pytest.raises(ConfigError, match="one artist"):
        world.check_split([("noto", "fluent"), ("fluent-flat",)])
    with pytest.raises(ConfigError, match="one artist"):
        world.check_split([("noto",), ("twemoji", "noto")])


def test_an_unknown_artist_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'picasso'.*fluent.*noto"):
        world.artists_with("cat", ["picasso"])


def test_every_drawing_is_cropped_and_its_longest_side_is_one_cell() -> None:
    for artist in world.artist_names():
        pixels = world.drawing(artist, "horse")
        assert pixels.dtype == "uint8"
        assert max(pixels.shape[:2]) == 64
        assert all(edge.any() for edge in (pixels[0, :, 3], pixels[-1, :, 3]))


def test_concept_names_are_one_or_two_plain_words() -> None:
    names = [concept.name for concept in world.all_concepts()]
    assert len(names) == len(set(names)) >= 240
    for name in names:
        assert 1 <= len(name.split()) <= 2
        assert name.replace(" ", "").isalpha()
        assert name == name.lower()


def test_the_sample_stays_below_six_megabytes() -> None:
    assets = files("mplug.data.scenes") / "assets"
    assert sum(len(asset.read_bytes()) for asset in assets.iterdir()) < 6_000_000


def test_the_notice_names_every_artist_and_package() -> None:
    notice = (Path(__file__).parents[3] / "NOTICE").read_text()
    for artist in world.artist_names():
        made = world.credit(artist)
        assert f"{artist}.webp" in notice
        assert made.url in notice
        assert made.package.rpartition("@")[0] in notice
        assert made.package.rpartition("@")[2] in notice


def test_no_artist_is_without_a_licence_that_allows_vendoring() -> None:
    licences = {world.credit(artist).licence for artist in world.artist_names()}
    assert licences == {"Apache-2.0", "CC-BY-4.0", "MIT"}
