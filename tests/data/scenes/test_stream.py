from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.phrases import concept_names, relation_holds
from mplug.data.scenes.stream import SceneExamples, Split, to_pixels
from mplug.data.scenes.world import TEST_ARTISTS
from mplug.data.transforms import to_array
from mplug.errors import ConfigError

SMALL = ScenesConfig(concepts=10, held_out_pairs=20)


class LetterTokenizer:
    """A token per letter; enough to see what is passed on."""

    cls_id, sep_id = 1, 2

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def stream(config: ScenesConfig = SMALL, **settings: Any) -> SceneExamples:
    return SceneExamples(config, image_size=32, **settings)


def test_an_example_is_a_function_of_seed_and_position() -> None:
    one, other = (stream(tokenizer=LetterTokenizer(), max_words=12) for _ in range(2))
    one.example(8, seed=3)
    first, second = one.example(7, seed=3), other.example(7, seed=3)
    assert np.array_equal(first.pixels, second.pixels)
    assert (first.ids, first.image_id) == (second.ids, second.image_id)
    assert first.image_id != one.example(7, seed=4).image_id
    assert not np.array_equal(first.pixels, one.example(8, seed=3).pixels)


def test_an_example_holds_normalised_pixels_and_a_caption_cut_to_length() -> None:
    example = stream(tokenizer=LetterTokenizer(), max_words=3).example(0, seed=0)
    assert example.pixels.dtype == np.float32
    assert example.pixels.shape == (3, 32, 32)
    assert -2 < example.pixels.min() < example.pixels.max() < 3
    assert (example.ids[0], len(example.ids), example.ids[-1]) == (1, 5, 2)


def test_training_never_shows_a_held_out_pair_together_but_every_concept() -> None:
    examples = stream()
    seen: Counter[str] = Counter()
    for position in range(400):
        scene, text = examples.captioned_scene(position, seed=0)
        assert examples.world.may_meet(scene.names)
        assert sorted(concept_names(text, examples.world.names)) == sorted(scene.names)
        assert relation_holds(text, scene) in (True, None)
        assert {each.artist for each in scene.objects} <= {"noto", "twemoji"}
        seen.update(scene.names)
    assert set(seen) == set(examples.world.names)
    assert min(seen.values()) > 20


def test_a_gallery_shows_different_held_out_pairs_by_the_artists_asked_for() -> None:
    examples = stream()
    gallery = examples.gallery(20, artists=TEST_ARTISTS, seed=1)
    sets = {frozenset(each.scene.names) for each in gallery}
    assert sets == examples.world.held_out
    assert {each.artist for item in gallery for each in item.scene.objects} <= set(TEST_ARTISTS)
    assert len({each.caption for each in gallery}) == 20
    assert all(each.caption == each.references[0] for each in gallery)
    again = examples.gallery(20, artists=TEST_ARTISTS, seed=1)
    assert all(
        np.array_equal(one.scene.image, other.scene.image)
        for one, other in zip(gallery, again, strict=True)
    )


def test_a_gallery_of_many_numbers_holds_sets_that_all_differ_and_never_occur_in_training() -> None:
    examples = stream()
    gallery = examples.gallery(30, artists=("noto",), seed=1, objects=(1, 2, 3))
    assert Counter(len(each.scene.objects) for each in gallery) == {1: 6, 2: 12, 3: 12}
    assert len({frozenset(each.scene.names) for each in gallery}) == 30
    for each in gallery:
        assert len(each.scene.objects) == 1 or not examples.world.may_meet(each.scene.names)


def test_a_gallery_larger_than_the_held_out_pairs_is_refused() -> None:
    with pytest.raises(ConfigError, match="there are 20"):
        stream().gallery(21, artists=TEST_ARTISTS, seed=0)


def test_the_unseen_artist_may_not_train() -> None:
    with pytest.raises(ConfigError, match="one artist"):
        stream(ScenesConfig(concepts=10, held_out_pairs=0, artists=("noto", "fluent")))


def test_the_tokenizer_corpus_holds_every_word_of_the_captions() -> None:
    examples = stream()
    words = {word for text in examples.captions_for_tokenizer() for word in text.split()}
    words |= {word.rstrip(",") for word in words}
    for position in range(200):
        text = examples.captioned_scene(position, seed=0)[1]
        assert {word.rstrip(",") for word in text.split()} <= words


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_show_their_own_artists(split: Split) -> None:
    examples = stream(split=split)
    artists = {
        each.artist
        for position in range(60)
        for each in examples.captioned_scene(position, seed=0)[0].objects
    }
    assert artists == set(examples.artists_of(split))


def test_single_objects_run_out_and_larger_sets_take_their_place() -> None:
    gallery = stream().gallery(29, artists=("noto",), seed=1, objects=(1, 2))
    assert Counter(len(each.scene.objects) for each in gallery) == {1: 10, 2: 19}


def test_pixels_are_normalised_as_the_model_expects_any_picture() -> None:
    image = stream().captioned_scene(0, seed=0)[0].image
    expected = to_array(Image.fromarray(image), size=32)
    np.testing.assert_allclose(to_pixels(image), expected, atol=1e-6)


def test_worlds_too_small_for_their_scenes_are_refused() -> None:
    tiny = ScenesConfig(concepts=3, held_out_pairs=1, min_objects=3, max_objects=3)
    with pytest.raises(ConfigError, match="hardly any 3 of 3"):
        stream(tiny).captioned_scene(0, seed=0)
    with pytest.raises(ConfigError, match="there are 1"):
        stream(tiny).gallery(2, artists=("noto",), seed=0, objects=(3,))
    with pytest.raises(ConfigError, match="max_objects 4"):
        stream(ScenesConfig(concepts=3, held_out_pairs=1, max_objects=4))
