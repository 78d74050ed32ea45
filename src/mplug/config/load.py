"""From what a user types to a run: a recipe or a file, then `path=value` words on top."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from mplug.config import edit
from mplug.config.recipes import RECIPES, recipe
from mplug.config.schema import RunConfig
from mplug.errors import ConfigError

FILE_SUFFIXES = (".yaml", ".yml", ".json")


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as everyone who writes a learning rate expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_config(source: str | Path, words: Sequence[str] = ()) -> RunConfig:
    """The run that `source` (a recipe's name or a YAML or JSON file) and `words` describe.

    A file either holds every field, or names the recipe it changes: `recipe: base-pretrain`.

    Raises:
        ConfigError: an unknown recipe, file, field or value; the message says what is accepted.
    """
    fields, where = _read(source)
    for word in words:
        fields = edit.merge(fields, _parse_word(word))
    return edit.validate(fields, where=where)


def dump_yaml(config: RunConfig) -> str:
    """Every field as YAML; `load_config` reads it back to an equal run."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


def dump_json(config: RunConfig) -> str:
    """Every field as JSON; `load_config` reads it back to an equal run."""
    return json.dumps(config.model_dump(mode="json"), indent=2) + "\n"


def require_ready(config: RunConfig, *, processes: int = 1) -> None:
    """Refuse a run that cannot start, before anything slow happens.

    Raises:
        ConfigError: neither records nor scenes are named, or both; captions exceed positions; a
            batch cannot be split as asked; no evaluation has the figure to choose the model by.
    """
    data, positions = config.data, config.model.text.max_positions
    tasks = config.tasks.chosen.values()
    own = bool(tasks) and all(task.train is not None for task in tasks)
    if data.train is None and data.scenes is None and not own:
        raise ConfigError(
            "data.train is not set: name your records, such as data.train=captions.jsonl "
            "(`mplug data sample DIR` makes some to try)"
        )
    if data.train is not None and data.scenes is not None:
        raise ConfigError(
            f"data.train = {data.train!r} and data.scenes are both set; "
            "to learn from the records, add data.scenes=null"
        )
    if data.max_words + 2 > positions:
        raise ConfigError(
            f"data.max_words = {data.max_words} and its start and end do not fit into "
            f"model.text.max_positions = {positions}"
        )
    size, parts = config.optim.batch_size, config.optim.accumulate
    if size % (parts * processes):
        raise ConfigError(
            f"optim.batch_size = {size} does not split into optim.accumulate = {parts} parts on "
            f"{processes} processes: make it a multiple of {parts * processes}"
        )
    figures = validation_figures(config)
    if config.train.choose is not None and config.train.choose not in figures:
        raise ConfigError(
            f"train.choose = {config.train.choose!r}: this run is not evaluated by that"
            f"{edit.did_you_mean(config.train.choose, figures)} (it is by {', '.join(figures)})"
        )


def validation_figures(config: RunConfig) -> list[str]:
    """The losses and scores on validation data that a run's evaluations have."""
    if config.task == "self_critical":
        return ["validation_cider_d"]
    tasks = [name for name in config.tasks.chosen if name != "retrieval"]
    figures = [f"validation_{name}" for name in tasks]
    if config.task == "pretrain" or config.tasks.retrieval is not None:
        figures += [
            f"validation_{name}"
            for name in ("itc", "itm", "mlm", "prefix_lm")
            if getattr(config.objectives, name).weight > 0
        ]
        ways = ("image_to_text", "text_to_image")
        figures += [f"validation_recall_at_1_{way}" for way in ways]
    return figures


def _read(source: str | Path) -> tuple[Mapping[str, Any], edit.Where]:
    """The fields that a recipe or a file gives, and a function from a path to its place."""
    text = str(source)
    if text in RECIPES:
        return recipe(text).model_dump(), lambda _: ""
    file = Path(source)
    if file.suffix not in FILE_SUFFIXES:
        raise ConfigError(
            f"no recipe is called {text!r}{edit.did_you_mean(text, list(RECIPES))} "
            f"(`mplug recipes` lists them; or name a file ending in {', '.join(FILE_SUFFIXES)})"
        )
    return _read_file(file)


def _read_file(file: Path) -> tuple[Mapping[str, Any], edit.Where]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    fields = _parse(text, where=str(file), is_json=file.suffix == ".json")
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{file} must hold fields such as `name: my-run`, not {fields!r}")
    if not fields.keys() & {"recipe", "model"}:
        raise ConfigError(f"{file} describes no model; start it with a line `recipe: NAME`")
    changes = {str(key): value for key, value in fields.items() if key != "recipe"}
    base = recipe(str(fields["recipe"])).model_dump() if "recipe" in fields else {}
    lines = {} if file.suffix == ".json" else _lines(text)

    def where(path: edit.Path) -> str:
        known = [path[:depth] for depth in range(len(path), 0, -1) if path[:depth] in lines]
        return f"{file}, line {lines[known[0]]}: " if known else f"{file}: "

    return edit.merge(base, changes), where


def _parse(text: str, *, where: str, is_json: bool = False) -> Any:
    try:
        # The loader is a SafeLoader: plain data only, no objects.
        return json.loads(text) if is_json else yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from error


def _parse_word(word: str) -> dict[str, Any]:
    """`optim.lr=1e-4` as nested fields; values are YAML, but text fields take what is typed."""
    dotted, equals, raw = word.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"{word!r} is not path=value, such as optim.lr=1e-4")
    path = tuple(dotted.strip().split("."))
    edit.require_path(path)
    value = _parse(raw, where=word)
    if value is not None and not isinstance(value, str) and _takes_text(path):
        value = raw
    return edit.nested(path, value)


def _takes_text(path: edit.Path) -> bool:
    annotation = edit.annotation_of(path)
    if get_origin(annotation) in (Union, UnionType):
        return str in get_args(annotation)
    return annotation is str


def _lines(text: str) -> dict[edit.Path, int]:
    """The line, from 1, on which each path of a YAML text is written."""
    lines: dict[edit.Path, int] = {}

    def visit(node: yaml.Node | None, path: edit.Path) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, str(key.value))
                lines[here] = key.start_mark.line + 1
                visit(value, here)

    visit(yaml.compose(text, Loader=_Loader), ())
    return lines
