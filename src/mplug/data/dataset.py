"""Records to training examples: each one a function of the seed and its position alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from mplug.data.batch import Example, Skipped, identity
from mplug.data.byte_pair import BytePairTokenizer
from mplug.data.media import MAX_PIXELS, ImageError, load_image
from mplug.data.records import LISTED, Record
from mplug.data.text import clean_caption
from mplug.data.tokenizer import Tokenizer
from mplug.data.transforms import Augmentation, to_array
from mplug.errors import DataError

MAX_SUBSTITUTES = 100
PERMUTATION = 1  # the third number of an order's seed; an example's has two

Made = TypeVar("Made")


class RecordExamples:
    """Pictures with captions; of a record with several, one is drawn each time.

    An epoch visits every record once, in an order of its own. A picture that cannot be used is
    named in the example's `skipped`, and another record, drawn from the same seed, takes its
    place; `Loader` counts them and stops a run that has too many.

    Raises:
        DataError: no records, or some without a caption or without exactly one picture.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        tokenizer: Tokenizer | BytePairTokenizer,
        image_size: int,
        max_words: int,
        augmentation: Augmentation | None = None,
        prepare_text: Callable[[str], str] = clean_caption,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        _require_captioned_pictures(records)
        self.records = records
        self.tokenizer = tokenizer
        self.image_size = image_size
        self.max_words = max_words
        self.augmentation = augmentation
        self.prepare_text = prepare_text
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        """Records in an epoch."""
        return len(self.records)

    def example(self, position: int, *, seed: int) -> Example:
        """The example at `position`, counted over all epochs.

        Raises:
            DataError: neither the record nor any of many substitutes can be used.
        """
        example, skipped = usable(
            len(self),
            position=position,
            seed=seed,
            make=lambda item, random: self._example(self.records[item], random=random),
            source=lambda item: self.records[item].source,
        )
        return replace(example, skipped=skipped)

    def _example(self, record: Record, *, random: np.random.Generator) -> Example:
        path = record.images[0]
        image = load_image(path, max_pixels=self.max_pixels)
        caption = record.caption[int(random.integers(len(record.caption)))]
        if self.augmentation is not None:
            # Writing in the picture would be mirrored too.
            image, caption = self.augmentation(
                image, caption, random=random, may_flip=not record.text
            )
        caption = self.prepare_text(caption)
        words = self.tokenizer.encode(caption)[: self.max_words]
        if not words:
            raise ImageError(path, "its caption has no words left after clean-up")
        return Example(
            pixels=to_array(image, size=self.image_size),
            ids=[self.tokenizer.cls_id, *words, self.tokenizer.sep_id],
            image_id=identity(record.image_id or path),
            caption_id=identity(caption),
        )


def usable(
    length: int,
    *,
    position: int,
    seed: int,
    make: Callable[[int, np.random.Generator], Made],
    source: Callable[[int], object],
) -> tuple[Made, tuple[Skipped, ...]]:
    """What `make` makes of an item and random numbers, and the items that it replaces.

    The item is the one at `position` of a data set of `length` items; where it raises ImageError,
    others are drawn until one can be used. `source` says where an item was written.

    Raises:
        DataError: neither the item nor any of many substitutes can be used.
    """
    epoch, place = divmod(position, length)
    item = int(epoch_order(length, seed=seed, epoch=epoch)[place])
    random = np.random.default_rng((seed, position))
    skipped: list[Skipped] = []
    while len(skipped) < MAX_SUBSTITUTES:
        try:
            return make(item, random), tuple(skipped)
        except ImageError as error:
            skipped.append(Skipped(item, f"{error.name} ({source(item)})", error.reason))
            item = int(random.integers(length))
    raise DataError(
        f"{MAX_SUBSTITUTES} pictures in a row cannot be used, the last one "
        f"{skipped[-1].name}: {skipped[-1].reason}; `mplug data check FILE` lists all"
    )


def one_per_caption(records: Sequence[Record]) -> tuple[Record, ...]:
    """A record for each caption, as caption fine-tuning trains on."""
    return tuple(
        replace(record, caption=(caption,)) for record in records for caption in record.caption
    )


@lru_cache(maxsize=12)  # the current epoch's, of all data sets that a run may have
def epoch_order(length: int, *, seed: int, epoch: int) -> np.ndarray:
    """Every item once, in the epoch's own order."""
    return np.random.default_rng((seed, epoch, PERMUTATION)).permutation(length)


def _require_captioned_pictures(records: Sequence[Record]) -> None:
    if not records:
        raise DataError("there are no records to train on")
    wrong = [record for record in records if len(record.images) != 1 or not record.caption]
    if wrong:
        lines = [
            f"  {record.source}: "
            + ("has no caption" if not record.caption else f"has {len(record.images)} pictures")
            for record in wrong[:LISTED]
        ]
        if len(wrong) > LISTED:
            lines.append(f"  ... and {len(wrong) - LISTED} more")
        raise DataError(
            "\n".join(
                [
                    f"captions are learned from records with one image and a caption, which "
                    f"{len(wrong)} of {len(records)} are not:",
                    *lines,
                ]
            )
        )
