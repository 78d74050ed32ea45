"""Changing a config by dotted path, and saying what is wrong with one in the user's words."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mplug.config.schema import RunConfig
from mplug.errors import ConfigError

Path = tuple[str, ...]
Where = Callable[[Path], str]

# What pydantic checks, said so that a person knows what to type instead.
MESSAGES = {
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list, such as [a, b]",
    "value_error": "{error}",
}


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` on top, group by group; lists and values are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def nested(path: Path, value: Any) -> dict[str, Any]:
    """`{"a": {"b": value}}` for the path a.b."""
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def derive(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """`config` with the fields at dotted paths changed, checked again as a whole.

    Raises:
        ConfigError: a path does not exist or a value does not fit.
    """
    fields: Mapping[str, Any] = config.model_dump()
    for dotted, value in changes.items():
        path = tuple(dotted.split("."))
        require_path(path)
        fields = merge(fields, nested(path, value))
    return validate(fields)


def validate(fields: Mapping[str, Any], *, where: Where = lambda _: "") -> RunConfig:
    """A run from plain data; `where` says in which file and line a path was written.

    Raises:
        ConfigError: one line per problem: the field, its value and what is accepted.
    """
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    raise ConfigError("\n".join(_describe(problem, where) for problem in problems))


def require_path(path: Path) -> None:
    """Refuse a path that no field has.

    Raises:
        ConfigError: with the fields that may have been meant.
    """
    model: type[BaseModel] | None = RunConfig
    for depth, name in enumerate(path):
        if model is None:
            group = ".".join(path[:depth])
            raise ConfigError(f"{'.'.join(path)}: {group} is a single value, it has no fields")
        if name not in model.model_fields:
            raise ConfigError(f"{'.'.join(path)}: {_unknown(path[: depth + 1], path)}")
        model = group_of(model.model_fields[name].annotation)


def annotation_of(path: Path) -> Any:
    """The declared type of the field at `path`, which must exist."""
    model: type[BaseModel] = RunConfig
    for name in path[:-1]:
        model = group_of(model.model_fields[name].annotation) or model
    return model.model_fields[path[-1]].annotation


def group_of(annotation: Any) -> type[BaseModel] | None:
    """The group of fields that an annotation such as `ScenesConfig | None` names, if any."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def all_paths(model: type[BaseModel] = RunConfig, prefix: Path = ()) -> Iterator[Path]:
    """Every path that can be set, groups included."""
    for name, field in model.model_fields.items():
        yield (*prefix, name)
        group = group_of(field.annotation)
        if group is not None:
            yield from all_paths(group, (*prefix, name))


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean a or b?`, or nothing when no known word is close."""
    close = get_close_matches(word, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _unknown(path: Path, whole: Path) -> str:
    """Why `path` is refused: near siblings, then the same name elsewhere, then near paths."""
    known = list(all_paths())
    siblings = [other[-1] for other in known if other[:-1] == path[:-1]]
    close = get_close_matches(path[-1], siblings, n=2, cutoff=0.7)
    meant = [".".join((*path[:-1], name, *whole[len(path) :])) for name in close]
    meant = [dotted for dotted in meant if tuple(dotted.split(".")) in known]
    meant += [".".join(other) for other in known if other[-1] == whole[-1]]
    if not meant:
        dotted = [".".join(other) for other in known]
        meant = get_close_matches(".".join(whole), dotted, n=3, cutoff=0.75)
    if meant:
        return f"no such field; did you mean {' or '.join(dict.fromkeys(meant[:3]))}?"
    group = ".".join(path[:-1])
    return f"no such field; {group or 'a run'} has {', '.join(siblings)}"


def _describe(problem: ErrorDetails, where: Where) -> str:
    """One line: where, the field, its value, and what is accepted."""
    path = tuple(str(part) for part in problem["loc"])
    name = ".".join(path) or "this run"
    if problem["type"] == "extra_forbidden":
        return f"{where(path)}{name}: {_unknown(path, path)}"
    if problem["type"].startswith("model_"):
        group = group_of(annotation_of(path)) if path else RunConfig
        fields = ", ".join(group.model_fields) if group else ""
        return f"{where(path)}{name} is a group of fields ({fields}); set those one by one"
    template = MESSAGES.get(problem["type"])
    message = template.format(**problem.get("ctx", {})) if template else problem["msg"]
    shown = "" if _is_group(problem["input"]) else f" = {problem['input']!r}"
    link = ": " if shown or problem["type"] == "value_error" else " "
    return f"{where(path)}{name}{shown}{link}{message}"


def _is_group(value: Any) -> bool:
    return isinstance(value, Mapping | BaseModel)
