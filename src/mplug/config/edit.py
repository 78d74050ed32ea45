"""Changing a config by dotted path, and saying what is wrong with one in the user's words."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from mplug.config.schema import RunConfig
from mplug.errors import ConfigError

Path = tuple[str, ...]
Where = Callable[[Path], str]
Groups = tuple[type[BaseModel], ...]
Run = TypeVar("Run", bound=BaseModel)

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


def derive(config: Run, changes: Mapping[str, Any]) -> Run:
    """`config` with the fields at dotted paths changed, checked again as a whole.

    Raises:
        ConfigError: a path does not exist or a value does not fit.
    """
    fields: Mapping[str, Any] = config.model_dump()
    for dotted, value in changes.items():
        path = tuple(dotted.split("."))
        require_path(path, type(config))
        fields = merge(fields, nested(path, value))
    return validate(fields, type(config))


def validate(fields: Mapping[str, Any], schema: type[Run], *, where: Where = lambda _: "") -> Run:
    """A run from plain data; `where` says in which file and line a path was written.

    Raises:
        ConfigError: one line per problem: the field, its value and what is accepted.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    raise ConfigError("\n".join(_describe(problem, schema, where) for problem in problems))


def require_path(path: Path, schema: type[BaseModel] = RunConfig) -> None:
    """Refuse a path that no field has.

    Raises:
        ConfigError: with the fields that may have been meant.
    """
    groups: Groups = (schema,)
    for depth, name in enumerate(path):
        if not groups:
            group = ".".join(path[:depth])
            raise ConfigError(f"{'.'.join(path)}: {group} is a single value, it has no fields")
        if all(name not in group.model_fields for group in groups):
            unknown = _unknown(path[: depth + 1], path, schema)
            raise ConfigError(f"{'.'.join(path)}: {unknown}")
        groups = _inside(groups, name)


def annotations_of(path: Path, schema: type[BaseModel] = RunConfig) -> list[Any]:
    """The declared types of the field at `path`, which must exist: one in each kind of its group.

    A group such as a model's encoder may be of several kinds.
    """
    groups: Groups = (schema,)
    for name in path[:-1]:
        groups = _inside(groups, name)
    fields = [group.model_fields.get(path[-1]) for group in groups]
    return [field.annotation for field in fields if field is not None]


def groups_of(annotation: Any) -> Groups:
    """The groups of fields that an annotation such as `ScenesConfig | None` names, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) is Annotated:
        return groups_of(get_args(annotation)[0])
    return tuple(
        candidate
        for part in get_args(annotation)
        for candidate in (groups_of(part) if get_origin(part) is Annotated else (part,))
        if isinstance(candidate, type) and issubclass(candidate, BaseModel)
    )


def all_paths(schema: type[BaseModel] = RunConfig, prefix: Path = ()) -> Iterator[Path]:
    """Every path that can be set, groups included; once each."""
    yield from dict.fromkeys(_paths(schema, prefix))


def _paths(schema: type[BaseModel], prefix: Path) -> Iterator[Path]:
    for name, field in schema.model_fields.items():
        yield (*prefix, name)
        for group in groups_of(field.annotation):
            yield from _paths(group, (*prefix, name))


def _inside(groups: Groups, name: str) -> Groups:
    """The groups that a field of this name is, in any of `groups`."""
    return tuple(
        inner
        for group in groups
        if name in group.model_fields
        for inner in groups_of(group.model_fields[name].annotation)
    )


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean a or b?`, or nothing when no known word is close."""
    close = get_close_matches(word, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _unknown(path: Path, whole: Path, schema: type[BaseModel]) -> str:
    """Why `path` is refused: near siblings, then the same name elsewhere, then near paths."""
    known = list(all_paths(schema))
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


def _describe(problem: ErrorDetails, schema: type[BaseModel], where: Where) -> str:
    """One line: where, the field, its value, and what is accepted."""
    path, groups = _place(problem["loc"], schema)
    name = ".".join(path) or "this run"
    if problem["type"] == "extra_forbidden":
        return f"{where(path)}{name}: {_unknown(path, path, schema)}"
    if problem["type"].startswith("model_"):
        fields = ", ".join(dict.fromkeys(name for group in groups for name in group.model_fields))
        return f"{where(path)}{name} is a group of fields ({fields}); set those one by one"
    template = MESSAGES.get(problem["type"])
    message = template.format(**problem.get("ctx", {})) if template else problem["msg"]
    shown = "" if _is_group(problem["input"]) else f" = {problem['input']!r}"
    link = ": " if shown or problem["type"] == "value_error" else " "
    return f"{where(path)}{name}{shown}{link}{message}"


def _place(loc: tuple[int | str, ...], schema: type[BaseModel]) -> tuple[Path, Groups]:
    """The path to a problem as a person writes it, and the groups of fields there.

    Where a group may be of several kinds, pydantic's path also says which kind it was taken for.
    """
    path: Path = ()
    groups: Groups = (schema,)
    kinds: set[str] = set()
    for part in map(str, loc):
        if part in kinds:
            kinds = set()
            continue
        path = (*path, part)
        fields = [group.model_fields[part] for group in groups if part in group.model_fields]
        kinds = {kind for field in fields for kind in _kinds(field.annotation)}
        groups = _inside(groups, part)
    return path, groups


def _kinds(annotation: Any) -> Iterator[str]:
    """The words by which pydantic tells the kinds of a group apart."""
    for part in get_args(annotation):
        yield from _kinds(part)
        for extra in getattr(part, "__metadata__", ()):
            if isinstance(extra, Tag):
                yield extra.tag


def _is_group(value: Any) -> bool:
    return isinstance(value, Mapping | BaseModel)
