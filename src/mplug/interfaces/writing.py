"""From the options of one caption call to the search that writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from mplug.config.schema import GenerationConfig
from mplug.errors import ConfigError
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import Search
from mplug.inference.sampling import Sampling

DRAWING = ("temperature", "top_k", "top_p")


@dataclass(frozen=True)
class Writing:
    """How words are chosen: searched for, or drawn where there is a seed."""

    config: GenerationConfig
    seed: int | None
    drawing: Mapping[str, Any]

    def search(self, places: range) -> Search:
        """The search for pictures at these places of a list: each place has its own seed.

        Raises:
            ConfigError: a number is out of range.
        """
        if self.seed is None:
            return BeamSearch(self.config)
        seeds = [self.seed + place for place in places]
        try:
            return Sampling(seeds, self.config, **self.drawing)
        except ValueError as error:
            raise ConfigError(f"captions: {error}") from error


def writing(
    generation: GenerationConfig, options: Mapping[str, Any], *, seed: int | None
) -> Writing:
    """A model's own way of writing with some options replaced.

    Raises:
        ConfigError: an option does not exist, has no such value, or needs a seed.
    """
    drawing = {name: value for name, value in options.items() if name in DRAWING}
    changed = {name: value for name, value in options.items() if name not in DRAWING}
    if drawing and seed is None:
        raise ConfigError(f"captions: {', '.join(drawing)} needs a seed: only then words are drawn")
    for name in changed:
        _require_known(name)
    try:
        config = GenerationConfig.model_validate(generation.model_dump() | changed)
    except ValidationError as error:
        problems = [f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False)]
        raise ConfigError(f"captions: {'; '.join(problems)}") from error
    return Writing(config, seed, drawing)


def _require_known(name: str) -> None:
    if name in GenerationConfig.model_fields:
        return
    known = [*GenerationConfig.model_fields, *DRAWING]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise ConfigError(f"captions: there is no option {name!r}: {hint}")
