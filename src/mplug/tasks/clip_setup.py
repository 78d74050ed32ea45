"""From a CLIP run's configuration to its pairs, words and model."""

import os
from typing import NamedTuple

import torch

from mplug.config.schema_clip import CausalTextConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.data.batch import Example, Examples
from mplug.data.byte_pair import BytePairTokenizer, load_tokenizer
from mplug.data.records import Record
from mplug.data.scenes.stream import SceneExamples
from mplug.data.tokenizer import Tokenizer
from mplug.errors import ConfigError
from mplug.models.clip import Clip
from mplug.tasks.feeding import pair_examples
from mplug.tasks.setup import SPECIALS, read_sides, texts_of
from mplug.weights.clip_folder import LoadedClip, load_clip
from mplug.weights.starting import read_vision_tower, start_vision


class PairRecords(NamedTuple):
    """The records of a run, on both sides; none where it draws scenes."""

    train: tuple[Record, ...] = ()
    validation: tuple[Record, ...] = ()


def read_pairs(config: ClipRun) -> PairRecords:
    """The records that a run names.

    Raises:
        DataError: too many bad records, or none.
        ConfigError: what is to be validated on is what is learned, or a test.
    """
    data = config.data
    if data.train is None:
        return PairRecords()
    sides = read_sides(data.train, data.validation, max_bad_share=data.max_bad_share)
    return PairRecords(*sides)


def make_tokenizer(config: ClipRun, pairs: PairRecords) -> Tokenizer | BytePairTokenizer:
    """The run's words: a given vocabulary of either kind, or one learned from its texts."""
    data = config.data
    if data.tokenizer is not None:
        return load_tokenizer(data.tokenizer)
    if data.scenes is not None:
        scenes = SceneExamples(data.scenes, image_size=config.model.vision.image_size)
        texts = list(scenes.captions_for_tokenizer())
    else:
        texts = [text for record in pairs.train for text in texts_of(record)]
    return Tokenizer.train(texts, vocab_size=data.vocab_size)


def make_examples(
    config: ClipRun, pairs: PairRecords, *, tokenizer: Tokenizer | BytePairTokenizer
) -> tuple[Examples[Example], Examples[Example]]:
    """Pairs to learn from, and to validate on."""
    text = config.model.text
    longest = config.data.max_words
    if isinstance(text, CausalTextConfig):
        longest = min(longest, text.max_positions - SPECIALS)
    return pair_examples(
        config.data,
        pairs.train,
        pairs.validation,
        image_size=config.model.vision.image_size,
        longest=longest,
        tokenizer=tokenizer,
    )


def make_model(
    config: ClipRun, *, tokenizer: Tokenizer | BytePairTokenizer, start: LoadedClip | None
) -> Clip:
    """The model that the run starts from; or a new one by its seed, with an image encoder it names.

    Raises:
        CheckpointError: the image encoder cannot be read. ConfigError: its sizes are others.
    """
    torch.manual_seed(config.train.seed)
    if start is not None:
        return start.model
    text = config.model.text.model_copy(update={"vocab_size": tokenizer.vocab_size})
    model = Clip(config.model.model_copy(update={"text": text}))
    if config.init.vision is not None:
        source = config.init.vision
        for line in start_vision(model, read_vision_tower(source), source=source):
            if os.environ.get("RANK", "0") == "0":
                print(line, flush=True)
    return model


def load_start(config: ClipRun) -> LoadedClip | None:
    """The model that a run starts from, at the run's resolution.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        ConfigError: its sizes are not those of the run.
    """
    if config.start_from is None:
        return None
    loaded = load_clip(config.start_from, image_size=config.model.vision.image_size)
    words = {"vocab_size": loaded.config.text.vocab_size}
    wanted = {
        "text": config.model.text.model_copy(update=words),
        "temperature": loaded.config.temperature,  # learned since
    }
    if config.model.model_copy(update=wanted) != loaded.config:
        raise ConfigError(
            f"start_from={config.start_from}: its sizes are not those of the run's model: "
            "use the recipe of the same size"
        )
    return loaded
