"""From a configuration to what a run is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from mplug.config.load import load_config
from mplug.config.schema import RunConfig
from mplug.data.batch import Example
from mplug.data.mismatched import MismatchedCaptions
from mplug.errors import ConfigError
from mplug.tasks import choose, feeding, setup
from mplug.tasks.finetune import Finetuning
from mplug.tasks.pretrain import Pretraining
from mplug.training.distributed import Processes
from mplug.weights.store import save_pretrained
from tests.interfaces.colours import COLOURS, MODEL, write_colours
from tests.tasks import little
from tests.tiny import CARD, GENERATION


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data") / "sheets", count=50, seed=0)


def run_config(records: Path, *words: str, recipe: str = "tiny-pretrain") -> RunConfig:
    return load_config(recipe, [*MODEL, f"data.train={records}", *words])


def touch(folder: Path, names: Sequence[str]) -> None:
    """Pictures that are there, and that nothing opens."""
    for name in names:
        (folder / name).write_text(name, encoding="utf-8")


def test_held_back_pictures_are_whole_and_few(records: Path) -> None:
    sources = setup.read_sources(run_config(records))
    assert (len(sources.train), len(sources.validation)) == (47, 3)
    sides = [{one.images[0] for one in side} for side in (sources.train, sources.validation)]
    assert sides[0].isdisjoint(sides[1])


def test_several_captions_of_a_picture_stay_on_one_side(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    touch(tmp_path, [f"{place}.png" for place in range(33)])
    lines = [
        f'{{"image": "{place // 3}.png", "caption": "caption {place}"}}' for place in range(99)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    sources = setup.read_sources(run_config(file))
    assert [len(side or ()) for side in (sources.train, sources.validation)] == [93, 6]


def test_fine_tuning_on_captions_sees_each_of_them(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", "b.png"])
    for name in ("a", "b"):
        line = f'{{"image": "{name}.png", "caption": ["one", "two", "three"]}}'
        (tmp_path / f"{name}.jsonl").write_text(line, encoding="utf-8")
    words = (f"data.validation={tmp_path / 'b.jsonl'}",)
    config = run_config(tmp_path / "a.jsonl", *words, recipe="tiny-caption")
    sources = setup.read_sources(config)
    training, validation = feeding.make_examples(config, sources, tokenizer=little.tokenizer())
    assert (len(training), len(validation)) == (3, 3)


def test_a_run_that_would_be_validated_on_what_it_learns_is_refused(records: Path) -> None:
    with pytest.raises(ConfigError, match="is what the run learns from"):
        setup.read_sources(run_config(records, f"data.validation={records}"))


def test_a_test_is_not_for_choosing_on(records: Path) -> None:
    for name in ("test.jsonl", "testA.jsonl", "test_unseen_artist.jsonl"):
        with pytest.raises(ConfigError, match="is a test by its name"):
            setup.read_sources(run_config(records, f"data.validation={name}"))


def test_training_leaves_out_what_validation_shows(
    records: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = records.read_text(encoding="utf-8").splitlines()
    other = records.with_name("validation.jsonl")
    other.write_text("\n".join(lines[:4]), encoding="utf-8")
    sources = setup.read_sources(run_config(records, f"data.validation={other}"))
    assert len(sources.validation) == 4
    assert not set(sources.train) & set(sources.validation)
    assert "left out" in caplog.text


def test_tasks_may_have_records_of_their_own(records: Path, tmp_path: Path) -> None:
    own = tmp_path / "questions.jsonl"
    touch(tmp_path, [f"{place}.png" for place in range(40)])
    lines = [
        f'{{"image": "{place}.png", "question": "who {place}", "answers": [{{"text": "me"}}]}}'
        for place in range(40)
    ]
    own.write_text("\n".join(lines), encoding="utf-8")
    words = (f"tasks.answer.train={own}", "tasks.answer.share=3")
    config = run_config(records, *words, recipe="tiny-caption")
    sources = setup.read_sources(config)
    assert [(group.tasks, group.share) for group in sources.groups] == [
        (("caption",), 1),
        (("answer",), 3),
    ]
    assert len(sources.groups[1].train) == 38


def test_words_are_learned_from_the_training_captions(records: Path) -> None:
    config = run_config(records)
    tokenizer = setup.make_tokenizer(config, setup.read_sources(config))
    assert all(len(tokenizer.encode(name)) == 1 for name in COLOURS)


def test_words_that_no_piece_spells_are_counted(records: Path) -> None:
    sources = setup.read_sources(run_config(records))
    assert setup.unknown_share(sources, tokenizer=little.tokenizer()) == 0
    assert setup.unknown_share(setup.Sources(()), tokenizer=little.tokenizer()) == 0


@pytest.mark.parametrize("augment", ["none", "pretrain", "finetune"])
def test_every_augmentation_keeps_the_models_size(records: Path, augment: str) -> None:
    config = run_config(records, f"data.augment={augment}")
    sources = setup.read_sources(config)
    training, validation = feeding.make_examples(config, sources, tokenizer=little.tokenizer())
    for examples in (training, validation):
        again = [examples.example(0, seed=0) for _ in range(2)]
        assert all(isinstance(each, Example) for each in again)
        pixels = [each.pixels for each in again if isinstance(each, Example)]
        assert pixels[0].shape == (3, 16, 16)
        assert pixels[0].mean() == pixels[1].mean()


def test_shuffled_captions_are_shuffled_for_validation_too(records: Path) -> None:
    config = run_config(records, "data.shuffle_captions=true")
    sources = setup.read_sources(config)
    both = feeding.make_examples(config, sources, tokenizer=little.tokenizer())
    assert all(isinstance(examples, MismatchedCaptions) for examples in both)


@dataclass(frozen=True)
class Endless:
    """As many examples as a set has, that all look alike."""

    count: int

    def __len__(self) -> int:
        return self.count

    def example(self, position: int, *, seed: int) -> Example:
        return little.example(0, length=2, image=position % self.count, caption=0)


@pytest.mark.parametrize(
    ("examples", "wanted", "batch", "world", "expected"),
    [
        (500, 512, 64, 1, (8, 62)),  # as large as the training's, or nearly
        (10_000, 512, 64, 2, (8, 64)),
        (10_000, 512, 16, 1, (32, 16)),
        (100, 512, 64, 2, (8, 12)),  # smaller, so that there are enough of them
        (3, 512, 64, 1, (8, 4)),  # gone round again
        (3, 512, 64, 3, (8, 3)),
    ],
)
def test_validation_has_enough_batches_to_judge_by(
    examples: int,
    wanted: int,
    batch: int,
    world: int,
    expected: tuple[int, int],
    records: Path,
) -> None:
    config = run_config(
        records,
        f"data.validation_examples={wanted}",
        f"optim.batch_size={batch * 2}",
        "optim.accumulate=2",
    )
    batches = feeding.validation_batches(
        config, Endless(examples), processes=Processes(world=world), pad_id=0
    )
    found = batches()
    assert (len(found), len(found[0].ids) * world) == expected
    assert batches() is found  # read once


def started(folder: Path, **changes: Any) -> Path:
    return save_pretrained(
        folder,
        model=little.model(**changes),
        tokenizer=little.tokenizer(),
        generation=GENERATION,
        card=CARD,
    )


def start_config(records: Path, *words: str) -> RunConfig:
    config = run_config(records, *words)
    return config.model_copy(update={"model": little.config()})


def test_a_run_starts_from_a_model_or_from_the_run_that_made_it(
    records: Path, tmp_path: Path
) -> None:
    started(tmp_path / "run" / "model")
    for folder in (tmp_path / "run", tmp_path / "run" / "model"):
        loaded = setup.load_start(start_config(records, f"start_from={folder}"))
        assert loaded is not None
        expected = little.model().decoder.head.transform.weight
        assert torch.equal(loaded.model.decoder.head.transform.weight, expected)
    assert setup.load_start(run_config(records)) is None


def test_a_model_of_another_size_is_refused(records: Path, tmp_path: Path) -> None:
    folder = started(tmp_path / "model")
    with pytest.raises(ConfigError, match="use the recipe of the same size"):
        setup.load_start(run_config(records, f"start_from={folder}"))


@pytest.mark.parametrize("start", [False, True])
def test_a_runs_seed_decides_its_model_and_what_its_task_adds(
    start: bool, records: Path, tmp_path: Path
) -> None:
    words = [f"start_from={started(tmp_path / 'model')}"] if start else []

    def made(seed: int) -> Sequence[torch.Tensor]:
        queue = "objectives.queue_size=5"
        config = start_config(records, *words, queue, f"train.seed={seed}")
        torch.rand(seed + 1)  # whatever was drawn before
        model = setup.make_model(
            config, tokenizer=little.tokenizer(), start=setup.load_start(config)
        )
        task = choose.make_task(
            config,
            model,
            tokenizer=little.tokenizer(),
            validation=lambda: [],
            processes=little.ALONE,
            references=lambda: [],
        )
        assert isinstance(task, Pretraining)
        return [
            model.decoder.head.transform.weight,
            task.pairs.tagging.head.weight,
            task.pairs.queue.images,
        ]

    same = [torch.equal(*pair) for pair in zip(made(3), made(3), strict=True)]
    other = [torch.equal(*pair) for pair in zip(made(3), made(4), strict=True)]
    assert same == [True, True, True]
    assert other == [start, False, False]


def test_the_task_is_the_one_the_run_names(records: Path) -> None:
    for recipe, expected in (("tiny-pretrain", Pretraining), ("tiny-caption", Finetuning)):
        config = run_config(records, recipe=recipe)
        task = choose.make_task(
            config,
            little.model(),
            tokenizer=little.tokenizer(),
            validation=lambda: [],
            processes=little.ALONE,
            references=lambda: [],
        )
        assert type(task) is expected


def test_a_step_at_which_nothing_is_learned_is_refused(records: Path) -> None:
    words = [f"objectives.{name}.weight=0" for name in ("itc", "mlm", "prefix_lm", "tags")]
    words += ["objectives.itm.start=0", "objectives.itm.every=2"]
    with pytest.raises(ConfigError, match="none is on at step 1;"):
        choose.make_task(
            run_config(records, *words),
            little.model(),
            tokenizer=little.tokenizer(),
            validation=lambda: [],
            processes=little.ALONE,
            references=lambda: [],
        )
