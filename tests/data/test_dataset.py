from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mplug.data.batch import Example, collate, identity
from mplug.data.dataset import RecordExamples, one_per_caption
from mplug.data.loader import Loader
from mplug.data.records import Record, Source
from mplug.data.text import lower_caption
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import PretrainAugmentation
from mplug.errors import DataError

COUNT = 7
CAPTIONS = [f"a cat left of dog {name}" for name in "abcdefg"]
TOKENIZER = Tokenizer.train([*CAPTIONS, "right"], vocab_size=700)


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Seven pictures, each of one grey of its own, so that a picture is known by its value."""
    made = []
    for number in range(COUNT):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (9, 6), (30 * number,) * 3).save(path)
        made.append(record(path, number, CAPTIONS[number]))
    return made


def record(path: Path, number: int, *captions: str, **fields: Any) -> Record:
    return Record(Source("data.jsonl", number + 1), image=str(path), caption=captions, **fields)


def examples(records: list[Record], **options: Any) -> RecordExamples:
    return RecordExamples(records, tokenizer=TOKENIZER, image_size=5, max_words=12, **options)


def number_of(example: Example) -> int:
    return round(float(example.pixels[0].mean() * 0.26862954 + 0.48145466) * 255 / 30)


def assert_same(one: Example, other: Example) -> None:
    assert np.array_equal(one.pixels, other.pixels)
    assert (one.ids, one.image_id, one.caption_id) == (other.ids, other.image_id, other.caption_id)


def test_an_example_is_the_picture_with_its_own_caption(records: list[Record]) -> None:
    found = examples(records).example(3, seed=0)
    number = number_of(found)
    assert found.pixels.shape == (3, 5, 5)
    assert found.ids[0] == TOKENIZER.cls_id
    assert found.ids[-1] == TOKENIZER.sep_id
    assert TOKENIZER.decode(found.ids) == CAPTIONS[number]
    assert found.image_id == identity(str(records[number].image))
    assert found.caption_id == identity(CAPTIONS[number])


def test_every_epoch_visits_each_record_once_in_an_order_of_its_own(records: list[Record]) -> None:
    data = examples(records)
    epochs = [
        [number_of(data.example(epoch * COUNT + place, seed=1)) for place in range(COUNT)]
        for epoch in range(4)
    ]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_an_example_depends_on_seed_and_position_only(records: list[Record]) -> None:
    augmentation = PretrainAugmentation(size=5)
    forth, back = (examples(records, augmentation=augmentation) for _ in range(2))
    places = [0, 5, 19, 10**12]
    one = [forth.example(place, seed=3) for place in places]
    other = [back.example(place, seed=3) for place in reversed(places)]
    for a, b in zip(one, reversed(other), strict=True):
        assert_same(a, b)


def test_seeds_order_the_records_differently(records: list[Record]) -> None:
    data = examples(records)
    orders = {
        tuple(number_of(data.example(place, seed=seed)) for place in range(COUNT))
        for seed in range(5)
    }
    assert len(orders) > 1


def test_of_several_captions_all_are_drawn(records: list[Record]) -> None:
    several = [record(Path(str(records[0].image)), 0, "cat a", "cat b", "cat c")]
    data = examples(several)
    drawn = Counter(TOKENIZER.decode(data.example(place, seed=0).ids) for place in range(300))
    assert set(drawn) == {"cat a", "cat b", "cat c"}
    assert min(drawn.values()) > 60


def test_one_record_per_caption_visits_every_caption_in_an_epoch(records: list[Record]) -> None:
    several = [record(Path(str(records[0].image)), 0, "cat a", "cat b", "cat c")]
    data = examples(list(one_per_caption(several)))
    assert len(data) == 3
    drawn = {TOKENIZER.decode(data.example(place, seed=0).ids) for place in range(3)}
    assert drawn == {"cat a", "cat b", "cat c"}


def test_long_captions_are_cut_and_keep_their_end(records: list[Record]) -> None:
    long = [record(Path(str(records[0].image)), 0, "cat " * 100)]
    found = examples(long, prepare_text=lower_caption).example(0, seed=0)
    assert len(found.ids) == 12 + 2
    assert found.ids[-1] == TOKENIZER.sep_id


def test_records_of_one_image_id_are_one_picture(records: list[Record]) -> None:
    paths = [Path(str(found.image)) for found in records[:2]]
    same = [record(path, 0, "a", image_id="7") for path in paths]
    data = examples(same)
    assert data.example(0, seed=0).image_id == data.example(1, seed=0).image_id


def test_flipped_pictures_have_flipped_captions_unless_they_hold_writing(
    records: list[Record],
) -> None:
    path = Path(str(records[0].image))
    augmentation = PretrainAugmentation(size=5)
    for text, sides in (((), {"left", "right"}), (("EXIT",), {"left"})):
        data = examples([record(path, 0, CAPTIONS[0], text=text)], augmentation=augmentation)
        seen = {TOKENIZER.decode(data.example(at, seed=0).ids).split()[2] for at in range(40)}
        assert seen == sides


@pytest.fixture
def damaged(records: list[Record]) -> list[Record]:
    Path(str(records[2].image)).write_bytes(b"<html>")
    Path(str(records[4].image)).write_bytes(b"")
    return records


def test_a_broken_picture_is_replaced_and_named(damaged: list[Record]) -> None:
    data = examples(damaged)
    found = [data.example(place, seed=0) for place in range(COUNT)]
    skipped = {skip.item: skip for example in found for skip in example.skipped}
    assert sorted(skipped) == [2, 4]
    assert skipped[4].reason == "the file is empty"
    assert skipped[4].name == f"{damaged[4].image} (data.jsonl, line 5)"
    assert not {number_of(example) for example in found} & {2, 4}


def test_the_substitute_is_the_same_every_time(damaged: list[Record]) -> None:
    one, other = examples(damaged), examples(damaged)
    for place in range(3 * COUNT):
        assert_same(one.example(place, seed=0), other.example(place, seed=0))


@pytest.mark.parametrize("workers", [0, 2])
def test_training_goes_on_while_few_are_broken_and_stops_when_many_are(
    damaged: list[Record], workers: int
) -> None:
    data = examples(damaged)
    loader = Loader(data, collate=collate, batch_size=4, seed=0, workers=workers, max_bad_share=0.3)
    assert len(list(loader.batches(steps=6))) == 6
    assert sorted(loader.skips.items) == [2, 4]
    loader = Loader(data, collate=collate, batch_size=4, seed=0, workers=workers, max_bad_share=0.2)
    with pytest.raises(DataError, match="2 of 7 training items"):
        list(loader.batches(steps=6))


def test_a_data_set_of_broken_pictures_ends_with_an_error(records: list[Record]) -> None:
    for found in records:
        Path(str(found.image)).write_bytes(b"")
    with pytest.raises(DataError, match="100 pictures in a row cannot be used"):
        examples(records).example(0, seed=0)


def test_a_caption_that_clean_up_empties_is_skipped_and_named(records: list[Record]) -> None:
    data = examples([*records[:3], record(Path(str(records[3].image)), 3, "!!! ...")])
    skipped = [skip for place in range(4) for skip in data.example(place, seed=0).skipped]
    assert {skip.reason for skip in skipped} == {"its caption has no words left after clean-up"}


def test_batches_are_the_same_from_workers_and_after_resuming(damaged: list[Record]) -> None:
    data = examples(damaged, augmentation=PretrainAugmentation(size=5))

    def pixels(workers: int, start: int) -> torch.Tensor:
        loader = Loader(
            data, collate=collate, batch_size=4, seed=2, workers=workers, max_bad_share=1.0
        )
        batches = loader.batches(start_step=start, steps=9 - start)
        return torch.cat([batch.pixels for batch in batches])

    whole = pixels(0, 0)
    assert torch.equal(pixels(2, 0), whole)
    assert torch.equal(pixels(1, 5), whole[5 * 4 :])


def test_records_that_cannot_be_learned_from_are_refused(records: list[Record]) -> None:
    path = Path(str(records[0].image))
    with pytest.raises(DataError, match="no records"):
        examples([])
    with pytest.raises(DataError, match=r"1 of 8 are not:\n  data.jsonl, line 8: has no caption"):
        examples([*records, record(path, 7)])
    two = Record(Source("data.jsonl", 9), image=(str(path), str(path)), caption=("a",))
    with pytest.raises(DataError, match="line 9: has 2 pictures"):
        examples([two])
