"""Records of every task for one split of composed scenes, with their pictures and clips."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mplug.data.scenes.clip_file import write_clip
from mplug.data.scenes.clips import clip_questions, draw_clip
from mplug.data.scenes.grounding import phrases
from mplug.data.scenes.output import write_lines
from mplug.data.scenes.questions import (
    Kind,
    Question,
    balanced_questions,
    blind_accuracy,
    kind_shares,
)
from mplug.data.scenes.render import Renderer
from mplug.data.scenes.scene import Scene
from mplug.data.scenes.statements import couples, hypothesis, statements
from mplug.data.scenes.world import World
from mplug.errors import MissingExtraError

LEAST_SETS = 32  # sets of objects that questions are asked of, or hardly any would pair
PHRASES = 2  # of a picture
CLIPS_SHARE = 0.1  # clips for each picture
CLIP_QUESTIONS = 3  # of a clip

Record = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """How many records each file has, what was left out and why, and the questions."""

    records: Mapping[str, int]
    left_out: Mapping[str, int]
    questions: tuple[Question, ...]


class TaskFiles:
    """Writes what the tasks ask about sets of objects, drawn by `renderer`.

    In training nothing is said to be missing beside its partner of a held-out pair.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        renderer: Renderer,
        world: World,
        random: np.random.Generator,
    ) -> None:
        self.folder, self.split = folder, split
        self.renderer, self.world, self.random = renderer, world, random
        self.train = split == "train"

    def write(self, sets: Sequence[Sequence[str]]) -> Written:
        """Write pictures, clips and records; every set stands in two pictures, a screen in a third.

        Raises:
            ConfigError: the sets hardly allow questions with different answers.
        """
        half = max(LEAST_SETS, (len(sets) + 1) // 2)
        chosen = [sets[place % len(sets)] for place in range(half)]
        # All of every second set is painted, twice: so its colours can be asked of two pictures.
        painting = replace(self.renderer, painted=1.0)
        scenes = [
            (painting if place % 2 else self.renderer).scene(each, random=self.random)
            for place, each in enumerate(chosen)
            for _ in range(2)
        ]
        behind = replace(self.renderer, screened=True)
        screened = [behind.scene(each, random=self.random) for each in chosen]
        pictures = self._pictures("asked", scenes)
        asked = balanced_questions(
            scenes, count=len(scenes), random=self.random, world=self.world, train=self.train
        )
        files: dict[str, list[Record]] = {
            "questions": [
                {**pictures[each.scene], **_answered(each.question.text, each.question.answer)}
                for each in asked
            ],
            "phrases": list(self._phrases(scenes, pictures)),
            "pairs": list(self._pairs(scenes, pictures)),
            "entailment": list(
                self._hypotheses(
                    [*scenes[::2], *screened],
                    [*pictures[::2], *self._pictures("screened", screened)],
                )
            ),
        }
        clips, left_out = self._clips(sets[: max(1, round(CLIPS_SHARE * len(sets)))])
        if clips:
            files["clips"] = clips
        written = {
            name: write_lines(self.folder / name, records)
            for name, records in ((f"{self.split}_{task}.jsonl", files[task]) for task in files)
        }
        return Written(written, left_out, tuple(each.question for each in asked))

    def _pictures(self, kind: str, scenes: Sequence[Scene]) -> list[Record]:
        """Write pictures into `images/SPLIT_KIND`; gives what records say of each."""
        folder = self.folder / "images" / f"{self.split}_{kind}"
        folder.mkdir(parents=True)
        found = []
        for number, scene in enumerate(scenes):
            path = folder / f"{number:06}.png"
            Image.fromarray(scene.image).save(path, compress_level=3)
            name = path.relative_to(self.folder).as_posix()
            found.append({"image": name, "image_id": f"{self.split}-{kind}-{number:06}"})
        return found

    def _phrases(self, scenes: Sequence[Scene], pictures: Sequence[Record]) -> Iterator[Record]:
        for scene, picture in zip(scenes, pictures, strict=True):
            for phrase in phrases(scene, random=self.random, count=PHRASES):
                yield {**picture, "phrase": phrase.text, "boxes": [list(phrase.box)]}

    def _pairs(self, scenes: Sequence[Scene], pictures: Sequence[Record]) -> Iterator[Record]:
        for first, second in couples(scenes, random=self.random):
            for said in statements(
                scenes[first],
                scenes[second],
                random=self.random,
                world=self.world,
                train=self.train,
            ):
                both = [pictures[first]["image"], pictures[second]["image"]]
                label = "true" if said.label else "false"
                yield {"image": both, "statement": said.text, "label": label}

    def _hypotheses(self, scenes: Sequence[Scene], pictures: Sequence[Record]) -> Iterator[Record]:
        for scene, picture in zip(scenes, pictures, strict=True):
            said = hypothesis(scene, random=self.random, world=self.world, train=self.train)
            if said is not None:
                yield {**picture, "statement": said.text, "label": said.label}

    def _clips(self, sets: Sequence[Sequence[str]]) -> tuple[list[Record], dict[str, int]]:
        """Write clips of the first one or two things of each set, where PyAV is installed."""
        folder = self.folder / "clips" / self.split
        records: list[Record] = []
        for number, names in enumerate(sets):
            clip = draw_clip(names[:2], renderer=self.renderer, random=self.random)
            path = folder / f"{number:06}.mp4"
            try:
                write_clip(path, clip.frames)
            except MissingExtraError as error:
                return [], {f"clips of {self.split}: {error}": len(sets)}
            video = {
                "video": path.relative_to(self.folder).as_posix(),
                "image_id": f"{self.split}-clip-{number:06}",
            }
            records.append({**video, "caption": list(clip.captions)})
            records += [
                {**video, **_answered(each.text, each.answer)}
                for each in clip_questions(
                    clip,
                    random=self.random,
                    world=self.world,
                    count=CLIP_QUESTIONS,
                    train=self.train,
                )
            ]
        return records, {}


def _answered(question: str, answer: str) -> Record:
    return {"question": question, "answers": [{"text": answer}]}


def question_table(questions: Mapping[str, Sequence[Question]], *, learned: str) -> str:
    """For each split, a row: the share of each kind, and how often a guess without it is right."""
    kinds: list[Kind] = list(kind_shares([]))
    rows = [
        f"| questions of | {' | '.join(kinds)} | answered right without the picture |",
        f"|{'---|' * (len(kinds) + 2)}",
    ]
    for split, asked in questions.items():
        shares = kind_shares(asked)
        cells = [f"{shares[kind]:.0%}" for kind in kinds]
        if split == learned:
            cells.append("the guess comes from these")
        else:
            cells.append(f"{blind_accuracy(asked, learned=questions[learned]):.0%}")
        rows.append(f"| `{split}` | {' | '.join(cells)} |")
    return "\n".join(rows)
