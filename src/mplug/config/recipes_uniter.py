"""Runs of UNITER: on composed scenes whose boxes are exact, and at the published size."""

from mplug.config.edit import derive
from mplug.config.schema import ScenesConfig, TextConfig, TrainConfig
from mplug.config.schema_uniter import RegionsConfig, UniterConfig
from mplug.config.schema_uniter_run import (
    Mix,
    RegionData,
    UniterObjectives,
    UniterOptim,
    UniterRetrieval,
    UniterRun,
    UniterTask,
    UniterTasks,
)

CONCEPTS = 100
TINY_WIDTH = 128  # of mplug-tiny's patches


def _little() -> UniterConfig:
    return UniterConfig(
        text=TextConfig(
            vocab_size=1500,
            hidden_size=128,
            num_layers=2,
            num_heads=4,
            intermediate_size=512,
            max_positions=40,
            dropout=0.0,
        ),
        regions=RegionsConfig(feature_size=TINY_WIDTH, classes=CONCEPTS + 2),
        comparison="pair",
    )


def uniter_scenes_pretrain() -> UniterRun:
    """UNITER on scenes with exact boxes, the full mix of objectives; minutes on two cores.

    Regions are described by mplug-tiny. More is hidden than in the published recipe, for captions
    have six words and pictures three regions. Without dropout, and with two layers, such a model
    learns in a third of the steps which region a word is about.
    """
    return UniterRun(
        name="uniter-scenes-pretrain",
        task="pretrain",
        model=_little(),
        data=RegionData(
            regions="runs/uniter-scenes-regions",
            scenes=ScenesConfig(
                concepts=CONCEPTS,
                min_objects=1,
                max_objects=3,
                object_scale=1.2,
                artists=("noto", "noto-v1", "twemoji", "fxemoji"),
            ),
            vocab_size=1500,
            max_words=30,
            at_least=1,
            at_most=8,
        ),
        objectives=UniterObjectives(
            mix=Mix(itm=2, mlm=2, mrfr=1, mrc_kl=1), word_share=0.3, region_share=0.3
        ),
        optim=UniterOptim(
            steps=6000,
            batch_size=64,
            lr=7e-4,
            warmup_steps=200,
            final_lr_share=0.02,
        ),
        train=TrainConfig(blind_every=200, evaluate_every=1000, save_every=1000),
    )


def uniter_scenes_tasks() -> UniterRun:
    """UNITER's downstream tasks on the same scenes, all at once, from runs/uniter-scenes-pretrain.

    Answers, search with hard negatives, statements about two pictures, regions that phrases mean,
    and entailment. Seventeen minutes on one core: of the published 399 candidates for every pair,
    few are left.
    """
    return derive(
        uniter_scenes_pretrain(),
        {
            "name": "uniter-scenes-tasks",
            "task": "finetune",
            "tasks": UniterTasks(
                # A sum over all answers, some hundred times what another task costs.
                answer=UniterTask(weight=0.05),
                retrieve=UniterRetrieval(weight=3.0, candidates=4, hardest=2),
                compare=UniterTask(),
                ground=UniterTask(),
                entail=UniterTask(),
            ),
            "start_from": "runs/uniter-scenes-pretrain",
            "optim.steps": 2500,
            "optim.batch_size": 24,
            "optim.lr": 5e-4,
            "optim.head_lr": 1e-3,
        },
    )


def uniter_base_pretrain() -> UniterRun:
    """UNITER-base as published, in-domain: 12 layers, 2048-wide regions, four objectives.

    The published run counts 10,240 tokens a batch, six batches an update, on each of eight
    processors; here an update counts pairs.
    """
    return UniterRun(
        name="uniter-base-pretrain",
        task="pretrain",
        model=UniterConfig(
            text=TextConfig(
                vocab_size=28996,
                hidden_size=768,
                num_layers=12,
                num_heads=12,
                intermediate_size=3072,
                max_positions=512,
                dropout=0.1,
            ),
            regions=RegionsConfig(feature_size=2048, classes=1601),
        ),
        data=RegionData(vocab_size=28996),
        optim=UniterOptim(
            steps=200_000,
            batch_size=3072,
            accumulate=6,
            lr=5e-5,
            warmup_steps=10_000,
            final_lr_share=0.0,
            precision="bfloat16",
        ),
    )
