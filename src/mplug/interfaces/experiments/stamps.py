"""What a text encoder trained by others is worth on stamps: 150 captions that no training saw.

Each cell is one way of finding the caption of a picture, on one of the committed splits.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mplug.config.edit import derive
from mplug.config.schema import (
    DataConfig,
    DecoderConfig,
    FusionConfig,
    MPlugConfig,
    ObjectivesConfig,
    OptimConfig,
    RunConfig,
    Term,
    TextConfig,
    TrainConfig,
)
from mplug.config.sizes import tiny
from mplug.data.records import Record, read_records
from mplug.data.scenes.stamps import build_stamps
from mplug.errors import ConfigError, DataError
from mplug.interfaces.api import Model, load
from mplug.interfaces.experiments import stamp_features as features
from mplug.interfaces.experiments import stamp_maps as maps
from mplug.interfaces.experiments.cells import Cell
from mplug.interfaces.training import run_training
from mplug.metrics.bootstrap import interval, mean_parts
from mplug.tasks.observer import Observer
from mplug.tasks.record_search import IMAGE_TO_TEXT, evaluate_search
from mplug.training.distributed import choose_device
from mplug.weights.shipped import NAME as MPLUG_TINY
from mplug.weights.starting import read_text_tower, read_vision_tower

NAME = "stamps"
SPLITS_FILE = "stamps_splits.txt"  # lines of seed, split and stamp
HELD_OUT = ("validation", "test")
PIXELS, BASELINE, OURS = "pixels", "efficientnet-ridge", "efficientnet-trained"
SCRATCH, TEXT, BOTH = "scratch", "minilm", "minilm-eyes"
KINDS = (PIXELS, BASELINE, OURS, SCRATCH, TEXT, BOTH)
UNUSED = Term(weight=0.0)


@dataclass(frozen=True)
class Extent:
    """How long is trained; the rest is code."""

    steps: int  # of the models that see with eyes of their own
    epochs: int  # of the map from frozen features


class StampsExperiment:
    """The cells' names, and how each is measured."""

    def __init__(
        self, extent: Extent, *, text: str, folder: Path, device: str, deb: Path | None = None
    ) -> None:
        self.extent = extent
        self.text = text
        self.folder = folder
        self.device = device
        self.deb = deb

    def names(self, *, splits: int) -> list[str]:
        """Every cell, the quick ones of a split first."""
        return [f"{kind}/{split}" for split in range(splits) for kind in KINDS]

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides a cell's numbers but its kind and split."""
        run = self._run(Path("stamps")).model_dump(mode="json")
        return {"epochs": self.extent.epochs, "text": Path(self.text).name, "run": run}

    def measure(self, name: str) -> Cell:
        """Train and score one cell.

        Raises:
            ConfigError: there is no such cell.
            DataError: the stamps cannot be had, or are not those of the committed split.
        """
        kind, split = parsed(name)
        started = time.perf_counter()
        data = self._data(split)
        found = (
            self._trained(kind, data, split) if kind in RUNS else self._mapped(kind, data, split)
        )
        return {
            "kind": kind,
            "split": split,
            "scores": [_score(k, values) for k, values in found.items()],
            "seconds": time.perf_counter() - started,
        }

    def _data(self, split: int) -> Path:
        folder = self.folder / f"stamps-{split}"
        if not folder.is_dir():
            build_stamps(folder, deb=self.deb, seed=split)
        require_split(folder, split)
        return folder

    # --- frozen encoders ---

    def _mapped(self, kind: str, data: Path, split: int) -> dict[int, Any]:
        look = self._thumbnails if kind == PIXELS else self._seen
        train, validation, test = (look(data, name) for name in ("train", *HELD_OUT))
        if kind == BASELINE:  # one look at each picture, as the baseline is known
            train, validation, test = (
                maps.Split(each.records, each.pictures[:1]) for each in (train, validation, test)
            )
        sentences = self._sentences()
        mapped = maps.best_ridge(train, validation, sentences)
        if kind == OURS:
            mapped, sentences = maps.fine_tune(
                mapped, sentences, train, validation, epochs=self.extent.epochs, seed=split
            )
        texts = features.read(sentences, test.records)
        return maps.recalls(maps.similarities(mapped, test, texts))

    def _sentences(self) -> features.Sentences:
        return features.Sentences(self.text)

    def _thumbnails(self, data: Path, name: str) -> maps.Split:
        records = _records(data, name)
        return maps.Split(records, features.thumbnails(records)[None])

    def _seen(self, data: Path, name: str) -> maps.Split:
        """What the frozen network sees, kept beside the pictures for the next cell."""
        records, kept = _records(data, name), data / f"{name}.features.pt"
        if kept.is_file():
            views = torch.load(kept, weights_only=True)
        else:
            views = torch.stack([features.seen(records, mirrored=one) for one in (False, True)])
            torch.save(views, kept)
        return maps.Split(records, views)

    # --- models of our own ---

    @cached_property
    def _text_config(self) -> TextConfig:
        return read_text_tower(self.text).config

    def _run(self, data: Path) -> RunConfig:
        return stamps_run(data, text=self._text_config, steps=self.extent.steps)

    def _trained(self, kind: str, data: Path, split: int) -> dict[int, Any]:
        config = derive(self._run(data), {"train.seed": split, **self._start(kind)})
        run = self.folder / kind / str(split)
        run_training(config, run_dir=run, device=self.device)
        model = load(run, device=self.device)
        assert isinstance(model, Model)
        observer = Observer(model.network, model.tokenizer, choose_device(self.device))
        found = evaluate_search(observer, _records(data, "test"), split="test", top=0)
        parts = {figure.metric: figure.parts for figure in found.figures}
        return {k: parts[f"recall_at_{k}_{IMAGE_TO_TEXT}"][:, 0] for k in maps.AT}

    def _start(self, kind: str) -> Mapping[str, object]:
        changes: dict[str, object] = {"name": f"stamps-{kind}"}
        if kind != SCRATCH:
            changes["init.text"] = self.text
        if kind == BOTH:
            changes["init.vision"] = MPLUG_TINY
        return changes


RUNS = (SCRATCH, TEXT, BOTH)


def stamps_run(data: Path, *, text: TextConfig, steps: int) -> RunConfig:
    """Search alone: the text encoder's sizes are MiniLM's, the eyes those of mplug-tiny."""
    model = MPlugConfig(
        vision=read_vision_tower(MPLUG_TINY).config,
        text=text.model_copy(update={"max_positions": 64}),
        fusion=FusionConfig(num_layers=1, connected_at=(), scheme="asymmetric"),
        decoder=DecoderConfig(num_layers=1),
        embed_dim=128,
        image_pooling=tiny().image_pooling,
    )
    return RunConfig(
        name="stamps",
        task="pretrain",
        model=model,
        data=DataConfig(
            train=str(data / "train.jsonl"),
            validation=str(data / "validation.jsonl"),
            vocab_size=1500,
            augment="finetune",
        ),
        objectives=ObjectivesConfig(
            itm=UNUSED, mlm=UNUSED, prefix_lm=UNUSED, queue_size=0, distillation=0.0
        ),
        optim=OptimConfig(
            steps=steps, batch_size=64, lr=3e-4, warmup_steps=max(1, steps // 10), weight_decay=0.05
        ),
        train=TrainConfig(
            evaluate_every=max(1, steps // 10),
            save_every=max(1, steps // 2),
            blind_every=steps,
            choose=f"validation_recall_at_1_{IMAGE_TO_TEXT}",
        ),
    )


def parsed(name: str) -> tuple[str, int]:
    """A cell's kind and split.

    Raises:
        ConfigError: there is no such cell.
    """
    kind, _, split = name.partition("/")
    if kind not in KINDS or not split.isdecimal() or int(split) not in committed_splits():
        raise ConfigError(f"there is no cell {name!r}: one is {BASELINE}/0")
    return kind, int(split)


def committed_splits() -> dict[int, dict[str, set[str]]]:
    """The stamps of validation and test, by the seed of their split."""
    text = (files("mplug.data.scenes") / "assets" / SPLITS_FILE).read_text(encoding="utf-8")
    found: dict[int, dict[str, set[str]]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            seed, name, stamp = line.split(" ", 2)
            found.setdefault(int(seed), {each: set() for each in HELD_OUT})[name].add(stamp)
    return found


def require_split(folder: Path, split: int) -> None:
    """Refuse stamps that were split otherwise than the committed list says.

    Raises:
        DataError: validation or test hold other stamps.
    """
    for name, stamps in committed_splits()[split].items():
        held = {record.image_id or "" for record in _records(folder, name)}
        if held != stamps:
            raise DataError(
                f"{folder / name}.jsonl: {len(held ^ stamps)} stamps differ from the committed "
                f"split {split}: another version of the package? It was made with 2022.06.04-1"
            )


def _records(folder: Path, name: str) -> tuple[Record, ...]:
    return read_records(folder / f"{name}.jsonl").require()


def _score(k: int, values: Any) -> dict[str, Any]:
    parts = mean_parts(np.asarray(values))
    low, high = interval(parts)
    return {"at": k, "value": float(np.mean(values)), "low": low, "high": high, "n": len(values)}
