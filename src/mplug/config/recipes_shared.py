"""What recipes have in common: how a fine-tuning run derives from the run it starts from."""

from collections.abc import Mapping

from mplug.config.edit import derive
from mplug.config.schema import ObjectivesConfig, RunConfig, TaskConfig, TasksConfig, Term


def finetuned(
    start: RunConfig, name: str, *tasks: str, changes: Mapping[str, object] | None = None
) -> RunConfig:
    """A run called `name` on `tasks` that starts from where `start` is left by default.

    A single task chooses the model that it leaves.
    """
    return derive(
        start,
        {
            "name": name,
            "task": "finetune",
            "tasks": TasksConfig(**{task: TaskConfig() for task in tasks}),
            "start_from": f"runs/{start.name}",
            "data.augment": "finetune",
            "train.choose": _best_by(tasks),
            **(changes or {}),
        },
    )


def _best_by(tasks: tuple[str, ...]) -> str | None:
    if len(tasks) > 1:
        return None
    of_pairs = tasks == ("retrieval",)
    return "validation_recall_at_1_text_to_image" if of_pairs else f"validation_{tasks[0]}"


def self_critical(start: RunConfig, name: str, changes: Mapping[str, object]) -> RunConfig:
    """A run called `name` that raises the CIDEr-D of the captions that `start` writes."""
    return derive(
        start,
        {
            "name": name,
            "task": "self_critical",
            "start_from": f"runs/{start.name}",
            "train.choose": "validation_cider_d",
            **changes,
        },
    )


def pairs_only(*, queue_size: int, momentum: float, ramp_steps: int) -> ObjectivesConfig:
    """ITC and ITM alone, from the first step: the model can already tell what is near."""
    return ObjectivesConfig(
        mlm=Term(weight=0.0),
        prefix_lm=Term(weight=0.0),
        queue_size=queue_size,
        momentum=momentum,
        distillation_ramp_steps=ramp_steps,
    )
