"""Put finished runs on scenes into the package as mplug-tiny, and write its page.

    mplug evaluate runs/mplug-tiny-2 --split training_artists --split unseen_artist --json > s.json
    python scripts/ship_tiny.py runs/mplug-tiny-1 runs/mplug-tiny-2 --scores s.json

The runs are the stages of the recorded recipe in their order; the model is that of the last. Its
matrices are stored in float16, and what that changes in its captions and answers is counted.
"""

import argparse
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from publish_results import chart, row

from mplug import __version__
from mplug.config.edit import derive
from mplug.config.load import dump_yaml, load_config
from mplug.config.recipes import RECIPES, recipe
from mplug.config.schema import RunConfig, ScenesConfig
from mplug.interfaces.api import Model
from mplug.interfaces.prepared import describe_data
from mplug.interfaces.report.curves import curves_from, read_metrics
from mplug.interfaces.report.wording import METRICS, duration, spelled
from mplug.tasks.evaluation import Gallery, SplitName
from mplug.weights import shipped
from mplug.weights.card import ModelCard, Score
from mplug.weights.layout import TOKENIZER
from mplug.weights.store import Loaded, load_pretrained, save_pretrained

LARGEST_BYTES = 12_000_000  # of the whole folder
MOST_RECORDS = 200  # of training, in each log
DIGITS = 5  # of each number in a log
CHOOSING: SplitName = "validation_artist"
COMPARED = 100  # scenes of that artist, described before and after halving
QUESTION = "what is on the left?"


@dataclass(frozen=True)
class Stage:
    """A finished run: its configuration as somebody else can run it, and its whole log."""

    run: str  # where the recorded recipe trains it
    name: str  # of its files
    config: RunConfig
    records: Sequence[Mapping[str, Any]]


def main() -> None:
    """Read the runs, write the package's folder, then the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("runs", type=Path, nargs="+", help="the stages, first to last")
    parser.add_argument("--scores", type=Path, required=True, help="of mplug evaluate RUN --json")
    parser.add_argument("--package", type=Path, default=shipped.FOLDER)
    parser.add_argument("--pages", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    stages = read_stages(asked.runs)
    scores = json.loads(asked.scores.read_text(encoding="utf-8"))["scores"]
    loaded = load_pretrained(asked.runs[-1] / "model")
    about = ship(loaded, stages, scores, package=asked.package)
    asked.pages.mkdir(parents=True, exist_ok=True)
    for stage in stages:
        picture = chart(curves_from(stage.records))
        (asked.pages / f"{shipped.NAME}-{stage.name}.svg").write_text(picture, encoding="utf-8")
    page = "\n".join(lines(stages, scores, about=about))
    (asked.pages / f"{shipped.NAME}.md").write_text(page, encoding="utf-8")
    print(f"{asked.package}: {size_of(asked.package) / 1e6:.1f} MB; {about['knows']}")
    print(f"{asked.pages / shipped.NAME}.md")


def read_stages(runs: Sequence[Path]) -> list[Stage]:
    """The runs with machine-free configurations, each starting from the one before.

    Raises:
        SystemExit: a stage starts from something else, reads files, or has other words.
    """
    stages: list[Stage] = []
    words = (runs[-1] / TOKENIZER).read_bytes()
    for place, run in enumerate(runs, start=1):
        config = load_config(run / "config.json")
        before = runs[place - 2] if place > 1 else None
        start = None if config.start_from is None else Path(config.start_from).resolve()
        if start != (before and before.resolve()):
            raise SystemExit(f"{run} starts from {start}, not from the stage before, {before}")
        if config.data.train is not None or config.data.scenes is None:
            raise SystemExit(f"{run} learned from {config.data.train}, not from scenes")
        if (run / TOKENIZER).read_bytes() != words:
            raise SystemExit(f"{run} has other words than {runs[-1]}")
        changes = {
            "start_from": stages[-1].run if stages else None,
            "data.tokenizer": shipped.NAME if config.data.tokenizer else None,
        }
        stages.append(
            Stage(
                run=f"runs/{shipped.NAME}-{place}",
                name=f"{place}-{config.name}",
                config=derive(config, changes),
                records=read_metrics(run / "metrics.jsonl"),
            )
        )
    return stages


def ship(
    loaded: Loaded, stages: Sequence[Stage], scores: Sequence[dict[str, Any]], *, package: Path
) -> dict[str, Any]:
    """Write the package's folder, over one that is there; returns what its about.json says.

    Raises:
        SystemExit: it would be too large; what was there is then still there.
    """
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as unfinished:
        folder = Path(unfinished) / shipped.NAME
        save_pretrained(
            folder,
            model=loaded.model,
            tokenizer=loaded.tokenizer,
            generation=loaded.generation,
            card=card(stages, scores),
            half=True,
        )
        config = stages[-1].config
        about = {"knows": known(world_of(config)), "halved": halving(loaded, folder, config)}
        write_json(folder / shipped.ABOUT, about)
        write_json(folder / shipped.SCORES, {"run": shipped.NAME, "scores": scores})
        (folder / shipped.RECIPE).mkdir()
        for stage in stages:
            base = folder / shipped.RECIPE / stage.name
            base.with_suffix(".yaml").write_text(dump_yaml(stage.config), encoding="utf-8")
            base.with_suffix(".jsonl").write_text(
                "".join(f"{json.dumps(record)}\n" for record in thinned(stage.records)),
                encoding="utf-8",
            )
        if size_of(folder) > LARGEST_BYTES:
            raise SystemExit(
                f"{size_of(folder):,} bytes are more than {LARGEST_BYTES:,}: not shipped"
            )
        if package.exists():
            shutil.rmtree(package)
        folder.rename(package)
    return about


def world_of(config: RunConfig) -> ScenesConfig:
    """The scenes that a stage learned from."""
    if config.data.scenes is None:
        raise SystemExit(f"{config.name} did not learn from scenes")
    return config.data.scenes


def known(world: ScenesConfig) -> str:
    """What a model of such scenes knows, in a line."""
    counts = f"{world.min_objects}-{world.max_objects}"
    return f"{world.concepts} drawn things, {counts} a picture, not photographs"


def card(stages: Sequence[Stage], scores: Sequence[dict[str, Any]]) -> ModelCard:
    """The model's card, with every score but those by kind of question."""
    config = stages[-1].config
    kept = ("task", "split", "metric", "value", "low", "high", "n", "baselines")
    return ModelCard(
        name=shipped.NAME,
        summary=f"The model that mplug brings. It knows {known(world_of(config))}. Trained by "
        f"mplug {__version__} in {len(stages)} stages, whose configurations and logs are in "
        f"`{shipped.RECIPE}/`; one seed. All scores, with signatures, are in `{shipped.SCORES}`.",
        data=f"{describe_data(config.data)} The drawings have their own licences: see NOTICE.",
        licence="Apache-2.0",
        scores=tuple(
            Score(**{key: score[key] for key in kept})
            for score in scores
            if score["metric"] in METRICS
        ),
        load_as=shipped.NAME,
    )


def halving(loaded: Loaded, folder: Path, config: RunConfig) -> dict[str, int]:
    """How many captions and answers stay word for word when the weights are halved."""
    world, size = world_of(config), config.model.vision.image_size
    gallery = Gallery.held_out(world, split=CHOOSING, image_size=size, count=COMPARED)
    images = [each.scene.image for each in gallery.scenes]
    before, after = Model(loaded), Model(load_pretrained(folder))
    same = {"scenes": COMPARED, "captions": agreeing(before.caption(images), after.caption(images))}
    if "answer" in loaded.config.skills:
        replies = [model.answer(images, QUESTION) for model in (before, after)]
        same["answers"] = agreeing(*replies)
    return same


def agreeing(first: Sequence[str], second: Sequence[str]) -> int:
    """How many texts are the same in both."""
    return sum(one == other for one, other in zip(first, second, strict=True))


def thinned(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every evaluation, and evenly spaced records of training with the last; numbers rounded."""
    training = [place for place, record in enumerate(records) if record.get("kind") == "train"]
    every = -(-len(training) // MOST_RECORDS)
    dropped = set(training) - set(training[::-1][:: max(every, 1)])
    for place, record in enumerate(records):
        if place not in dropped:
            yield {key: rounded(value) for key, value in record.items()}


def rounded(value: Any) -> Any:
    """A number with the digits that say something."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def lines(
    stages: Sequence[Stage], scores: Sequence[dict[str, Any]], *, about: Mapping[str, Any]
) -> Iterator[str]:
    """The page: what it is, how it was trained, its scores, its curves."""
    halved, scenes = about["halved"], world_of(stages[-1].config)
    yield f"# {shipped.NAME}\n"
    yield f"The model that comes inside the package. It knows {about['knows']}:"
    yield f"scenes composed of drawings by {', '.join(scenes.artists)}. One seed.\n"
    yield f"Stored in halves, computed with in float32: of {halved['scenes']} scenes,"
    yield (
        " and ".join(f"{halved[what]} {what}" for what in ("captions", "answers") if what in halved)
        + " are word for word those of the unhalved weights.\n"
    )
    yield from training_lines(stages)
    yield "## Scores\n"
    yield "Scenes of combinations that no training scene holds. `mplug evaluate mplug-tiny`"
    yield "measures them again.\n"
    for split in dict.fromkeys(score["split"] for score in scores):
        yield f"### {spelled(split)}\n"
        yield "| score | value | 95% interval | beside |"
        yield "|---|---|---|---|"
        yield from (row(score) for score in scores if score["split"] == split)
        yield ""
    yield "## Curves\n"
    for stage in stages:
        picture = f"{shipped.NAME}-{stage.name}.svg"
        yield f"![{stage.name}: losses beside their blind values]({picture})\n"


def training_lines(stages: Sequence[Stage]) -> Iterator[str]:
    """What each stage took, and the commands that train it again."""
    yield "## How it was trained\n"
    yield "| stage | steps | time | scenes a second, at the end |"
    yield "|---|---|---|---|"
    for stage in stages:
        last = [record for record in stage.records if record.get("kind") == "train"][-1]
        took, speed = duration(last["seconds"]), last["examples_per_second"]
        yield f"| {stage.name} | {last['step']:,} | {took} | {speed:.0f} |"
    yield "\nThe same again, with its own words:\n"
    yield "```python\nimport mplug\n"
    yield f'mplug.load("{shipped.NAME}").save_pretrained("{shipped.NAME}")\n```\n'
    yield "```bash"
    yield from (command(stage) for stage in stages)
    yield "```\n"
    yield "Configurations in full, logs, card and scores with their signatures are inside the"
    yield f"package, in `mplug/weights/assets/{shipped.NAME}`.\n"


def command(stage: Stage) -> str:
    """The command that trains a stage: its recipe, and every field that differs from it."""
    config = stage.config
    if config.name not in RECIPES:
        raise SystemExit(f"{config.name} is no recipe, so nobody could train it again")
    changes = differences(
        recipe(config.name).model_dump(mode="json"), config.model_dump(mode="json")
    )
    words = [
        f"{path}={value if isinstance(value, str) else json.dumps(value)}"
        for path, value in changes
    ]
    return shlex.join(["mplug", "train", config.name, "--run", stage.run, *words])


def differences(usual: Any, here: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The paths whose values differ, with those that they have here."""
    if isinstance(usual, Mapping) and isinstance(here, Mapping):
        for key in here:
            inner = f"{path}.{key}" if path else key
            yield from differences(usual.get(key), here[key], inner)
    elif usual != here:
        yield path, here


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_json(path: Path, content: Any) -> None:
    """Write a value as indented JSON."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
