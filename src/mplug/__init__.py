"""mPLUG: a vision-language model with cross-modal skip-connections, from pretraining to use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mplug.interfaces.api import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Bring `load` on first use: importing the package must not import torch."""
    if name == "load":
        from mplug.interfaces.api import load

        return load
    raise AttributeError(f"module 'mplug' has no attribute {name!r}")
