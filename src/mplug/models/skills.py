"""Teaching a model more: the parts that a skill brings along, beside all that is there."""

import copy
from collections.abc import Collection
from typing import get_args

from mplug.config.schema import MPlugConfig, Skill
from mplug.models.mplug import MPlug


def with_skills(model: MPlug, skills: Collection[Skill]) -> MPlug:
    """A copy of `model` that has these skills too: same weights, new parts where skills need them.

    New heads are drawn from torch's current seed; the second image's attention is a copy of the
    first's.

    Raises:
        ValueError: this model's fusion network cannot have the skill.
    """
    wanted = {*model.config.skills, *skills}
    ordered = sorted(wanted, key=get_args(Skill).index)
    grown = copy.deepcopy(model)
    grown.config = MPlugConfig.model_validate({**model.config.model_dump(), "skills": ordered})
    grown.add_parts()
    return grown
