"""From the options of one call that writes to the search that does."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import Field, PositiveInt, ValidationError

from mplug.config.schema import Frozen, GenerationConfig, MPlugConfig
from mplug.errors import ConfigError
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import Search
from mplug.inference.sampling import Sampling

Settings = TypeVar("Settings", bound=Frozen)


class DrawingOptions(Frozen):
    """What decides how words are drawn; see `Sampling`."""

    temperature: float = Field(default=1.0, gt=0)
    top_k: PositiveInt | None = None
    top_p: float = Field(default=1.0, gt=0, le=1)


@dataclass(frozen=True)
class Writing:
    """How words are chosen: searched for, or drawn where there is a seed."""

    config: GenerationConfig
    seed: int | None
    drawing: DrawingOptions

    def search(self, places: range) -> Search:
        """The search for pictures at these places of a list: each place has its own seed."""
        if self.seed is None:
            return BeamSearch(self.config)
        seeds = [self.seed + place for place in places]
        return Sampling(seeds, self.config, **self.drawing.model_dump())


def writing(
    generation: GenerationConfig,
    options: Mapping[str, Any],
    *,
    seed: int | None,
    what: str = "captions",
) -> Writing:
    """A model's own way of writing with some options replaced; `what` is for error messages.

    Raises:
        ConfigError: an option does not exist, has no such value, or needs a seed.
    """
    known = [*GenerationConfig.model_fields, *DrawingOptions.model_fields]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"{what}: there is no option {name!r}: {hint}")
    drawing = {name: options[name] for name in DrawingOptions.model_fields if name in options}
    if drawing and seed is None:
        raise ConfigError(f"{what}: {', '.join(drawing)} needs a seed: only then words are drawn")
    changed = {name: options[name] for name in GenerationConfig.model_fields if name in options}
    return Writing(
        config=_validated(GenerationConfig, generation.model_dump() | changed, what=what),
        seed=seed,
        drawing=_validated(DrawingOptions, drawing, what=what),
    )


def require_room(prompt: int, *, max_tokens: int, config: MPlugConfig) -> None:
    """A prompt of so many tokens and what is written behind it must fit the decoder's positions.

    Raises:
        ConfigError: they do not.
    """
    limit = config.text.max_positions
    if prompt + max_tokens - 1 > limit:
        raise ConfigError(
            f"a prompt of {prompt - 1} word pieces and max_tokens = {max_tokens} exceed the "
            f"{limit} positions of this model"
        )


def _validated(schema: type[Settings], fields: Mapping[str, Any], *, what: str) -> Settings:
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        problems = [f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False)]
        raise ConfigError(f"{what}: {'; '.join(problems)}") from error
