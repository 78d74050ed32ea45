"""`mplug data sample`: scenes as a folder of pictures and records, the same for the same seed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mplug.config.schema import ScenesConfig
from mplug.data.scenes.output import Summary, new_folder, write_lines
from mplug.data.scenes.phrases import Wording, caption
from mplug.data.scenes.questions import Question
from mplug.data.scenes.stream import Captioned, SceneExamples
from mplug.data.scenes.task_files import TaskFiles, question_table
from mplug.data.scenes.world import TEST_ARTISTS, artists_with, check_split, credit

WORDING = Wording(colour_share=0.15, beside_share=0.1)
CAPTIONS = 3  # drawn for a training scene; the same words drawn twice are kept once
README = """\
# Composed scenes

These pictures are **composed, not photographed**: a program placed drawings of {concepts} things
on plain, graded or noisy backgrounds and wrote the captions. Names, boxes and relations are
therefore exact, and scores on them say nothing about photographs.

| records | scenes | artists | sets of objects |
|---|---|---|---|
{splits}

`train.jsonl` never shows one of {held_out} held-out pairs of things together; every other file
shows a set at most once, and only sets that training lacks (single things excepted). Choose on
`validation.jsonl`, report on the two tests; no artist of one is an artist of another, but for
`test_training_artists`, whose drawings are those of training in new sets and places.

A record has `image`, `image_id`, `caption` (one text or several, all true) and `objects` (`name`,
`box` in pixels: x0, y0, x1, y1). Beside each file there are files of further tasks, about other
pictures of the same sets of things, some of them painted in one colour:

| file | a record holds |
|---|---|
| `SPLIT_questions.jsonl` | `image`, `question` and its one answer in `answers` |
| `SPLIT_phrases.jsonl` | `image`, `phrase`, and in `boxes` the box of the one thing that it fits |
| `SPLIT_pairs.jsonl` | `image` (left, right), `statement`, `label`: true or false |
| `SPLIT_entailment.jsonl` | `image`, `statement`, `label`: entailment, contradiction or neutral |
| `SPLIT_clips.jsonl` | `video` with either `caption` or `question` and `answers` |

No text tells what is right: each question stands with two pictures or more that answer it
differently, and statements of each form are as often true as false. A hypothesis is neutral where a
striped screen could hide what it speaks of.

{questions}

The guess without the picture is the answer most common in `train_questions.jsonl` to a text, or
else to the same text about other things, or else to its kind.

Made by `mplug data sample` with {settings}.

## Who drew this

The pictures show these drawings, resized, some mirrored or turned. Keep this list with them.

{credits}
"""


def write_dataset(
    folder: str | Path,
    *,
    config: ScenesConfig,
    image_size: int = 128,
    train: int = 2000,
    validation: int = 300,
    test: int = 500,
    extra_artists: Sequence[str] = (),
) -> Summary:
    """Write pictures and records of all splits; `extra_artists` get a test of their own each.

    Raises:
        ConfigError: the world is too small for the scenes asked for, or an artist is unknown.
        DataError: the folder is not empty, or cannot be written.
    """
    folder = Path(folder)
    check_split([config.artists, config.validation_artists, [*TEST_ARTISTS, *extra_artists]])
    examples = SceneExamples(config, image_size=image_size)
    for artist in extra_artists:
        for name in examples.world.names:
            artists_with(name, [artist])
    splits = {
        "validation": (validation, config.validation_artists),
        "test_training_artists": (test, config.artists),
        "test_unseen_artist": (test, TEST_ARTISTS),
        **{f"test_{artist}": (test, (artist,)) for artist in extra_artists},
    }
    numbers = range(config.min_objects, config.max_objects + 1)
    galleries = {  # drawn before anything is written: this is what a small world can refuse
        name: examples.gallery(count, artists=artists, seed=place, objects=numbers)
        for place, (name, (count, artists)) in enumerate(splits.items())
    }
    everything = {"train": (train, config.artists), **splits}
    written, left_out = dict[str, int](), dict[str, int]()
    asked: dict[str, tuple[Question, ...]] = {}
    with new_folder(folder) as unfinished:
        for place, (name, (_, artists)) in enumerate(everything.items()):
            scenes = galleries.get(name) or _training(examples, train)
            sets = list[tuple[str, ...]]()
            written |= _write_split(unfinished, name, _noting(scenes, sets))
            tasks = TaskFiles(
                unfinished,
                name,
                renderer=replace(examples.plain_renderer(turned=name == "train"), artists=artists),
                world=examples.world,
                random=np.random.default_rng([config.seed, place, 12]),
            ).write(sets)
            written |= tasks.records
            left_out |= tasks.left_out
            asked[name] = tasks.questions
        readme = _readme(examples, written, everything, question_table(asked, learned="train"))
        (unfinished / "README.md").write_text(readme, encoding="utf-8")
    return Summary(folder, written, left_out)


def _training(examples: SceneExamples, count: int) -> Iterator[Captioned]:
    """Training scenes in the drawings' own colours, mirrored or leaning: augment them as you like.

    Each has a few captions, with colours and "beside" at times.
    """
    renderer = examples.plain_renderer(turned=True)
    for position in range(count):
        random = np.random.default_rng([examples.config.seed, position, 11])
        scene = renderer.scene(examples.draw_names(random), random=random)
        drawn = [caption(scene, random=random, wording=WORDING) for _ in range(CAPTIONS)]
        texts = tuple(dict.fromkeys(drawn))
        yield Captioned(scene, texts[0], texts)


def _noting(scenes: Iterable[Captioned], sets: list[tuple[str, ...]]) -> Iterator[Captioned]:
    """The same scenes, whose names are added to `sets` as they pass."""
    for each in scenes:
        sets.append(each.scene.names)
        yield each


def _write_split(folder: Path, split: str, scenes: Iterable[Captioned]) -> dict[str, int]:
    """Write pictures into `images/SPLIT` and records beside it; counts the file's lines."""
    records: list[dict[str, Any]] = []
    pictures = folder / "images" / split
    pictures.mkdir(parents=True)
    for number, each in enumerate(scenes):
        path = pictures / f"{number:06}.png"
        Image.fromarray(each.scene.image).save(path, compress_level=3)
        picture = {
            "image": path.relative_to(folder).as_posix(),
            "image_id": f"{split}-{number:06}",
        }
        objects = [{"name": one.name, "box": list(one.box)} for one in each.scene.objects]
        records.append({**picture, "caption": list(each.references), "objects": objects})
    return {f"{split}.jsonl": write_lines(folder / f"{split}.jsonl", records)}


def _readme(
    examples: SceneExamples,
    written: Mapping[str, int],
    splits: Mapping[str, tuple[int, Sequence[str]]],
    questions: str,
) -> str:
    config = examples.config
    rows = [
        f"| `{name}.jsonl` | {written[f'{name}.jsonl']} | {', '.join(artists)} | "
        f"{'no held-out pair' if name == 'train' else 'all different, absent from training'} |"
        for name, (_, artists) in splits.items()
    ]
    shown = sorted({artist for _, artists in splits.values() for artist in artists})
    return README.format(
        questions=questions,
        concepts=config.concepts,
        held_out=config.held_out_pairs,
        splits="\n".join(rows),
        settings=f"{_settings(config)} at {examples.renderer.image_size} pixels",
        credits="\n".join(_credit_line(artist) for artist in shown),
    )


def _settings(config: ScenesConfig) -> str:
    values: dict[str, Any] = config.model_dump(mode="json")
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def _credit_line(artist: str) -> str:
    made = credit(artist)
    return (
        f"- {artist}: {made.title} by {made.author}, {made.licence}, {made.url} "
        f"(npm {made.package})"
    )
