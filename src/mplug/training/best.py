"""Which of a run's evaluations has been the best, by one of their figures."""

import math

from mplug.errors import ConfigError
from mplug.training.state import Progress

HIGHER_IS_BETTER = ("recall", "accuracy", "cider")
"""Parts of the names of scores; every other figure is a loss."""


def consider(progress: Progress, *, figure: str) -> bool:
    """Remember the evaluation just made where it is the best by `figure`; whether it is.

    Of equal ones the first stays the best; one that is not a number never is.

    Raises:
        ConfigError: evaluations of this run have no such figure.
    """
    if figure not in progress.evaluation:
        raise ConfigError(
            f"train.choose = {figure!r}: this run is not evaluated by that; choose one of "
            f"{', '.join(name for name in progress.evaluation if not name.endswith('_blind'))}"
        )
    value = progress.evaluation[figure]
    if progress.best_step >= 0:
        before = progress.best[figure]
        better = value > before if _higher_is_better(figure) else value < before
    else:
        better = not math.isnan(value)
    if better:
        progress.best_by, progress.best_step = figure, progress.step
        progress.best = dict(progress.evaluation)
    return better


def forget(progress: Progress) -> None:
    """Choose from now on only."""
    progress.best_by, progress.best_step, progress.best = "", -1, {}


def _higher_is_better(figure: str) -> bool:
    return any(part in figure for part in HIGHER_IS_BETTER)
