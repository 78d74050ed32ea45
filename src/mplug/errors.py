"""Errors meant for users: what was wrong, where, and what to do."""

from types import ModuleType


class MPlugError(Exception):
    """A failure with a message a user can act on, printed without a traceback."""

    exit_code = 1


class ConfigError(MPlugError):
    """A recipe, config file or `path=value` word that cannot be used."""

    exit_code = 2


class DataError(MPlugError):
    """Records, images or words that cannot be used; names file, line and field where known."""

    exit_code = 3


class CheckpointError(MPlugError):
    """Weights or a run directory that cannot be read, written or matched to the model."""

    exit_code = 4


class TrainingError(MPlugError):
    """A run that must stop: a loss that is not finite, a lost process, a directory in use."""

    exit_code = 5


class MissingExtraError(MPlugError):
    """An optional dependency that is not installed."""

    exit_code = 6


def need_extra(module: str, *, extra: str) -> ModuleType:
    """Import an optional `module`, or say which extra brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs {module!r}, which is not installed: pip install 'mplug[{extra}]'"
        ) from error
