"""Recipes of the field's models: each at its published size, and small on scenes.

The parts are in `config/zoo.py`; here is what each model learns, and how its authors trained it.
"""

from collections.abc import Callable

from mplug.config import zoo
from mplug.config.edit import derive
from mplug.config.recipes_paper import base_pretrain
from mplug.config.recipes_scenes import demo_pretrain
from mplug.config.schema import OptimConfig, RunConfig, ScenesConfig, Term, TrainConfig
from mplug.config.schema_zoo import ZooConfig
from mplug.config.schema_zoo_run import JointData, JointObjectives, ZooRun

OBJECTIVES: dict[str, JointObjectives] = {
    "visualbert": JointObjectives(mlm=1, itm_captions=1),
    "oscar": JointObjectives(mlm=1, itm_tags=1),
    "pixelbert": JointObjectives(mlm=1, itm=1),
    "vilt": JointObjectives(mlm=1, itm=1, alignment=0.1, masked_words="whole_words"),
    "vlbert": JointObjectives(mlm=1, mrc=1, mlm_text=1),
    "simvlm": JointObjectives(prefix_lm=1, prefix_lm_text=1),
    "vilbert": JointObjectives(mlm=1, mrc_kl=1, itm=1, masking="joint"),
    "lxmert": JointObjectives(mlm=1, itm=1, mrfr=1, mrc=1, answer=1, masking="joint"),
    "interbert": JointObjectives(
        mlm=1, mrc=1, itm=1, masked_words="spans", masked_regions="overlapping"
    ),
    "unified-vlp": JointObjectives(mlm=0.25, mlm_written=0.75),
    "xgpt": JointObjectives(caption=1, mlm=1, denoise=1, mrfr=1, masked_words="spans"),
    "unimo": JointObjectives(
        mlm=1,
        prefix_lm=1,
        mrfr=1,
        mrc=1,
        itc=1,
        mlm_text=1,
        prefix_lm_text=1,
        mrfr_image=1,
        masked_words="spans",
    ),
}
"""What each model learns; those without a section here are other systems' recipes."""

MODELS: dict[str, Callable[[], ZooConfig]] = {
    "visualbert": zoo.visualbert,
    "oscar": zoo.oscar,
    "pixelbert": zoo.pixelbert,
    "vilt": zoo.vilt,
    "vlbert": zoo.vlbert,
    "simvlm": zoo.simvlm,
    "vilbert": zoo.vilbert,
    "lxmert": zoo.lxmert,
    "interbert": zoo.interbert,
    "unified-vlp": zoo.unified_vlp,
    "xgpt": zoo.xgpt,
    "unimo": zoo.unimo,
}

ANSWERS = 256  # room for every answer that questions about scenes have
ENCODER_WIDTH = 128  # mplug-tiny's, which describes the regions of scenes


def albef_pretrain() -> RunConfig:
    """ALBEF as published: asymmetric fusion, contrast with queue and teacher, matching, words.

    It is mPLUG's base without connected layers and without writing; the one decoder layer that is
    left learns nothing.
    """
    return derive(
        base_pretrain(),
        {
            "name": "albef-pretrain",
            "model.fusion.scheme": "asymmetric",
            "model.fusion.connected_at": (),
            "model.decoder.num_layers": 1,
            "objectives.prefix_lm": Term(weight=0.0),
            "optim.lr": 1e-4,
            "optim.vision_lr": None,
        },
    )


def small_run(name: str) -> ZooRun:
    """A model's small run on scenes, for two cores."""
    scenes = demo_pretrain().data.scenes or ScenesConfig()
    model = zoo.small(
        MODELS[name](),
        vocab_size=1000,
        feature_size=ENCODER_WIDTH,
        classes=scenes.concepts + 2,  # background, and a screen
        answers=ANSWERS,
    )
    return ZooRun(
        name=f"{name}-scenes",
        model=model,
        data=JointData(scenes=scenes),
        objectives=OBJECTIVES[name],
        optim=OptimConfig(steps=2000, batch_size=48, lr=1e-3, warmup_steps=100),
        train=TrainConfig(evaluate_every=500, save_every=500),
    )


def published(name: str) -> ZooConfig:
    """A model at its published size.

    Raises:
        KeyError: no model is called so.
    """
    return MODELS[name]()


def _recipe(name: str) -> Callable[[], ZooRun]:
    def run() -> ZooRun:
        return small_run(name)

    run.__name__ = f"{name}-scenes".replace("-", "_")
    model = MODELS[name]
    title = (model.__doc__ or "").split(":")[0].split(" (arXiv")[0]
    run.__doc__ = f"{title.removesuffix('-base')}'s parts and objectives, small, on scenes."
    return run


RECIPES: dict[str, Callable[[], ZooRun]] = {f"{name}-scenes": _recipe(name) for name in MODELS}
