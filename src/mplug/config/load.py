"""From what a user types to a run: a recipe or a file, then `path=value` words on top."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from mplug.config import edit
from mplug.config.recipes import ALL, any_recipe
from mplug.config.schema import RunConfig
from mplug.config.systems import AnyRun, schema_of, without_word
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
    """The run of mPLUG that `source` (a recipe's name or a YAML or JSON file) and `words` describe.

    A file either holds every field, or names the recipe it changes: `recipe: base-pretrain`.

    Raises:
        ConfigError: an unknown recipe, file, field or value; the message says what is accepted. Or
            the run is of another system.
    """
    config = load_run(source, words)
    if not isinstance(config, RunConfig):
        raise ConfigError(
            f"{source} is a run of the system {config.system!r}, and this is for runs of mPLUG"
        )
    return config


def load_run(source: str | Path, words: Sequence[str] = ()) -> AnyRun:
    """The run that `source` and `words` describe, as `load_config` reads it, of any system.

    Raises:
        ConfigError: an unknown recipe, file, system, field or value.
    """
    fields, where = _read(source)
    schema = schema_of(fields, where=where(("system",)))
    for word in words:
        fields = edit.merge(fields, _parse_word(word, schema))
    return edit.validate(without_word(fields), schema, where=where)


def completed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A stored run with the fields that there were not when it began, at their defaults.

    A field is only ever added with the default that leaves earlier runs what they were. What is no
    run of this version comes back as it is.
    """
    try:
        run = edit.validate(without_word(fields), schema_of(fields), where=lambda _: "")
    except ConfigError:
        return dict(fields)
    whole: dict[str, Any] = run.model_dump(mode="json")
    return whole


def dump_yaml(config: BaseModel) -> str:
    """Every field as YAML; `load_run` reads it back to an equal run."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


def dump_json(config: BaseModel) -> str:
    """Every field as JSON; `load_run` reads it back to an equal run."""
    return json.dumps(config.model_dump(mode="json"), indent=2) + "\n"


def _read(source: str | Path) -> tuple[Mapping[str, Any], edit.Where]:
    """The fields that a recipe or a file gives, and a function from a path to its place."""
    text = str(source)
    if text in ALL:
        return any_recipe(text).model_dump(), lambda _: ""
    file = Path(source)
    if file.suffix not in FILE_SUFFIXES:
        raise ConfigError(
            f"no recipe is called {text!r}{edit.did_you_mean(text, list(ALL))} "
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
    base = any_recipe(str(fields["recipe"])).model_dump() if "recipe" in fields else {}
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


def _parse_word(word: str, schema: type[BaseModel]) -> dict[str, Any]:
    """`optim.lr=1e-4` as nested fields; values are YAML, but text fields take what is typed."""
    dotted, equals, raw = word.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"{word!r} is not path=value, such as optim.lr=1e-4")
    path = tuple(dotted.strip().split("."))
    edit.require_path(path, schema)
    value = _parse(raw, where=word)
    if value is not None and not isinstance(value, str) and _takes_text(path, schema):
        value = raw
    return edit.nested(path, value)


def _takes_text(path: edit.Path, schema: type[BaseModel]) -> bool:
    return any(
        str in get_args(annotation)
        if get_origin(annotation) in (Union, UnionType)
        else annotation is str
        for annotation in edit.annotations_of(path, schema)
    )


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
