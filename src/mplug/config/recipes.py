"""The runs that ship with mplug: one small function each, derived from one another.

`mplug recipes list` prints them; `mplug recipes copy NAME FILE` writes one out to be changed.
Prose in these modules holds reasons; the numbers are the code's.
"""

from collections.abc import Callable

from mplug.config import (
    recipes_clip,
    recipes_fusion,
    recipes_paper,
    recipes_paper_skills,
    recipes_records,
    recipes_scenes,
    recipes_uniter,
    recipes_zoo,
)
from mplug.config.edit import did_you_mean
from mplug.config.schema import RunConfig
from mplug.config.systems import AnyRun
from mplug.errors import ConfigError

RECIPES: dict[str, Callable[[], RunConfig]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        recipes_scenes.demo_pretrain,
        recipes_scenes.demo_tasks,
        recipes_scenes.scenes_200,
        recipes_scenes.scenes_200_tasks,
        recipes_fusion.fusion_encoders,
        recipes_fusion.fusion_scenes,
        recipes_fusion.fusion_scenes_tasks,
        recipes_scenes.scenes_200_scst,
        recipes_records.tiny_pretrain,
        recipes_records.tiny_retrieval,
        recipes_records.tiny_caption,
        recipes_records.tiny_caption_scst,
        recipes_records.tiny_answer,
        recipes_records.tiny_ground,
        recipes_records.tiny_compare,
        recipes_records.tiny_entail,
        recipes_records.tiny_tasks,
        recipes_records.tiny_xray,
        recipes_records.easy_vqa,
        recipes_records.small_pretrain,
        recipes_records.small_caption,
        recipes_paper.base_pretrain,
        recipes_paper.base_retrieval,
        recipes_paper.base_caption,
        recipes_paper.base_caption_scst,
        recipes_paper.base_answer,
        recipes_paper_skills.base_answer_msrvtt,
        recipes_paper_skills.base_ground,
        recipes_paper_skills.base_compare,
        recipes_paper_skills.base_entail,
        recipes_paper_skills.base_xray,
        recipes_paper.large_pretrain,
        recipes_paper.large_retrieval_coco,
        recipes_paper.large_retrieval_flickr30k,
        recipes_paper_skills.large_retrieval_msrvtt,
        recipes_paper.large_caption,
        recipes_paper.large_caption_scst,
        recipes_paper_skills.large_caption_vatex,
        recipes_paper.large_answer,
        recipes_paper_skills.large_ground,
        recipes_paper_skills.large_ground_refcoco,
        recipes_paper_skills.large_ground_refcoco_plus,
        recipes_paper_skills.large_ground_refcocog,
        recipes_paper_skills.large_compare,
        recipes_paper_skills.large_entail,
        recipes_zoo.albef_pretrain,
    )
}


_OWN: tuple[Callable[[], AnyRun], ...] = (
    recipes_clip.clip_emoji,
    recipes_clip.clip_vit_b32,
    recipes_clip.clip_rn50,
    recipes_uniter.uniter_scenes_pretrain,
    recipes_uniter.uniter_scenes_tasks,
    recipes_uniter.uniter_base_pretrain,
)
FAMILY: dict[str, Callable[[], AnyRun]] = {
    **{function.__name__.replace("_", "-"): function for function in _OWN},
    **recipes_zoo.RECIPES,
}
"""Recipes of systems other than mPLUG."""

ALL: dict[str, Callable[[], AnyRun]] = {**RECIPES, **FAMILY}


def recipe(name: str) -> RunConfig:
    """The recipe of mPLUG called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in RECIPES:
        raise ConfigError(_unknown(name))
    return RECIPES[name]()


def any_recipe(name: str) -> AnyRun:
    """The recipe called `name`, of any system.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in ALL:
        raise ConfigError(_unknown(name))
    return ALL[name]()


def summary(name: str) -> str:
    """What a recipe is for, in one line."""
    return (ALL[name].__doc__ or "").strip().splitlines()[0]


def _unknown(name: str) -> str:
    close = did_you_mean(name, list(ALL))
    return f"no recipe is called {name!r}{close} (`mplug recipes` lists them)"
