"""How annotations are enforced while tests run: beartype, over jaxtyping's shapes."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from beartype import BeartypeConf, FrozenDict, beartype

# Methods are decorated one by one, where beartype cannot know what `Self` is: it is not checked.
CONF = BeartypeConf(hint_overrides=FrozenDict({Self: object}))

T = TypeVar("T", bound=type | Callable[..., Any])


def check(checked: T) -> T:
    """A function or class that refuses arguments and results of other types or shapes."""
    return beartype(conf=CONF)(checked)
